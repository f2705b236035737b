// Ops that pick elements by their values: where they differ from zero, the largest, each once.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "graph/map.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

void non_zero(Run& run) {
  const Tensor x = run.input_as(0, DType::kBool);
  const auto* set = x.as<const bool>();
  const int64_t found = std::count(set, set + x.elements(), true);
  const int rank = x.shape.rank();
  const Tensor y = run.make(0, DType::kI64, {rank, found});
  const Strides strides = strides_of(x.shape);
  int64_t column = 0;
  for (int64_t at = 0; at < x.elements(); ++at) {
    if (!set[at]) continue;
    int64_t rest = at;
    for (int axis = 0; axis < rank; ++axis) {
      y.as<int64_t>()[axis * found + column] = rest / strides[static_cast<size_t>(axis)];
      rest %= strides[static_cast<size_t>(axis)];
    }
    ++column;
  }
}

// Entries `picks` of an axis.
void take(const Tensor& x, const AxisView& view, const std::vector<int64_t>& picks, const Tensor& y) {
  const int64_t row = view.inner * size_of(x.dtype);
  auto* to = y.as<std::byte>();
  for (int64_t o = 0; o < view.outer && row != 0; ++o) {
    for (const int64_t pick : picks) {
      std::memcpy(to, x.as<const std::byte>() + (o * view.size + pick) * row, static_cast<size_t>(row));
      to += row;
    }
  }
}

void compress(Run& run) {
  const bool flat = !run.attributes().has("axis");
  const Tensor x = flat ? run.input(0).reshaped({run.input(0).elements()}) : run.input(0);
  const int axis = flat ? 0 : axis_of(run, run.attributes().integer("axis", 0), x.shape.rank());
  const std::vector<int64_t> condition = run.integers(1);
  const AxisView view(x.shape, axis);
  if (static_cast<int64_t>(condition.size()) > view.size) run.fail({"the condition is longer than the axis"});
  std::vector<int64_t> picks;
  for (size_t i = 0; i < condition.size(); ++i) {
    if (condition[i] != 0) picks.push_back(static_cast<int64_t>(i));
  }
  Shape shape = x.shape;
  shape[axis] = static_cast<int64_t>(picks.size());
  take(x, view, picks, run.make(0, x.dtype, shape));
}

void one_hot(Run& run) {
  const std::vector<int64_t> indices = run.integers(0);
  const Shape& shape = run.input(0).shape;
  const int64_t depth = run.integer(1);
  const Tensor& values = run.input(2);
  if (depth < 0 || values.elements() != 2) run.fail({"its depth is negative, or its values are not [off, on]"});
  const int axis = axis_of(run, run.attributes().integer("axis", -1), shape.rank() + 1);
  std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  dims.insert(dims.begin() + axis, depth);
  const Tensor y = run.make(0, values.dtype, Shape(std::span<const int64_t>(dims)));
  const AxisView view(y.shape, axis);
  with_bytes(values.dtype, [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(y.as<T>(), y.elements(), values.as<const T>()[0]);
    for (size_t at = 0; at < indices.size(); ++at) {
      const int64_t index = indices[at] < 0 ? indices[at] + depth : indices[at];
      if (index < 0 || index >= depth) continue;
      const auto place = static_cast<int64_t>(at);
      y.as<T>()[(place / view.inner * depth + index) * view.inner + place % view.inner] = values.as<const T>()[1];
    }
  });
}

void top_k(Run& run) {
  const Tensor x = run.wide_input(0);
  const int axis = axis_of(run, run.attributes().integer("axis", -1), x.shape.rank());
  const bool largest = run.attributes().flag("largest", true);
  const AxisView view(x.shape, axis);
  const int64_t k = run.integer(1);
  if (k < 0 || k > view.size) run.fail({"k ", k, " is outside the axis"});
  Shape shape = x.shape;
  shape[axis] = k;
  const Tensor values = run.scratch(x.dtype, shape), indices = run.make(1, DType::kI64, shape);
  run.expect_room(view.size);
  std::vector<int64_t> order(static_cast<size_t>(view.size));
  with_wide(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t o = 0; o < view.outer; ++o) {
      for (int64_t i = 0; i < view.inner; ++i) {
        const T* first = x.as<const T>() + o * view.size * view.inner + i;
        std::iota(order.begin(), order.end(), 0);
        // Equal elements keep their order; NaN would break the order of a sort, so it counts as the largest.
        const auto before = [&](int64_t a, int64_t b) {
          const T p = first[a * view.inner], q = first[b * view.inner];
          if (p != p || q != q) return p != p && q == q ? largest : p == p && q != q ? !largest : a < b;
          return p == q ? a < b : largest ? p > q : p < q;
        };
        std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
        for (int64_t rank = 0; rank < k; ++rank) {
          const int64_t to = (o * k + rank) * view.inner + i, pick = order[static_cast<size_t>(rank)];
          values.as<T>()[to] = first[pick * view.inner];
          indices.as<int64_t>()[to] = pick;
        }
      }
    }
  });
  run.give(0, values, run.input(0).dtype);
}

