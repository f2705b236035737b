// Sums and the like over axes, the place of an extreme, and running sums.
#include <cmath>
#include <limits>

#include "graph/map.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

// x with the axes to reduce moved behind the others: (outer, inner), dense.
struct Reduced {
  Tensor x;
  Shape shape;  // of the result
  int64_t outer = 1, inner = 1;
};

// Axes stand in input 1, before opset 18 (13 for ReduceSum) in an attribute.
std::vector<int64_t> reduced_axes(Run& run) {
  std::vector<int64_t> axes = run.integers(1);
  if (axes.empty()) {
    const std::span<const int64_t> attribute = run.attributes().integers("axes");
    axes.assign(attribute.begin(), attribute.end());
  }
  return axes;
}

Reduced arrange(Run& run, bool& identity) {
  Reduced result;
  result.x = run.wide_input(0);
  const Shape shape = result.x.shape;
  std::vector<int64_t> axes = reduced_axes(run);
  identity = axes.empty() && run.attributes().flag("noop_with_empty_axes");
  const bool keep = run.attributes().flag("keepdims", true);
  std::array<bool, Shape::kMaxRank> reduce{};
  for (const int64_t axis : axes) reduce[static_cast<size_t>(axis_of(run, axis, shape.rank()))] = true;
  if (axes.empty() && !identity) reduce.fill(true);
  std::vector<int64_t> kept, order_dims, order_strides;
  const Strides strides = strides_of(shape);
  bool in_order = true, seen = false;
  for (const bool pass : {false, true}) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (reduce[static_cast<size_t>(axis)] != pass) continue;
      order_dims.push_back(shape[axis]);
      order_strides.push_back(strides[static_cast<size_t>(axis)]);
      (pass ? result.inner : result.outer) *= shape[axis];
    }
  }
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const bool reduced = reduce[static_cast<size_t>(axis)];
    seen = seen || reduced;
    in_order = in_order && (reduced || !seen);
    if (!reduced)
      kept.push_back(shape[axis]);
    else if (keep)
      kept.push_back(1);
  }
  result.shape = Shape(std::span<const int64_t>(kept));
  if (!in_order) {
    const Tensor moved = run.scratch(result.x.dtype, Shape(std::span<const int64_t>(order_dims)));
    copy_strided(result.x, 0, order_strides, moved);
    result.x = moved;
  }
  return result;
}

// `row` maps (first element, count) of T to the result; floats add up in double.
template <class F>
void reduce(Run& run, F row) {
  const DType dtype = run.input(0).dtype;
  bool identity = false;
  const Reduced reduced = arrange(run, identity);
  const Tensor y = run.scratch(reduced.x.dtype, reduced.shape);
  with_wide(reduced.x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* x = reduced.x.as<const T>();
    T* out = y.as<T>();
    const int64_t inner = reduced.inner;
    parallel_for(run.pool(), reduced.outer, std::max<int64_t>(1, kMapGrain / std::max<int64_t>(1, inner)),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) out[i] = number_cast<T>(row(x + i * inner, inner));
                 });
  });
  run.give(0, y, dtype);
}

// What a sum of Ts is kept in.
template <class T>
using Sum = std::conditional_t<std::is_floating_point_v<T>, double, T>;

template <class T, class F>
Sum<T> sum_of(const T* x, int64_t n, F f) {
  Sum<T> sum = 0;
  for (int64_t i = 0; i < n; ++i) sum = plus(sum, f(static_cast<Sum<T>>(x[i])));
  return sum;
}

template <class T>
T magnitude(T x) {
  return x < 0 ? minus(T{0}, x) : x;
}

void reduce_sum(Run& run) {
  reduce(run, []<class T>(const T* x, int64_t n) { return sum_of(x, n, [](auto v) { return v; }); });
}
void reduce_mean(Run& run) {
  reduce(run, []<class T>(const T* x, int64_t n) {
    const auto sum = sum_of(x, n, [](auto v) { return v; });
    return n == 0 && std::is_integral_v<T> ? Sum<T>{0} : sum / static_cast<Sum<T>>(n);
  });
}
void reduce_l1(Run& run) {
  reduce(run, []<class T>(const T* x, int64_t n) { return sum_of(x, n, [](auto v) { return magnitude(v); }); });
}
void reduce_l2(Run& run) {
  reduce(run, []<class T>(const T* x, int64_t n) {
    return std::sqrt(static_cast<double>(sum_of(x, n, [](auto v) { return times(v, v); })));
  });
}
void reduce_sum_square(Run& run) {
  reduce(run, []<class T>(const T* x, int64_t n) { return sum_of(x, n, [](auto v) { return times(v, v); }); });
}
void reduce_log_sum(Run& run) {
  reduce(run, []<class T>(const T* x, int64_t n) {
    return std::log(static_cast<double>(sum_of(x, n, [](auto v) { return v; })));
  });
}
void reduce_log_sum_exp(Run& run) {
  reduce(run, []<class T>(const T* x, int64_t n) {
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < n; ++i) most = std::max(most, static_cast<double>(x[i]));
    if (std::isinf(most)) return most;
    for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i]) - most);
    return most + std::log(sum);
  });
}
void reduce_prod(Run& run) {
  reduce(run, []<class T>(const T* x, int64_t n) {
    Sum<T> product = 1;
    for (int64_t i = 0; i < n; ++i) product = times(product, static_cast<Sum<T>>(x[i]));
    return product;
  });
}

