// Pooling: the largest, the mean or the norm of every window, and the way back from the largest.
#include <cmath>
#include <limits>

#include "graph/map.h"
#include "graph/strided.h"
#include "graph/window.h"

namespace anyon::graph {
namespace {

// Calls pool(channel's elements, sources, step between taps, taps, which result) for every window of every channel.
template <class T, class F>
void for_each_window(Run& run, const Tensor& x, const Window& window, F pool) {
  const int64_t step = positions_at_once(window), plane = window.in_elements(), rows = x.shape[0] * x.shape[1];
  const Tensor sources = run.scratch(DType::kI64, {window.taps, step});
  for (int64_t first = 0; first < window.positions; first += step) {
    const int64_t count = std::min(step, window.positions - first);
    window_sources(window, first, count, sources.as<int64_t>());
    parallel_for(run.pool(), rows, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        for (int64_t i = 0; i < count; ++i) {
          pool(x.as<const T>() + row * plane, sources.as<const int64_t>() + i, count,
               row * window.positions + first + i, row * plane);
        }
      }
    });
  }
}

// An index counts through the whole tensor; storage_order 1 counts the spatial axes column by column.
int64_t column_major(const Window& window, int64_t source) {
  int64_t index = 0, stride = 1, rest = source;
  std::array<int64_t, Shape::kMaxRank> coordinates{};
  for (size_t axis = window.axes.size(); axis-- > 0;) {
    coordinates[axis] = rest % window.axes[axis].in;
    rest /= window.axes[axis].in;
  }
  for (size_t axis = 0; axis < window.axes.size(); ++axis) {
    index += coordinates[axis] * stride;
    stride *= window.axes[axis].in;
  }
  return index;
}

void max_pool(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.wide_input(0);
  const Window window = window_of(run, x.shape, kernel_of(run, nullptr));
  const Shape shape = window.result(x.shape[0], x.shape[1]);
  const Tensor y = run.scratch(x.dtype, shape), indices = run.make(1, DType::kI64, shape);
  const bool by_column = run.attributes().integer("storage_order", 0) != 0;
  with_wide(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_window<T>(
        run, x, window, [&](const T* from, const int64_t* source, int64_t step, int64_t at, int64_t base) {
          T best = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
          int64_t place = -1;
          for (int64_t tap = 0; tap < window.taps; ++tap) {
            const int64_t index = source[tap * step];
            if (index >= 0 && (place < 0 || from[index] > best || from[index] != from[index])) {
              best = from[index];
              place = index;
            }
          }
          y.as<T>()[at] = best;
          indices.as<int64_t>()[at] = base + (by_column && place >= 0 ? column_major(window, place) : place);
        });
  });
  run.give(0, y, dtype);
}

void average_pool(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32);
  const Window window = window_of(run, x.shape, kernel_of(run, nullptr));
  const Tensor y = run.scratch(DType::kF32, window.result(x.shape[0], x.shape[1]));
  const bool with_padding = run.attributes().flag("count_include_pad");
  for_each_window<float>(run, x, window,
                         [&](const float* from, const int64_t* source, int64_t step, int64_t at, int64_t) {
                           double sum = 0;
                           int64_t count = 0;
                           for (int64_t tap = 0; tap < window.taps; ++tap) {
                             const int64_t index = source[tap * step];
                             if (index >= 0) sum += from[index];
                             count += index >= 0 || (with_padding && index == kPadding) ? 1 : 0;
                           }
                           y.as<float>()[at] = static_cast<float>(sum / static_cast<double>(count));
                         });
  run.give(0, y, dtype);
}

void lp_pool(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32);
  const Window window = window_of(run, x.shape, kernel_of(run, nullptr));
  const Tensor y = run.scratch(DType::kF32, window.result(x.shape[0], x.shape[1]));
  const auto p = static_cast<double>(run.attributes().integer("p", 2));
  for_each_window<float>(run, x, window,
                         [&](const float* from, const int64_t* source, int64_t step, int64_t at, int64_t) {
                           double sum = 0;
                           for (int64_t tap = 0; tap < window.taps; ++tap) {
                             const int64_t index = source[tap * step];
                             if (index >= 0) sum += std::pow(std::fabs(static_cast<double>(from[index])), p);
                           }
                           y.as<float>()[at] = static_cast<float>(std::pow(sum, 1 / p));
                         });
  run.give(0, y, dtype);
}

