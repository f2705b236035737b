// Softmax and its relatives along one axis.
#include "kernels/softmax/softmax.h"

#include <algorithm>
#include <cmath>

#include "graph/map.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

// Calls along(first, y, step, size) for every line of the axis.
template <class F>
void lines(Run& run, F along) {
  const DType dtype = run.input(0).dtype;
  if (!is_float(dtype)) run.unsupported({"an input of integers"});
  const Tensor x = run.wide_input(0), y = run.scratch(x.dtype, x.shape);
  const int rank = x.shape.rank();
  const AxisView view =
      rank == 0 ? AxisView({1}, 0) : AxisView(x.shape, axis_of(run, run.attributes().integer("axis", -1), rank));
  with_wide(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_floating_point_v<T>) {
      for (int64_t o = 0; o < view.outer && view.size > 0; ++o) {
        for (int64_t i = 0; i < view.inner; ++i) {
          const int64_t first = o * view.size * view.inner + i;
          along(x.as<const T>() + first, y.as<T>() + first, view.inner, view.size);
        }
      }
    }
  });
  run.give(0, y, dtype);
}

template <class T>
double largest(const T* x, int64_t step, int64_t size) {
  double most = static_cast<double>(x[0]);
  for (int64_t k = 1; k < size; ++k) most = std::max(most, static_cast<double>(x[k * step]));
  return most;
}

void softmax(Run& run) {
  const Tensor& x = run.input(0);
  const int rank = x.shape.rank();
  if (x.dtype == DType::kF32 && rank > 0 && axis_of(run, run.attributes().integer("axis", -1), rank) == rank - 1) {
    const Tensor y = run.make(0, x.dtype, x.shape);
    const int64_t width = x.shape[rank - 1];
    if (x.elements() == 0) return;
    return softmax_rows(run.isa(), x.as<const float>(), y.as<float>(), x.elements() / width, width, run.pool());
  }
  // ONNX defines it as Exp, ReduceSum and Div, each of which rounds to the input's type; that shows with 16 bits.
  const auto rounded = [dtype = x.dtype](double value) -> double {
    const auto single = static_cast<float>(value);
    if (dtype == DType::kF16) return from_half(to_half(single));
    return dtype == DType::kBF16 ? from_bfloat16(to_bfloat16(single)) : value;
  };
  lines(run, [rounded]<class T>(const T* in, T* out, int64_t step, int64_t size) {
    const double most = largest(in, step, size);
    const auto power = [&](int64_t k) { return rounded(std::exp(rounded(static_cast<double>(in[k * step]) - most))); };
    double sum = 0;
    for (int64_t k = 0; k < size; ++k) sum += power(k);
    sum = rounded(sum);
    for (int64_t k = 0; k < size; ++k) out[k * step] = static_cast<T>(power(k) / sum);
  });
}

void log_softmax(Run& run) {
  lines(run, []<class T>(const T* in, T* out, int64_t step, int64_t size) {
    const double most = largest(in, step, size);
    double sum = 0;
    for (int64_t k = 0; k < size; ++k) sum += std::exp(static_cast<double>(in[k * step]) - most);
    const double shift = most + std::log(sum);
    for (int64_t k = 0; k < size; ++k) out[k * step] = static_cast<T>(static_cast<double>(in[k * step]) - shift);
  });
}

void hardmax(Run& run) {
  lines(run, []<class T>(const T* in, T* out, int64_t step, int64_t size) {
    int64_t best = 0;
    for (int64_t k = 0; k < size; ++k) {
      out[k * step] = 0;
      if (in[k * step] > in[best * step]) best = k;
    }
    out[best * step] = 1;
  });
}

constexpr OpRow kRows[] = {
    {"Hardmax", 13, 1, 1, 1, hardmax, "axis"},
    {"LogSoftmax", 13, 1, 1, 1, log_softmax, "axis"},
    {"Softmax", 13, 1, 1, 1, softmax, "axis"},
};

}  // namespace

extern const std::span<const OpRow> softmax_ops;
constinit const std::span<const OpRow> softmax_ops = kRows;

}  // namespace anyon::graph
