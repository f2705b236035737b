// Ops that put elements elsewhere by a rule that no value but a shape decides.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "graph/map.h"
#include "graph/strided.h"
#include "kernels/layout/layout.h"
#include "program/describe.h"

namespace anyon::graph {
namespace {

Tensor permuted(Run& run, const Tensor& x, std::span<const int64_t> perm) {
  Shape shape = x.shape;
  for (size_t i = 0; i < perm.size(); ++i) shape[static_cast<int>(i)] = x.shape[static_cast<int>(perm[i])];
  const Tensor y = run.scratch(x.dtype, shape);
  if (y.elements() != 0) anyon::transpose(x.data, x.shape, perm, size_of(x.dtype), y.data, run.pool());
  return y;
}

void transpose_op(Run& run) {
  const Tensor& x = run.input(0);
  std::vector<int64_t> perm;
  for (const int64_t axis : run.attributes().integers("perm")) perm.push_back(axis_of(run, axis, x.shape.rank()));
  if (!run.attributes().has("perm")) {
    for (int64_t axis = x.shape.rank() - 1; axis >= 0; --axis) perm.push_back(axis);
  }
  std::vector<int64_t> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int64_t>(i)) run.fail({"'perm' is not a permutation"});
  }
  if (perm.size() != static_cast<size_t>(x.shape.rank())) run.fail({"'perm' does not have the input's rank"});
  run.give(0, permuted(run, x, perm));
}

void concat(Run& run) {
  const Tensor& first = run.input(0);
  if (!run.attributes().has("axis")) run.fail({"'axis' is missing"});
  const int axis = axis_of(run, run.attributes().integer("axis", 0), first.shape.rank());
  Shape shape = first.shape;
  for (int i = 1; i < run.inputs(); ++i) {
    const Tensor& x = run.input(i);
    if (x.dtype != first.dtype || x.shape.rank() != shape.rank()) {
      run.fail({"input ", i, " differs from the first in type or rank"});
    }
    shape[axis] += x.shape[axis];
    Shape same = x.shape;
    same[axis] = shape[axis];
    if (!(same == shape)) run.fail({"input ", i, " differs from the first outside the axis"});
  }
  const Tensor y = run.make(0, first.dtype, shape);
  const AxisView view(shape, axis);
  const int64_t row = view.size * view.inner * size_of(first.dtype);
  int64_t column = 0;
  for (int i = 0; i < run.inputs(); ++i) {
    const Tensor& x = run.input(i);
    const int64_t piece = x.shape[axis] * view.inner * size_of(first.dtype);
    for (int64_t o = 0; o < view.outer && piece != 0; ++o) {
      std::memcpy(y.as<std::byte>() + o * row + column, x.as<const std::byte>() + o * piece,
                  static_cast<size_t>(piece));
    }
    column += piece;
  }
}

void split(Run& run) {
  const Tensor x = run.input(0);
  const int axis = axis_of(run, run.attributes().integer("axis", 0), x.shape.rank());
  std::vector<int64_t> sizes = run.integers(1);
  if (sizes.empty()) {
    const std::span<const int64_t> attribute = run.attributes().integers("split");
    sizes.assign(attribute.begin(), attribute.end());
  }
  if (sizes.empty()) {
    const int64_t count = run.outputs(), size = (x.shape[axis] + count - 1) / std::max<int64_t>(1, count);
    for (int64_t i = 0; i < count; ++i) sizes.push_back(std::clamp<int64_t>(x.shape[axis] - i * size, 0, size));
  }
  if (sizes.size() != static_cast<size_t>(run.outputs())) run.fail({"it has another number of sizes than of outputs"});
  int64_t total = 0;
  for (const int64_t size : sizes) {
    if (size < 0 || size > x.shape[axis]) run.fail({"a piece is negative or larger than the axis"});
    total += size;
  }
  if (total != x.shape[axis]) run.fail({"the pieces do not add up to the axis of ", shape_text(x.shape)});
  const AxisView view(x.shape, axis);
  int64_t column = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    Shape shape = x.shape;
    shape[axis] = sizes[i];
    const Tensor y = run.make(static_cast<int>(i), x.dtype, shape);
    const int64_t piece = sizes[i] * view.inner * size_of(x.dtype), row = view.size * view.inner * size_of(x.dtype);
    for (int64_t o = 0; o < view.outer && piece != 0; ++o) {
      std::memcpy(y.as<std::byte>() + o * piece, x.as<const std::byte>() + o * row + column,
                  static_cast<size_t>(piece));
    }
    column += piece;
  }
}

