// What an ONNX op is to the graph executor: a row of a table with the function that runs it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace anyon::graph {

class Run;

struct OpRow {
  const char* name;
  int since;  // the oldest opset whose meaning of the op this is
  int min_inputs, max_inputs;
  int max_outputs;
  void (*run)(Run& run);
  const char* attributes;  // every attribute it takes, separated by spaces; others are refused
};

inline constexpr int kAnyNumber = 1024;  // of inputs or outputs
inline constexpr int kNewestOpset = 28;

// The row of the op called `name`, or null.
const OpRow* find_op(std::string_view name);
// Every op of this build: the groups in the order of ops.inc.
std::span<const std::span<const OpRow>> all_ops();

}  // namespace anyon::graph
