// What an op of a program is to the planner and the executor. One op is one file in ops/ and one row in ops/ops.inc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/isa.h"
#include "core/status.h"
#include "core/tensor.h"
#include "core/threads.h"
#include "program/attributes.h"

namespace anyon {

struct Program;
struct ProgramOp;
struct Plan;

// A growing state as an op that appends to it sees it: (rows, outer, capacity, inner), written at position `past`.
struct AppendState {
  std::byte* data = nullptr;
  const int32_t* rows = nullptr;  // where row b of the batch lies; null when it is row b
  int64_t batch = 0;
  int64_t outer = 0, capacity = 0, inner = 0;
  int64_t past = 0;  // positions held before this run
};

// Planning: the op sees the dtypes and shapes of its inputs and states those of its outputs.
class InferContext {
 public:
  InferContext(const Program& program, const ProgramOp& op, Plan& plan, Isa isa, int threads)
      : program_(program), op_(op), plan_(plan), isa_(isa), threads_(threads) {}

  int inputs() const;
  bool has(int input) const;  // false for an optional input that was left out
  const Shape& shape(int input) const;
  DType dtype(int input) const;
  // The data of an input that is known before the run (a weight), else null.
  const TensorView* constant(int input) const;

  Isa isa() const { return isa_; }
  int threads() const { return threads_; }

  // Throws unless the input has this dtype (and rank, when it is not negative).
  void expect(int input, DType dtype, int rank = -1) const;
  void expect_shape(int input, const Shape& shape) const;

  void output(int output, DType dtype, const Shape& shape);
  // Scratch memory that run() finds in workspace().
  void workspace(int64_t bytes);
  // The op appends `positions` to a growing state.
  void append(int state, int64_t batch, int64_t positions);

  // Throws Error(kBadProgram) that names bundle, program and op.
  [[noreturn]] void fail(Parts problem) const;

 private:
  const Program& program_;
  const ProgramOp& op_;
  Plan& plan_;
  const Isa isa_;
  const int threads_;
};

// Running: where the tensors lie. Nothing here allocates.
class RunContext {
 public:
  RunContext(std::span<const TensorView> values, std::span<const AppendState> states, Isa isa, ThreadPool& pool)
      : values_(values), states_(states), isa_(isa), pool_(pool) {}

  int inputs() const { return static_cast<int>(inputs_.size()); }
  bool has(int input) const { return inputs_[static_cast<size_t>(input)] >= 0; }
  const TensorView& input(int input) const { return values_[static_cast<size_t>(inputs_[static_cast<size_t>(input)])]; }
  const TensorView& output(int output) const {
    return values_[static_cast<size_t>(outputs_[static_cast<size_t>(output)])];
  }
  // Data of an input, or null when it was left out.
  const float* f32(int input) const { return has(input) ? this->input(input).as<float>() : nullptr; }
  const AppendState& state(int index) const { return states_[static_cast<size_t>(index)]; }
  void* workspace() const { return workspace_; }
  Isa isa() const { return isa_; }
  ThreadPool& pool() const { return pool_; }

  // For the executor: which op is next.
  void select(std::span<const int> inputs, std::span<const int> outputs, void* workspace) {
    inputs_ = inputs;
    outputs_ = outputs;
    workspace_ = workspace;
  }

 private:
  const std::span<const TensorView> values_;
  const std::span<const AppendState> states_;
  const Isa isa_;
  ThreadPool& pool_;
  std::span<const int> inputs_, outputs_;
  void* workspace_ = nullptr;
};

// An op with its attributes read. Immutable, so that sessions share it.
class Op {
 public:
  virtual ~Op() = default;
  // Checks the inputs and gives the outputs. Called when dimensions change, not every run.
  virtual void infer(InferContext& context) const = 0;
  // May throw only for values that infer() could not see (an id outside a table).
  virtual void run(const RunContext& context) const = 0;
  // Whether output 0 may be computed in the memory of this input (same bytes, not needed afterwards, not shared with
  // another input).
  virtual bool may_reuse(int /*input*/) const { return false; }
  // Whether run() reads the data of an input, not its shape alone. `inputs` are the op's, -1 for one left out.
  virtual bool reads(int /*input*/, std::span<const int> /*inputs*/) const { return true; }
  // Whether output 0 is input 0 under another shape; such an op has an empty run().
  virtual bool is_view() const { return false; }
};

struct OpRow {
  const char* name;
  int min_inputs, max_inputs;  // inputs from min_inputs on may be ""
  int outputs;
  std::unique_ptr<const Op> (*make)(AttrReader& attrs);
};

template <class T>
std::unique_ptr<const Op> make_op(AttrReader& attrs) {
  return std::make_unique<const T>(attrs);
}

// The row of the op called `name`, or null.
const OpRow* find_op(std::string_view name);
// Every op this build can run, in the order of ops.inc.
std::span<const OpRow* const> all_ops();

}  // namespace anyon