void slice(Run& run) {
  const Tensor& x = run.input(0);
  const int rank = x.shape.rank();
  const std::vector<int64_t> starts = run.integers(1), ends = run.integers(2), steps = run.integers(4);
  std::vector<int64_t> axes = run.integers(3);
  if (!run.has(3)) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (starts.size() != ends.size() || starts.size() != axes.size() || (run.has(4) && steps.size() != starts.size())) {
    run.fail({"starts, ends, axes and steps differ in length"});
  }
  Shape shape = x.shape;
  Strides strides = strides_of(x.shape);
  int64_t offset = 0;
  std::array<bool, Shape::kMaxRank> seen{};
  for (size_t i = 0; i < starts.size(); ++i) {
    const int axis = axis_of(run, axes[i], rank);
    if (std::exchange(seen[static_cast<size_t>(axis)], true)) run.fail({"an axis stands twice"});
    const int64_t size = x.shape[axis], step = run.has(4) ? steps[i] : 1;
    if (step == 0 || step == INT64_MIN) run.fail({"a step is 0 or out of range"});
    const auto positive = [size](int64_t at) { return at < 0 ? at + size : at; };
    const int64_t start = std::clamp<int64_t>(positive(starts[i]), 0, step > 0 ? size : std::max<int64_t>(0, size - 1));
    const int64_t end = std::clamp<int64_t>(positive(ends[i]), step > 0 ? 0 : -1, size);
    const int64_t span = step > 0 ? end - start : start - end, width = step > 0 ? step : -step;
    shape[axis] = span <= 0 || size == 0 ? 0 : (span - 1) / width + 1;
    int64_t& stride = strides[static_cast<size_t>(axis)];
    if (shape[axis] > 0) offset += start * stride;
    stride = shape[axis] > 1 ? stride * step : 0;
  }
  copy_strided(x, offset, strides, run.make(0, x.dtype, shape));
}

void expand(Run& run) {
  const Tensor& x = run.input(0);
  const std::vector<int64_t> wanted = run.integers(1);
  for (const int64_t dim : wanted) {
    if (dim < 0) run.fail({"the shape has a negative dimension"});
  }
  const std::array<Shape, 2> shapes = {x.shape, Shape(std::span<const int64_t>(wanted))};
  const Shape shape = broadcast(shapes);
  const Strides own = strides_of(x.shape);
  Strides strides{};
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    const int at = axis + shape.rank() - x.shape.rank();
    strides[static_cast<size_t>(at)] = x.shape[axis] == 1 ? 0 : own[static_cast<size_t>(axis)];
  }
  copy_strided(x, 0, strides, run.make(0, x.dtype, shape));
}

void tile(Run& run) {
  const Tensor& x = run.input(0);
  const std::vector<int64_t> repeats = run.integers(1);
  if (repeats.size() != static_cast<size_t>(x.shape.rank())) run.fail({"it has another number of repeats than axes"});
  Shape shape = x.shape;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const int64_t times = repeats[static_cast<size_t>(axis)];
    if (times < 0 || __builtin_mul_overflow(shape[axis], times, &shape[axis])) run.fail({"the result is too large"});
  }
  const Tensor y = run.make(0, x.dtype, shape);
  if (y.elements() == 0) return;
  std::vector<std::vector<int64_t>> maps;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    std::vector<int64_t>& map = maps.emplace_back(static_cast<size_t>(shape[axis]));
    for (size_t i = 0; i < map.size(); ++i) map[i] = static_cast<int64_t>(i) % x.shape[axis];
  }
  copy_mapped(x, maps, nullptr, y);
}

