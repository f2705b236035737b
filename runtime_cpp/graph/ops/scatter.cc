// Ops that write elements to places that other values name.
#include <cstring>

#include "graph/map.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

enum class Combine { kReplace, kAdd, kMultiply, kMax, kMin };

Combine combine_of(const Run& run) {
  const std::string name = run.attributes().text("reduction", "none");
  if (name == "none") return Combine::kReplace;
  if (name == "add") return Combine::kAdd;
  if (name == "mul") return Combine::kMultiply;
  if (name == "max") return Combine::kMax;
  if (name != "min") run.fail({"'reduction' is not known"});
  return Combine::kMin;
}

template <class T>
T combined(Combine combine, T old, T update) {
  switch (combine) {
    case Combine::kAdd:
      return plus(old, update);
    case Combine::kMultiply:
      return times(old, update);
    case Combine::kMax:
      return old < update ? update : old;
    case Combine::kMin:
      return update < old ? update : old;
    default:
      return update;
  }
}

int64_t within(const Run& run, int64_t index, int64_t size) {
  const int64_t positive = index < 0 ? index + size : index;
  if (positive < 0 || positive >= size) {
    run.fail({"index ", index, " is outside an axis of ", size});
  }
  return positive;
}

// A copy of the first input that updates go into, in its wide type.
Tensor copy_of_data(Run& run) {
  const Tensor x = run.wide_input(0);
  const Tensor y = run.scratch(x.dtype, x.shape);
  if (x.elements() != 0) std::memcpy(y.data, x.data, static_cast<size_t>(x.bytes()));
  return y;
}

void scatter_elements(Run& run) {
  const Tensor& indices = run.input(1);
  const Tensor y = copy_of_data(run), updates = run.wide_input(2);
  const int rank = y.shape.rank(), axis = axis_of(run, run.attributes().integer("axis", 0), rank);
  if (!(updates.shape == indices.shape) || indices.shape.rank() != rank || updates.dtype != y.dtype) {
    run.fail({"its inputs do not fit each other"});
  }
  for (int i = 0; i < rank; ++i) {
    if (i != axis && indices.shape[i] > y.shape[i]) run.fail({"the indices reach beyond the data"});
  }
  const Combine combine = combine_of(run);
  const std::vector<int64_t> places = run.integers(1);
  const Strides strides = strides_of(y.shape), own = strides_of(indices.shape);
  with_wide(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t at = 0; at < updates.elements(); ++at) {
      int64_t offset = 0, rest = at;
      for (int i = 0; i < rank; ++i) {
        const auto digit = static_cast<size_t>(i);
        const int64_t coordinate = rest / own[digit];
        rest %= own[digit];
        offset += (i == axis ? within(run, places[static_cast<size_t>(at)], y.shape[i]) : coordinate) * strides[digit];
      }
      T& element = y.as<T>()[offset];
      element = combined(combine, element, updates.as<const T>()[at]);
    }
  });
  run.give(0, y, run.input(0).dtype);
}

void scatter_nd(Run& run) {
  const Tensor& indices = run.input(1);
  const Tensor y = copy_of_data(run), updates = run.wide_input(2);
  const int rank = indices.shape.rank();
  const int64_t depth = rank < 1 ? 0 : indices.shape[rank - 1];
  if (rank < 1 || depth > y.shape.rank() || updates.dtype != y.dtype) run.fail({"its inputs do not fit each other"});
  int64_t row = 1;
  for (int axis = static_cast<int>(depth); axis < y.shape.rank(); ++axis) row *= y.shape[axis];
  const std::vector<int64_t> places = run.integers(1);
  const int64_t tuples = depth == 0 ? 1 : static_cast<int64_t>(places.size()) / depth;
  if (updates.elements() != tuples * row) run.fail({"the updates do not fit the indices"});
  const Strides strides = strides_of(y.shape);
  const Combine combine = combine_of(run);
  with_wide(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t t = 0; t < tuples; ++t) {
      int64_t offset = 0;
      for (int64_t d = 0; d < depth; ++d) {
        const int axis = static_cast<int>(d);
        offset +=
            within(run, places[static_cast<size_t>(t * depth + d)], y.shape[axis]) * strides[static_cast<size_t>(d)];
      }
      T* to = y.as<T>() + offset;
      for (int64_t i = 0; i < row; ++i) to[i] = combined(combine, to[i], updates.as<const T>()[t * row + i]);
    }
  });
  run.give(0, y, run.input(0).dtype);
}

// Writes new positions into a cache, each row of the batch at its own place.
void tensor_scatter(Run& run) {
  const Tensor &past = run.input(0), &update = run.input(1);
  const int rank = past.shape.rank();
  const int axis = axis_of(run, run.attributes().integer("axis", -2), rank);
  const std::string mode = run.attributes().text("mode", "linear");
  if (axis == 0 || update.shape.rank() != rank || update.dtype != past.dtype) run.fail({"its inputs do not fit"});
  Shape same = update.shape;
  same[axis] = past.shape[axis];
  if (!(same == past.shape)) run.fail({"the update differs from the cache outside the axis"});
  run.expect_room(past.shape[0]);
  std::vector<int64_t> starts = run.integers(2);
  if (starts.empty()) starts.assign(static_cast<size_t>(past.shape[0]), 0);
  if (starts.size() != static_cast<size_t>(past.shape[0])) run.fail({"it has another number of places than rows"});
  const Tensor y = run.make(0, past.dtype, past.shape);
  if (past.elements() == 0) return;
  std::memcpy(y.data, past.data, static_cast<size_t>(past.bytes()));
  const AxisView to(past.shape, axis), from(update.shape, axis);
  const int64_t row = to.inner * size_of(past.dtype);
  for (int64_t o = 0; o < to.outer; ++o) {
    const int64_t start = starts[static_cast<size_t>(o / (to.outer / past.shape[0]))];
    if (start < 0 || start > INT64_MAX - from.size) run.fail({"a place is outside the cache"});
    for (int64_t i = 0; i < from.size; ++i) {
      const int64_t place = mode == "circular" ? (start % to.size + i) % to.size : start + i;
      if (place >= to.size) run.fail({"a place is outside the cache"});
      std::memcpy(y.as<std::byte>() + (o * to.size + place) * row,
                  update.as<const std::byte>() + (o * from.size + i) * row, static_cast<size_t>(row));
    }
  }
}

constexpr OpRow kRows[] = {
    {"Scatter", 9, 3, 3, 1, scatter_elements, "axis"},
    {"ScatterElements", 11, 3, 3, 1, scatter_elements, "axis reduction"},
    {"ScatterND", 11, 3, 3, 1, scatter_nd, "reduction"},
    {"TensorScatter", 24, 2, 3, 1, tensor_scatter, "axis mode"},
};

}  // namespace

extern const std::span<const OpRow> scatter_ops;
constinit const std::span<const OpRow> scatter_ops = kRows;

}  // namespace anyon::graph
