// Ops that give the same elements another shape, or speak about shapes.
#include <algorithm>

#include "graph/run.h"
#include "program/describe.h"

namespace anyon::graph {
namespace {

Shape shape_of(const std::vector<int64_t>& dims) {
  return Shape(std::span<const int64_t>(dims));
}

void check_fills(const Run& run, const Tensor& x, const std::vector<int64_t>& dims) {
  int64_t elements = 1;
  for (const int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(elements, dim, &elements)) run.fail({"the shape is negative or too large"});
  }
  if (elements != x.elements()) {
    run.fail({"a value of shape ", shape_text(x.shape), " does not fill ", shape_text(shape_of(dims))});
  }
}

void reshape(Run& run) {
  const Tensor& x = run.input(0);
  std::vector<int64_t> dims = run.integers(1);
  const bool allow_zero = run.attributes().flag("allowzero");
  int64_t known = 1;
  int inferred = -1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !allow_zero) {
      if (static_cast<int>(i) >= x.shape.rank()) run.fail({"0 stands for an axis that the input lacks"});
      dims[i] = x.shape[static_cast<int>(i)];
    }
    if (dims[i] == -1) {
      if (inferred >= 0) run.fail({"-1 stands twice in the shape"});
      inferred = static_cast<int>(i);
    } else if (__builtin_mul_overflow(known, dims[i], &known)) {
      run.fail({"the shape is too large"});
    }
  }
  if (inferred >= 0) dims[static_cast<size_t>(inferred)] = known == 0 ? 0 : x.elements() / known;
  check_fills(run, x, dims);
  run.give(0, x.reshaped(shape_of(dims)));
}

// Axes come as an input, before opset 13 as an attribute.
std::vector<int64_t> axes_of(Run& run) {
  if (run.has(1)) return run.integers(1);
  const std::span<const int64_t> axes = run.attributes().integers("axes");
  return {axes.begin(), axes.end()};
}

void squeeze(Run& run) {
  const Tensor& x = run.input(0);
  const std::vector<int64_t> axes = axes_of(run);
  std::vector<bool> drop(static_cast<size_t>(x.shape.rank()), false);
  for (int axis = 0; axis < x.shape.rank() && axes.empty(); ++axis) {
    drop[static_cast<size_t>(axis)] = x.shape[axis] == 1;
  }
  for (const int64_t each : axes) {
    const int axis = axis_of(run, each, x.shape.rank());
    if (x.shape[axis] != 1) run.fail({"axis ", axis, " of ", shape_text(x.shape), " is not 1"});
    drop[static_cast<size_t>(axis)] = true;
  }
  std::vector<int64_t> dims;
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    if (!drop[static_cast<size_t>(axis)]) dims.push_back(x.shape[axis]);
  }
  run.give(0, x.reshaped(shape_of(dims)));
}

void unsqueeze(Run& run) {
  const Tensor& x = run.input(0);
  const std::vector<int64_t> axes = axes_of(run);
  const int rank = x.shape.rank() + static_cast<int>(axes.size());
  std::vector<int64_t> dims(static_cast<size_t>(rank), -1);
  for (const int64_t each : axes) {
    int64_t& dim = dims[static_cast<size_t>(axis_of(run, each, rank))];
    if (dim == 1) run.fail({"an axis stands twice"});
    dim = 1;
  }
  int next = 0;
  for (int64_t& dim : dims) {
    if (dim == -1) dim = x.shape[next++];
  }
  run.give(0, x.reshaped(shape_of(dims)));
}

void flatten(Run& run) {
  const Tensor& x = run.input(0);
  const int64_t axis = run.attributes().integer("axis", 1);
  const int split = axis == x.shape.rank() ? x.shape.rank() : axis_of(run, axis, x.shape.rank());
  int64_t rows = 1, columns = 1;
  for (int i = 0; i < x.shape.rank(); ++i) (i < split ? rows : columns) *= x.shape[i];
  run.give(0, x.reshaped({rows, columns}));
}

void identity(Run& run) {
  run.give(0, run.input(0));
}

// Inference: nothing is dropped out, and the mask says so.
void dropout(Run& run) {
  if (run.has(2) && run.integer(2) != 0 && (!run.has(1) || run.number(1) != 0)) {
    run.unsupported({"training_mode, which draws random numbers,"});
  }
  const Tensor& x = run.input(0);
  run.give(0, x);
  if (run.wants(1)) {
    const Tensor mask = run.make(1, DType::kBool, x.shape);
    std::fill_n(mask.as<bool>(), mask.elements(), true);
  }
}

void shape_op(Run& run) {
  const Shape& shape = run.input(0).shape;
  const int64_t rank = shape.rank();
  const auto bound = [rank](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t start = bound(run.attributes().integer("start", 0)), end = bound(run.attributes().integer("end", rank));
  const Tensor y = run.make(0, DType::kI64, {std::max<int64_t>(0, end - start)});
  for (int64_t i = start; i < end; ++i) y.as<int64_t>()[i - start] = shape[static_cast<int>(i)];
}

void size_op(Run& run) {
  *run.make(0, DType::kI64, Shape()).as<int64_t>() = run.input(0).elements();
}

constexpr OpRow kRows[] = {
    {"Dropout", 12, 1, 3, 2, dropout, "ratio seed"}, {"Flatten", 9, 1, 1, 1, flatten, "axis"},
    {"Identity", 1, 1, 1, 1, identity, ""},          {"Reshape", 5, 2, 2, 1, reshape, "allowzero"},
    {"Shape", 1, 1, 1, 1, shape_op, "start end"},    {"Size", 1, 1, 1, 1, size_op, ""},
    {"Squeeze", 1, 1, 2, 1, squeeze, "axes"},        {"Unsqueeze", 1, 1, 2, 1, unsqueeze, "axes"},
};

}  // namespace

extern const std::span<const OpRow> shape_ops;
constinit const std::span<const OpRow> shape_ops = kRows;

}  // namespace anyon::graph