// Where the element at `at` of a padded axis of `size` comes from; -1 for the fill.
int64_t padded_source(int64_t at, int64_t size, const std::string& mode) {
  if (at >= 0 && at < size) return at;
  if (mode == "constant" || size == 0) return -1;
  if (mode == "edge") return std::clamp<int64_t>(at, 0, size - 1);
  if (mode == "wrap") return ((at % size) + size) % size;
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1), folded = ((at % period) + period) % period;
  return folded < size ? folded : period - folded;
}

void pad(Run& run) {
  const Tensor& x = run.input(0);
  const std::vector<int64_t> pads = run.integers(1);
  std::vector<int64_t> axes = run.integers(3);
  if (!run.has(3)) {
    axes.resize(static_cast<size_t>(x.shape.rank()));
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (pads.size() != 2 * axes.size()) run.fail({"it has another number of pads than twice the axes"});
  const std::string mode = run.attributes().text("mode", "constant");
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "wrap") run.fail({"'mode' is not known"});
  Shape shape = x.shape;
  std::array<int64_t, Shape::kMaxRank> before{};
  for (size_t i = 0; i < axes.size(); ++i) {
    const int axis = axis_of(run, axes[i], x.shape.rank());
    before[static_cast<size_t>(axis)] = pads[i];
    int64_t sum = 0;
    if (__builtin_add_overflow(pads[i], pads[i + axes.size()], &sum) ||
        __builtin_add_overflow(sum, x.shape[axis], &shape[axis]) || shape[axis] < 0) {
      run.fail({"an axis would have a negative size or one out of range"});
    }
  }
  const Tensor y = run.make(0, x.dtype, shape);
  if (y.elements() == 0) return;
  std::vector<std::vector<int64_t>> maps;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    std::vector<int64_t>& map = maps.emplace_back(static_cast<size_t>(shape[axis]));
    for (size_t i = 0; i < map.size(); ++i) {
      map[i] = padded_source(static_cast<int64_t>(i) - before[static_cast<size_t>(axis)], x.shape[axis], mode);
    }
  }
  const Tensor fill = run.has(2) ? run.input_as(2, x.dtype) : Tensor();
  if (fill.defined && fill.elements() != 1) run.fail({"the fill is not one number"});
  copy_mapped(x, maps, fill.data, y);
}

void depth_to_space(Run& run) {
  const Tensor& x = run.input(0);
  const int64_t block = run.attributes().integer("blocksize", 0);
  const std::string mode = run.attributes().text("mode", "DCR");
  if (x.shape.rank() != 4) run.fail({"its input is not (batch, channels, height, width)"});
  const Shape& s = x.shape;
  if (block < 1 || block > 1 << 20 || s[1] % (block * block) != 0)
    run.fail({"'blocksize' does not divide the channels"});
  const int64_t channels = s[1] / (block * block);
  const bool depth_first = mode == "DCR";
  const Shape split =
      depth_first ? Shape{s[0], block, block, channels, s[2], s[3]} : Shape{s[0], channels, block, block, s[2], s[3]};
  constexpr std::array<int64_t, 6> kDepth = {0, 3, 4, 1, 5, 2}, kColumn = {0, 1, 4, 2, 5, 3};
  const Tensor moved = permuted(run, x.reshaped(split), depth_first ? kDepth : kColumn);
  run.give(0, moved.reshaped({s[0], channels, s[2] * block, s[3] * block}));
}

