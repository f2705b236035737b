// Ops that read elements from places that other values name.
#include <cstring>

#include "graph/map.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

int64_t within(const Run& run, int64_t index, int64_t size) {
  const int64_t positive = index < 0 ? index + size : index;
  if (positive < 0 || positive >= size) {
    run.fail({"index ", index, " is outside an axis of ", size});
  }
  return positive;
}

Shape joined(std::span<const int64_t> a, std::span<const int64_t> b, std::span<const int64_t> c = {}) {
  std::vector<int64_t> dims(a.begin(), a.end());
  dims.insert(dims.end(), b.begin(), b.end());
  dims.insert(dims.end(), c.begin(), c.end());
  return Shape(std::span<const int64_t>(dims));
}

void gather_op(Run& run) {
  const Tensor& x = run.input(0);
  const int axis = axis_of(run, run.attributes().integer("axis", 0), x.shape.rank());
  std::vector<int64_t> indices = run.integers(1);
  const auto split = static_cast<size_t>(axis);
  const Shape shape = joined(x.shape.dims().first(split), run.input(1).shape.dims(), x.shape.dims().subspan(split + 1));
  const AxisView view(x.shape, axis);
  for (int64_t& index : indices) index = within(run, index, view.size);
  const Tensor y = run.make(0, x.dtype, shape);
  const int64_t row = view.inner * size_of(x.dtype);
  auto* to = y.as<std::byte>();
  for (int64_t o = 0; o < view.outer && row != 0; ++o) {
    for (const int64_t index : indices) {
      std::memcpy(to, x.as<const std::byte>() + (o * view.size + index) * row, static_cast<size_t>(row));
      to += row;
    }
  }
}

void gather_elements(Run& run) {
  const Tensor &x = run.input(0), &indices = run.input(1);
  const int rank = x.shape.rank(), axis = axis_of(run, run.attributes().integer("axis", 0), rank);
  if (indices.shape.rank() != rank) run.fail({"its inputs differ in rank"});
  for (int i = 0; i < rank; ++i) {
    if (i != axis && indices.shape[i] > x.shape[i]) run.fail({"the indices reach beyond the data"});
  }
  const std::vector<int64_t> places = run.integers(1);
  const Strides strides = strides_of(x.shape), own = strides_of(indices.shape);
  const Tensor y = run.make(0, x.dtype, indices.shape);
  with_bytes(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t at = 0; at < y.elements(); ++at) {
      int64_t offset = 0, rest = at;
      for (int i = 0; i < rank; ++i) {
        const auto digit = static_cast<size_t>(i);
        const int64_t coordinate = rest / own[digit];
        rest %= own[digit];
        offset += (i == axis ? within(run, places[static_cast<size_t>(at)], x.shape[i]) : coordinate) * strides[digit];
      }
      y.as<T>()[at] = x.as<const T>()[offset];
    }
  });
}

void gather_nd(Run& run) {
  const Tensor &x = run.input(0), &indices = run.input(1);
  const int64_t batch_dims = run.attributes().integer("batch_dims", 0);
  const int rank = indices.shape.rank();
  if (rank < 1 || batch_dims < 0 || batch_dims >= rank || batch_dims > x.shape.rank()) {
    run.fail({"'batch_dims' does not fit its inputs"});
  }
  const int64_t depth = indices.shape[rank - 1];
  if (depth + batch_dims > x.shape.rank()) run.fail({"the indices have more coordinates than the data has axes"});
  const auto fixed = static_cast<size_t>(batch_dims + depth), batch_axes = static_cast<size_t>(batch_dims);
  const Shape shape = joined(indices.shape.dims().first(static_cast<size_t>(rank - 1)), x.shape.dims().subspan(fixed));
  int64_t batches = 1, row = size_of(x.dtype), per_batch = 1;
  for (size_t i = 0; i < batch_axes; ++i) {
    if (indices.shape.dims()[i] != x.shape.dims()[i]) run.fail({"the batch axes differ"});
    batches *= x.shape.dims()[i];
  }
  for (const int64_t dim : x.shape.dims().subspan(fixed)) row *= dim;
  for (const int64_t dim : x.shape.dims().subspan(batch_axes)) per_batch *= dim;
  const std::vector<int64_t> places = run.integers(1);
  const Strides strides = strides_of(x.shape);
  const Tensor y = run.make(0, x.dtype, shape);
  int64_t tuples = 1;
  for (const int64_t dim : indices.shape.dims().first(static_cast<size_t>(rank - 1))) tuples *= dim;
  for (int64_t t = 0; t < tuples && row != 0; ++t) {
    int64_t offset = t / std::max<int64_t>(1, tuples / std::max<int64_t>(1, batches)) * per_batch;
    for (int64_t d = 0; d < depth; ++d) {
      const int axis = static_cast<int>(batch_dims + d);
      offset +=
          within(run, places[static_cast<size_t>(t * depth + d)], x.shape[axis]) * strides[static_cast<size_t>(axis)];
    }
    std::memcpy(y.as<std::byte>() + t * row, x.as<const std::byte>() + offset * size_of(x.dtype),
                static_cast<size_t>(row));
  }
}

constexpr OpRow kRows[] = {
    {"Gather", 1, 2, 2, 1, gather_op, "axis"},
    {"GatherElements", 11, 2, 2, 1, gather_elements, "axis"},
    {"GatherND", 11, 2, 2, 1, gather_nd, "batch_dims"},
};

}  // namespace

extern const std::span<const OpRow> gather_ops;
constinit const std::span<const OpRow> gather_ops = kRows;

}  // namespace anyon::graph
