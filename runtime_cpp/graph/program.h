// A graph program: ONNX nodes in order, each with the function that runs it. Shapes are found while it runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bundle/bundle.h"
#include "graph/attributes.h"
#include "graph/op.h"
#include "program/program.h"

namespace anyon::graph {

struct Node {
  const OpRow* row = nullptr;
  std::string name;                  // where in the model it comes from
  std::string where;                 // "file: program 'main': node 3 (Add 'layers.0')", the start of every message
  std::vector<int> inputs, outputs;  // slots, -1 for one left out
  std::vector<int> last_uses;        // slots of this block that nothing reads behind this node
  Attributes attributes;
};

// The nodes of a graph or of a branch or body inside it. Slots are numbered through the whole program, so that a block
// reads values of the blocks around it like its own.
struct Block {
  std::vector<int> inputs, outputs;
  std::vector<Node> nodes;
  std::vector<int> unread_inputs;
};

struct GraphProgram {
  std::string name;
  std::string where;  // "file: program 'main'"
  std::shared_ptr<const Bundle> bundle;
  int opset = 0;  // of ai.onnx
  int slots = 0;
  std::vector<Symbol> symbols;
  std::vector<ProgramPort> inputs, outputs;  // value: the slot
  std::vector<ValueInfo> input_infos, output_infos;
  std::vector<std::pair<int, Tensor>> weights;  // slot, where it lies in the bundle
  std::vector<bool> is_weight;                  // by slot
  Block main;
};

// Whether `programs.<name>` of the manifest is a graph program.
bool is_graph_program(const Bundle& bundle, const std::string& name);

// Reads and checks it. Throws Error: kUnsupportedOp (one message that lists every op and attribute this build lacks),
// kBadProgram (anything else).
GraphProgram parse_graph_program(std::shared_ptr<const Bundle> bundle, const std::string& name);

}  // namespace anyon::graph