void space_to_depth(Run& run) {
  const Tensor& x = run.input(0);
  const int64_t block = run.attributes().integer("blocksize", 0);
  const std::string mode = run.attributes().text("mode", "DCR");
  if (x.shape.rank() != 4) run.fail({"its input is not (batch, channels, height, width)"});
  const Shape& s = x.shape;
  if (block < 1 || block > 1 << 20 || s[2] % block != 0 || s[3] % block != 0) {
    run.fail({"'blocksize' does not divide height and width"});
  }
  const Shape split = {s[0], s[1], s[2] / block, block, s[3] / block, block};
  constexpr std::array<int64_t, 6> kDepth = {0, 3, 5, 1, 2, 4}, kColumn = {0, 1, 3, 5, 2, 4};
  const Tensor moved = permuted(run, x.reshaped(split), mode == "DCR" ? kDepth : kColumn);
  run.give(0, moved.reshaped({s[0], s[1] * block * block, s[2] / block, s[3] / block}));
}

void trilu(Run& run) {
  const Tensor& x = run.input(0);
  const int rank = x.shape.rank();
  if (rank < 2) run.fail({"its input is no matrix"});
  const bool upper = run.attributes().flag("upper", true);
  const int64_t rows = x.shape[rank - 2], columns = x.shape[rank - 1];
  const int64_t k = std::clamp<int64_t>(run.has(1) ? run.integer(1) : 0, -rows - 1, columns + 1);
  const Tensor y = run.make(0, x.dtype, x.shape);
  with_bytes(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t at = 0; at < x.elements(); ++at) {
      const int64_t column = at % columns, row = at / columns % rows;
      y.as<T>()[at] = (upper ? column >= row + k : column <= row + k) ? x.as<const T>()[at] : T{};
    }
  });
}

void reverse_sequence(Run& run) {
  const Tensor& x = run.input(0);
  const std::vector<int64_t> lengths = run.integers(1);
  const int64_t time_axis = run.attributes().integer("time_axis", 0);
  if (x.shape.rank() < 2 || time_axis + run.attributes().integer("batch_axis", 1) != 1) {
    run.fail({"time and batch are not its first two axes"});
  }
  const int64_t times = x.shape[static_cast<int>(time_axis)], batch = x.shape[static_cast<int>(1 - time_axis)];
  if (lengths.size() != static_cast<size_t>(batch)) run.fail({"it has another number of lengths than rows"});
  const int64_t row = times * batch == 0 ? 0 : x.bytes() / (times * batch);
  const Tensor y = run.make(0, x.dtype, x.shape);
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t length = lengths[static_cast<size_t>(b)];
    if (length < 0 || length > times) run.fail({"a length is outside the time axis"});
    for (int64_t t = 0; t < times; ++t) {
      const auto at = [&](int64_t time) { return (time_axis == 0 ? time * batch + b : b * times + time) * row; };
      std::memcpy(y.as<std::byte>() + at(t), x.as<const std::byte>() + at(t < length ? length - 1 - t : t),
                  static_cast<size_t>(row));
    }
  }
}

constexpr OpRow kRows[] = {
    {"Concat", 4, 1, kAnyNumber, 1, concat, "axis"},
    {"DepthToSpace", 11, 1, 1, 1, depth_to_space, "blocksize mode"},
    {"Expand", 8, 2, 2, 1, expand, ""},
    {"Pad", 11, 2, 4, 1, pad, "mode"},
    {"ReverseSequence", 10, 2, 2, 1, reverse_sequence, "batch_axis time_axis"},
    {"Slice", 10, 3, 5, 1, slice, ""},
    {"SpaceToDepth", 1, 1, 1, 1, space_to_depth, "blocksize mode"},
    {"Split", 2, 1, 2, kAnyNumber, split, "axis num_outputs split"},
    {"Tile", 6, 2, 2, 1, tile, ""},
    {"Transpose", 1, 1, 1, 1, transpose_op, "perm"},
    {"Trilu", 14, 1, 2, 1, trilu, "upper"},
};

}  // namespace

extern const std::span<const OpRow> movement_ops;
constinit const std::span<const OpRow> movement_ops = kRows;

}  // namespace anyon::graph