// The extreme of nothing is the least (greatest) value of the type, false (true) for bool.
template <bool kMax>
void reduce_extreme(Run& run) {
  const DType dtype = run.input(0).dtype;
  reduce(run, [dtype]<class T>(const T* x, int64_t n) -> T {
    if (n == 0) {
      if constexpr (std::is_floating_point_v<T>) {
        return kMax ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
      } else if (dtype == DType::kBool || dtype == DType::kU64) {
        return kMax ? T{0} : dtype == DType::kBool ? T{1} : std::numeric_limits<T>::max();
      } else {
        const bool is_unsigned = dtype == DType::kU8 || dtype == DType::kU16 || dtype == DType::kU32;
        const int bits = static_cast<int>(8 * size_of(dtype)) - (is_unsigned ? 0 : 1);
        const auto most = static_cast<int64_t>((uint64_t{1} << bits) - 1);
        return static_cast<T>(kMax ? (is_unsigned ? 0 : -most - 1) : most);
      }
    }
    T best = x[0];
    for (int64_t i = 1; i < n; ++i) {
      if constexpr (std::is_floating_point_v<T>) {
        if (std::isnan(x[i])) return x[i];
      }
      if (kMax ? x[i] > best : x[i] < best) best = x[i];
    }
    return best;
  });
}

template <bool kMax>
void arg_extreme(Run& run) {
  const Tensor x = run.wide_input(0);
  if (x.shape.rank() == 0) {
    *run.make(0, DType::kI64, Shape()).template as<int64_t>() = 0;
    return;
  }
  const int axis = axis_of(run, run.attributes().integer("axis", 0), x.shape.rank());
  const bool last = run.attributes().flag("select_last_index"), keep = run.attributes().flag("keepdims", true);
  const AxisView view(x.shape, axis);
  if (view.size == 0 && view.outer * view.inner != 0) run.fail({"the axis is empty"});
  std::vector<int64_t> dims;
  for (int i = 0; i < x.shape.rank(); ++i) {
    if (i != axis)
      dims.push_back(x.shape[i]);
    else if (keep)
      dims.push_back(1);
  }
  const Tensor y = run.make(0, DType::kI64, Shape(std::span<const int64_t>(dims)));
  with_wide(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t o = 0; o < view.outer; ++o) {
      for (int64_t i = 0; i < view.inner; ++i) {
        const T* first = x.as<const T>() + o * view.size * view.inner + i;
        int64_t best = 0;
        for (int64_t k = 1; k < view.size; ++k) {
          const T value = first[k * view.inner], most = first[best * view.inner];
          if ((kMax ? value > most : value < most) || (last && value == most)) best = k;
        }
        y.as<int64_t>()[o * view.inner + i] = best;
      }
    }
  });
}

template <class F>
void cumulate(Run& run, F f, int start) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.wide_input(0);
  const int axis = axis_of(run, run.integer(1), x.shape.rank());
  const bool exclusive = run.attributes().flag("exclusive"), reverse = run.attributes().flag("reverse");
  const AxisView view(x.shape, axis);
  const Tensor y = run.scratch(x.dtype, x.shape);
  with_wide(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t o = 0; o < view.outer; ++o) {
      for (int64_t i = 0; i < view.inner; ++i) {
        Sum<T> sum = static_cast<Sum<T>>(start);
        for (int64_t k = 0; k < view.size; ++k) {
          const int64_t at = (o * view.size + (reverse ? view.size - 1 - k : k)) * view.inner + i;
          const auto value = static_cast<Sum<T>>(x.as<const T>()[at]);
          const Sum<T> next = f(sum, value);
          y.as<T>()[at] = static_cast<T>(exclusive ? sum : next);
          sum = next;
        }
      }
    }
  });
  run.give(0, y, dtype);
}

void cum_sum(Run& run) {
  cumulate(
      run, [](auto a, auto b) { return plus(a, b); }, 0);
}
void cum_prod(Run& run) {
  cumulate(
      run, [](auto a, auto b) { return times(a, b); }, 1);
}

constexpr const char* kReduce = "axes keepdims noop_with_empty_axes";
constexpr OpRow kRows[] = {
    {"ArgMax", 12, 1, 1, 1, arg_extreme<true>, "axis keepdims select_last_index"},
    {"ArgMin", 12, 1, 1, 1, arg_extreme<false>, "axis keepdims select_last_index"},
    {"CumProd", 26, 2, 2, 1, cum_prod, "exclusive reverse"},
    {"CumSum", 11, 2, 2, 1, cum_sum, "exclusive reverse"},
    {"ReduceL1", 11, 1, 2, 1, reduce_l1, kReduce},
    {"ReduceL2", 11, 1, 2, 1, reduce_l2, kReduce},
    {"ReduceLogSum", 11, 1, 2, 1, reduce_log_sum, kReduce},
    {"ReduceLogSumExp", 11, 1, 2, 1, reduce_log_sum_exp, kReduce},
    {"ReduceMax", 11, 1, 2, 1, reduce_extreme<true>, kReduce},
    {"ReduceMean", 11, 1, 2, 1, reduce_mean, kReduce},
    {"ReduceMin", 11, 1, 2, 1, reduce_extreme<false>, kReduce},
    {"ReduceProd", 11, 1, 2, 1, reduce_prod, kReduce},
    {"ReduceSum", 11, 1, 2, 1, reduce_sum, kReduce},
    {"ReduceSumSquare", 11, 1, 2, 1, reduce_sum_square, kReduce},
};

}  // namespace

extern const std::span<const OpRow> reduction_ops;
constinit const std::span<const OpRow> reduction_ops = kRows;

}  // namespace anyon::graph