// `pool` maps the elements of one channel to its result.
template <class F>
void global_pool(Run& run, F pool) {
  const DType dtype = run.input(0).dtype;
  const Tensor x = run.input_as(0, DType::kF32);
  if (x.shape.rank() < 2) run.fail({"its input has no channels"});
  Shape shape = x.shape;
  for (int axis = 2; axis < shape.rank(); ++axis) shape[axis] = 1;
  const Tensor y = run.scratch(DType::kF32, shape);
  const int64_t channels = y.elements(), plane = channels == 0 ? 0 : x.elements() / channels;
  for (int64_t i = 0; i < channels; ++i) {
    y.as<float>()[i] = static_cast<float>(pool(x.as<const float>() + i * plane, plane));
  }
  run.give(0, y, dtype);
}

void global_average_pool(Run& run) {
  global_pool(run, [](const float* x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += x[i];
    return sum / static_cast<double>(n);
  });
}

void global_max_pool(Run& run) {
  global_pool(run, [](const float* x, int64_t n) { return n == 0 ? 0.0f : *std::max_element(x, x + n); });
}

void global_lp_pool(Run& run) {
  const auto p = static_cast<double>(run.attributes().integer("p", 2));
  global_pool(run, [p](const float* x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += std::pow(std::fabs(static_cast<double>(x[i])), p);
    return std::pow(sum, 1 / p);
  });
}

// Indices count through an output of the size that the attributes give; a larger one may be asked for.
void max_unpool(Run& run) {
  const Tensor& x = run.input(0);
  const std::vector<int64_t> indices = run.integers(1), kernel = kernel_of(run, nullptr);
  const std::span<const int64_t> strides = run.attributes().integers("strides"),
                                 pads = run.attributes().integers("pads");
  const size_t count = kernel.size();
  if (x.shape.rank() != static_cast<int>(count) + 2 || static_cast<int64_t>(indices.size()) != x.elements() ||
      (!strides.empty() && strides.size() != count) || (!pads.empty() && pads.size() != 2 * count)) {
    run.fail({"its inputs and attributes do not fit each other"});
  }
  Shape inner = x.shape;
  for (size_t i = 0; i < count; ++i) {
    int64_t& size = inner[static_cast<int>(i) + 2];
    if (__builtin_mul_overflow(size - 1, strides.empty() ? 1 : strides[i], &size))
      run.fail({"its result is too large"});
    size += kernel[i] - (pads.empty() ? 0 : pads[i] + pads[i + count]);
  }
  const std::vector<int64_t> wanted = run.integers(2);
  const Shape shape = wanted.empty() ? inner : Shape(std::span<const int64_t>(wanted));
  if (shape.rank() != inner.rank()) run.fail({"the output shape has another rank"});
  const Tensor y = run.make(0, x.dtype, shape);
  const Strides from = strides_of(inner), to = strides_of(shape);
  with_bytes(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(y.as<T>(), y.elements(), T{});
    for (size_t i = 0; i < indices.size(); ++i) {
      int64_t rest = indices[i], offset = 0;
      for (size_t axis = 0; axis < static_cast<size_t>(shape.rank()); ++axis) {
        const int64_t at = from[axis] == 0 ? 0 : rest / from[axis];
        rest -= at * from[axis];
        if (at < 0 || at >= shape[static_cast<int>(axis)]) run.fail({"an index is outside the result"});
        offset += at * to[axis];
      }
      y.as<T>()[offset] = x.as<const T>()[i];
    }
  });
}

constexpr OpRow kRows[] = {
    {"AveragePool", 7, 1, 1, 1, average_pool,
     "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"},
    {"GlobalAveragePool", 1, 1, 1, 1, global_average_pool, ""},
    {"GlobalLpPool", 2, 1, 1, 1, global_lp_pool, "p"},
    {"GlobalMaxPool", 1, 1, 1, 1, global_max_pool, ""},
    {"LpPool", 2, 1, 1, 1, lp_pool, "auto_pad ceil_mode dilations kernel_shape p pads strides"},
    {"MaxPool", 1, 1, 1, 2, max_pool, "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"},
    {"MaxUnpool", 9, 2, 3, 1, max_unpool, "kernel_shape pads strides"},
};

}  // namespace

extern const std::span<const OpRow> pooling_ops;
constinit const std::span<const OpRow> pooling_ops = kRows;

}  // namespace anyon::graph
