// One node while it runs: its inputs, its attributes, and where its outputs go.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/isa.h"
#include "core/status.h"
#include "core/threads.h"
#include "graph/memory.h"
#include "graph/program.h"

namespace anyon::graph {

class Executor;

// Input and output numbers are those of the ONNX specification.
class Run {
 public:
  Run(Executor& executor, const Node& node) : executor_(executor), node_(node) {}

  int inputs() const { return static_cast<int>(node_.inputs.size()); }
  int outputs() const { return static_cast<int>(node_.outputs.size()); }
  bool has(int input) const;
  bool wants(int output) const;
  const Tensor& input(int input) const;
  // The input as `dtype`: itself, or converted.
  Tensor input_as(int input, DType dtype);
  // The input in the type that computes with its values: float, double, int64 or uint64 (see wide()).
  Tensor wide_input(int input);
  // An integer input as numbers: axes, shapes, pads. Empty when it was left out.
  std::vector<int64_t> integers(int input);
  int64_t integer(int input);
  double number(int input);

  const Attributes& attributes() const { return node_.attributes; }
  int opset() const;

  // A new tensor, uninitialised; as an output, or for the op itself.
  Tensor make(int output, DType dtype, const Shape& shape);
  Tensor scratch(DType dtype, const Shape& shape);
  // A result that exists already; converted when `dtype` is another type than the tensor's.
  void give(int output, const Tensor& tensor);
  void give(int output, const Tensor& tensor, DType dtype);
  Tensor convert(const Tensor& tensor, DType dtype);
  // Fails when a list of so many numbers would not fit under the limit: before one is made whose length comes from a
  // dimension, which a tensor without elements may have at any size.
  void expect_room(int64_t numbers) const;

  Isa isa() const;
  ThreadPool& pool() const;

  // A weight's derived form, made by `make` once for the session; any other tensor's anew.
  template <class F>
  Tensor derived(int input, F&& make) {
    Tensor* kept = kept_for(input);
    if (kept == nullptr) return make();
    if (!kept->defined) *kept = make();
    return *kept;
  }

  // Runs a block of this node with these inputs and gives its outputs.
  std::vector<Tensor> call(const Block& block, std::span<const Tensor> inputs);
  // Of the session's stream of random numbers.
  uint64_t& random_state();
  // Throws when a run has turned through loops too often.
  void count_iteration();

  // Throw Error: kBadProgram, and kUnsupportedOp for what the op could mean but this build does not do.
  [[noreturn]] void fail(Parts problem) const;
  [[noreturn]] void unsupported(Parts what) const;

 private:
  Tensor* kept_for(int input);

  Executor& executor_;
  const Node& node_;
};

// The axis as 0..rank-1; it may count from the end. Fails outside.
int axis_of(const Run& run, int64_t axis, int rank);

}  // namespace anyon::graph