void unique(Run& run) {
  const bool flat = !run.attributes().has("axis"), sorted = run.attributes().flag("sorted", true);
  const Tensor raw = flat ? run.input(0).reshaped({run.input(0).elements()}) : run.input(0);
  const Tensor x = run.convert(raw, wide(raw.dtype));
  const int axis = flat ? 0 : axis_of(run, run.attributes().integer("axis", 0), x.shape.rank());
  const AxisView view(x.shape, axis);
  run.expect_room(view.size);
  std::vector<int64_t> order(static_cast<size_t>(view.size)), inverse(order.size()), first, counts;
  std::iota(order.begin(), order.end(), 0);
  with_wide(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto compare = [&](int64_t a, int64_t b) {
      for (int64_t o = 0; o < view.outer; ++o) {
        const T* p = x.as<const T>() + (o * view.size + a) * view.inner;
        const T* q = x.as<const T>() + (o * view.size + b) * view.inner;
        for (int64_t i = 0; i < view.inner; ++i) {
          if (p[i] < q[i]) return -1;
          if (q[i] < p[i]) return 1;
        }
      }
      return 0;
    };
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return compare(a, b) < 0; });
    for (size_t i = 0; i < order.size(); ++i) {
      if (i == 0 || compare(order[i - 1], order[i]) != 0) {
        first.push_back(order[i]);
        counts.push_back(0);
      }
      ++counts.back();
      inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(first.size()) - 1;
    }
  });
  if (!sorted) {  // in the order in which they were met
    std::vector<int64_t> rank(first.size()), place(first.size());
    std::iota(rank.begin(), rank.end(), 0);
    std::sort(rank.begin(), rank.end(),
              [&](int64_t a, int64_t b) { return first[static_cast<size_t>(a)] < first[static_cast<size_t>(b)]; });
    std::vector<int64_t> met, met_counts;
    for (size_t i = 0; i < rank.size(); ++i) {
      const auto old = static_cast<size_t>(rank[i]);
      place[old] = static_cast<int64_t>(i);
      met.push_back(first[old]);
      met_counts.push_back(counts[old]);
    }
    for (int64_t& group : inverse) group = place[static_cast<size_t>(group)];
    first = met;
    counts = met_counts;
  }
  Shape shape = x.shape;
  shape[axis] = static_cast<int64_t>(first.size());
  take(raw, view, first, run.make(0, raw.dtype, shape));
  const std::array<const std::vector<int64_t>*, 3> lists = {&first, &inverse, &counts};
  for (size_t i = 0; i < lists.size(); ++i) {
    if (!run.wants(static_cast<int>(i) + 1)) continue;
    const Tensor list = run.make(static_cast<int>(i) + 1, DType::kI64, {static_cast<int64_t>(lists[i]->size())});
    std::copy(lists[i]->begin(), lists[i]->end(), list.as<int64_t>());
  }
}

constexpr OpRow kRows[] = {
    {"Compress", 9, 2, 2, 1, compress, "axis"},     {"NonZero", 9, 1, 1, 1, non_zero, ""},
    {"OneHot", 9, 3, 3, 1, one_hot, "axis"},        {"TopK", 10, 2, 2, 2, top_k, "axis largest sorted"},
    {"Unique", 11, 1, 1, 4, unique, "axis sorted"},
};

}  // namespace

extern const std::span<const OpRow> selection_ops;
constinit const std::span<const OpRow> selection_ops = kRows;

}  // namespace anyon::graph
