// A program as the executor sees it: names resolved, types and attributes checked, sizes still symbolic.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bundle/bundle.h"
#include "core/tensor.h"
#include "program/op.h"
#include "program/session.h"

namespace anyon {

// A dimension that callers choose, within bounds.
struct Symbol {
  std::string name;
  int64_t min = 0, max = 0;
};

// A dimension of an input, output or state: a symbol, or a number when symbol < 0.
struct Dim {
  int symbol = -1;
  int64_t size = 0;
};

enum class ValueKind : uint8_t { kInput, kWeight, kState, kComputed };

struct Value {
  std::string name;
  ValueKind kind = ValueKind::kComputed;
  bool held = false;     // a held input, or made from held inputs and weights alone
  TensorView weight;     // kWeight: where it lies in the bundle
  bool of_slot = false;  // held, or a broadcast input: belongs to a slot of the session, not to a row of the batch
};

struct ProgramPort {  // an input or output
  int value = -1;
  DType dtype = DType::kF32;
  std::vector<Dim> dims;
  bool broadcast = false;  // an input whose axis 0 may be a divisor of its symbol's size
  bool held = false;       // an input that stays the same between resets of the session
};

enum class StateKind : uint8_t {
  kAppend,   // grows along `axis`; attention appends to it in place
  kReplace,  // `update` becomes its value after every run; zeros after a reset
};

struct ProgramState {
  std::string name;
  StateKind kind = StateKind::kAppend;
  DType dtype = DType::kF32;
  std::vector<Dim> dims;  // axis 0 is the batch symbol
  int axis = 0;           // kAppend
  int64_t capacity = 0;   // kAppend: most positions it can hold
  int value = -1;         // kReplace: what ops read
  int update = -1;        // kReplace: the computed value that replaces it
};

struct ProgramOp {
  const OpRow* row = nullptr;
  std::unique_ptr<const Op> op;
  std::string name;          // where in the model it comes from
  int index = 0;             // in the program
  std::vector<int> inputs;   // value indices, -1 for one left out; as long as row->max_inputs where that is fixed
  std::vector<int> outputs;  // value indices
  bool held = false;         // depends on held inputs and weights only: run once after a reset
  bool by_slot = false;      // reads a slot's inputs or writes its states: several slots in one run take turns
};

struct Program {
  std::string name;
  std::string where;  // "file: program 'name'", the start of every message
  std::shared_ptr<const Bundle> bundle;
  std::vector<Symbol> symbols;
  std::vector<Value> values;
  std::vector<ProgramPort> inputs, outputs;
  std::vector<ProgramState> states;
  std::vector<ProgramOp> ops;
  bool has_slots = true;  // whether several slots can share a run
  // As sessions publish them.
  std::vector<ValueInfo> input_infos, output_infos;
};

// Reads and checks `programs.<name>` of the bundle's manifest. Throws Error: kInvalidArgument (no such program),
// kUnsupportedOp (an op this build lacks), kBadProgram (anything else).
Program parse_program(std::shared_ptr<const Bundle> bundle, const std::string& name);

}  // namespace anyon
