// Convolution over any number of axes: windows become columns, which a product with the weight turns into the result.
#include <cmath>
#include <cstring>

#include "graph/map.h"
#include "graph/product.h"
#include "graph/strided.h"
#include "graph/window.h"
#include "kernels/linear/linear.h"

namespace anyon::graph {
namespace {

int64_t group_of(const Run& run, int64_t channels) {
  const int64_t group = run.attributes().integer("group", 1);
  if (group < 1 || channels % group != 0) run.fail({"'group' does not divide the channels"});
  return group;
}

// Windows of `count` positions as linear's panels: (panels of 16 positions, channels * taps, 16).
void fill_columns(Run& run, const float* x, int64_t channels, const Window& window, const int64_t* sources,
                  int64_t count, float* columns) {
  const int64_t k = channels * window.taps, plane = window.in_elements();
  parallel_for(run.pool(), (count + kPanel - 1) / kPanel, 1, [=](int64_t begin, int64_t end, int) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * kPanel, width = std::min(kPanel, count - first);
      float* to = columns + panel * k * kPanel;
      for (int64_t channel = 0; channel < channels; ++channel) {
        const float* from = x + channel * plane;
        for (int64_t tap = 0; tap < window.taps; ++tap, to += kPanel) {
          const int64_t* source = sources + tap * count + first;
          for (int64_t i = 0; i < width; ++i) to[i] = source[i] >= 0 ? from[source[i]] : 0.0f;
          std::fill_n(to + width, kPanel - width, 0.0f);
        }
      }
    }
  });
}

void add_bias(Run& run, const Tensor& y, int64_t channels, const float* bias) {
  const int64_t plane = channels == 0 ? 0 : y.elements() / channels / std::max<int64_t>(1, y.shape[0]);
  for (int64_t row = 0; row < y.shape[0] * channels; ++row) {
    float* to = y.as<float>() + row * plane;
    for (int64_t i = 0; i < plane; ++i) to[i] += bias[row % channels];
  }
}

// Every window is one element, and all of them in order: what is there can be used as it lies.
bool is_pointwise(const Window& window) {
  return std::all_of(window.axes.begin(), window.axes.end(), [](const WindowAxis& axis) {
    return axis.kernel == 1 && axis.stride == 1 && axis.pad_begin == 0 && axis.out == axis.in;
  });
}

Tensor convolve(Run& run, const Tensor& x, const Tensor& weight, const Window& window) {
  const int64_t group = group_of(run, x.shape[1]), batch = x.shape[0], rows = weight.shape[0];
  const int64_t channels = x.shape[1] / group, k = channels * window.taps;
  if (weight.shape.rank() != x.shape.rank() || weight.shape[1] != channels || rows % group != 0 ||
      weight.elements() != rows * k) {
    run.fail({"its weight does not fit its input"});
  }
  const Tensor y = run.scratch(DType::kF32, window.result(batch, rows));
  const int64_t step = positions_at_once(window), plane = window.in_elements();
  const Tensor sources = run.scratch(DType::kI64, {window.taps, step});
  const Tensor columns = run.scratch(DType::kF32, {step / kPanel, k, kPanel});
  const bool pointwise = is_pointwise(window);
  for (int64_t first = 0; first < window.positions; first += step) {
    const int64_t count = std::min(step, window.positions - first);
    if (!pointwise) window_sources(window, first, count, sources.as<int64_t>());
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t g = 0; g < group; ++g) {
        const float* from = x.as<const float>() + (b * group + g) * channels * plane;
        Tensor packed = columns;
        if (pointwise) {
          packed = pack_columns(run, from + first, channels, count, plane, 1);
        } else {
          fill_columns(run, from, channels, window, sources.as<const int64_t>(), count, columns.as<float>());
        }
        const int64_t row = g * (rows / group);
        multiply(run, weight.as<const float>() + row * k, k, packed.as<const float>(),
                 y.as<float>() + (b * rows + row) * window.positions + first, window.positions, rows / group, count, k);
      }
    }
  }
  return y;
}

void conv(Run& run) {
  const DType dtype = run.input(0).dtype;
  if (!is_float(dtype)) run.unsupported({"an input of integers"});
  const Tensor x = run.input_as(0, DType::kF32);
  const Tensor weight = run.derived(1, [&] { return run.input_as(1, DType::kF32); });
  const Window window = window_of(run, x.shape, kernel_of(run, &weight.shape));
  const Tensor y = convolve(run, x, weight, window);
  if (run.has(2)) {
    const Tensor bias = run.input_as(2, DType::kF32);
    if (bias.elements() != weight.shape[0]) run.fail({"its bias does not fit its weight"});
    add_bias(run, y, weight.shape[0], bias.as<const float>());
  }
  run.give(0, y, dtype);
}

// Integers less their zero point as floats, which hold every product of 8-bit numbers; a sum of them is exact up to
// 2^24 and rounds beyond.
Tensor shifted(Run& run, int input, int zero_point) {
  const Tensor x = run.input_as(input, DType::kF32);
  if (!run.has(zero_point)) return x;
  const Tensor zero = run.input_as(zero_point, DType::kF32);
  Shape shape;
  if (zero.elements() != 1) {  // one for each row of the weight
    shape = x.shape;
    for (int axis = 1; axis < shape.rank(); ++axis) shape[axis] = 1;
    if (zero.elements() != shape.elements()) run.fail({"a zero point does not fit"});
  }
  const Tensor y = run.scratch(DType::kF32, x.shape);
  map_pairs<float, float>(run.pool(), x, zero.reshaped(shape), y, [](float a, float b) { return a - b; });
  return y;
}

void conv_integer(Run& run) {
  const Tensor x = shifted(run, 0, 2), weight = shifted(run, 1, 3);
  const Window window = window_of(run, x.shape, kernel_of(run, &weight.shape));
  run.give(0, convolve(run, x, weight, window), DType::kI32);
}

void qlinear_conv(Run& run) {
  const Tensor x = shifted(run, 0, 2), weight = shifted(run, 3, 5);
  const Window window = window_of(run, x.shape, kernel_of(run, &weight.shape));
  const Tensor y = convolve(run, x, weight, window);
  const Tensor w_scale = run.input_as(4, DType::kF32);
  const DType dtype = run.input(7).dtype;
  const int64_t rows = weight.shape[0];
  const double x_scale = run.number(1), y_scale = run.number(6);
  const auto zero = static_cast<double>(run.integer(7));
  const std::vector<int64_t> bias = run.integers(8);
  if ((w_scale.elements() != 1 && w_scale.elements() != rows) ||
      (!bias.empty() && static_cast<int64_t>(bias.size()) != rows)) {
    run.fail({"a scale or bias does not fit the weight"});
  }
  const double least = dtype == DType::kI8 ? -128 : 0, most = dtype == DType::kI8 ? 127 : 255;
  for (int64_t i = 0; i < y.elements(); ++i) {
    const int64_t row = i / window.positions % rows;
    const double scale = x_scale * w_scale.as<const float>()[w_scale.elements() == 1 ? 0 : row] / y_scale;
    const double sum = y.as<float>()[i] + (bias.empty() ? 0.0 : static_cast<double>(bias[static_cast<size_t>(row)]));
    y.as<float>()[i] = static_cast<float>(std::clamp(std::nearbyint(sum * scale) + zero, least, most));
  }
  run.give(0, y, dtype);
}

// The window that would turn the result back into the input.
Window transposed_window(const Run& run, const Shape& x, const std::vector<int64_t>& kernel) {
  const Attributes& attributes = run.attributes();
  const std::span<const int64_t> strides = attributes.integers("strides"), dilations = attributes.integers("dilations"),
                                 pads = attributes.integers("pads"), extra = attributes.integers("output_padding"),
                                 sizes = attributes.integers("output_shape");
  const std::string auto_pad = attributes.text("auto_pad", "NOTSET");
  constexpr int64_t kMost = int64_t{1} << 30;
  const size_t count = kernel.size();
  if (x.rank() != static_cast<int>(count) + 2) run.fail({"its input and its kernel differ in rank"});
  for (const auto list : {strides, dilations, extra, sizes, pads.subspan(0, pads.size() / 2)}) {
    if (!list.empty() && list.size() < count) run.fail({"an attribute does not have one number an axis"});
  }
  Window window;
  for (size_t i = 0; i < count; ++i) {
    WindowAxis axis;
    axis.out = x[static_cast<int>(i) + 2];
    axis.kernel = kernel[i];
    axis.stride = strides.empty() ? 1 : strides[i];
    axis.dilation = dilations.empty() ? 1 : dilations[i];
    const int64_t more = extra.empty() ? 0 : extra[i];
    axis.pad_begin = pads.empty() ? 0 : pads[i];
    axis.pad_end = pads.empty() ? 0 : pads[i + count];
    for (const int64_t value :
         {axis.out, axis.kernel, axis.stride, axis.dilation, axis.pad_begin, axis.pad_end, more}) {
      if (value < 0 || value > kMost) run.fail({"an attribute or size is out of range"});
    }
    if (axis.kernel < 1 || axis.stride < 1 || axis.dilation < 1) run.fail({"an attribute is 0"});
    const int64_t full = axis.stride * (axis.out - 1) + more + (axis.kernel - 1) * axis.dilation + 1;
    if (!sizes.empty() || auto_pad.starts_with("SAME")) {
      axis.in = sizes.empty() ? axis.out * axis.stride : sizes[sizes.size() - count + i];
      const int64_t total = std::max<int64_t>(0, full - axis.in);
      axis.pad_begin = auto_pad == "SAME_UPPER" || auto_pad == "NOTSET" ? total / 2 : total - total / 2;
      axis.pad_end = total - axis.pad_begin;
    } else {
      axis.in = full - axis.pad_begin - axis.pad_end;
    }
    if (axis.in < 0 || axis.in > kMost) run.fail({"its result has a size out of range"});
    // Results that no window reaches lie outside for window_sources(), which is right: nothing is added to them.
    if (__builtin_mul_overflow(window.taps, axis.kernel, &window.taps) || window.taps > kMost ||
        __builtin_mul_overflow(window.positions, axis.out, &window.positions)) {
      run.fail({"its input or its kernel is too large"});
    }
    window.axes.push_back(axis);
  }
  return window;
}

void conv_transpose(Run& run) {
  const DType dtype = run.input(0).dtype;
  if (!is_float(dtype)) run.unsupported({"an input of integers"});
  const Tensor x = run.input_as(0, DType::kF32);
  const Shape weight = run.input(1).shape;
  if (weight.rank() < 3) run.fail({"its weight has no spatial axis"});
  const Window window = transposed_window(run, x.shape, kernel_of(run, &weight));
  const int64_t group = group_of(run, x.shape[1]), batch = x.shape[0], k = x.shape[1] / group;
  const int64_t rows = weight[1], wide_rows = rows * window.taps;
  if (weight[0] != x.shape[1] || weight.elements() != x.shape[1] * wide_rows) {
    run.fail({"its weight does not fit its input"});
  }
  std::vector<int64_t> dims = {batch, rows * group};
  for (const WindowAxis& axis : window.axes) dims.push_back(axis.in);
  const Tensor y = run.scratch(DType::kF32, Shape(std::span<const int64_t>(dims)));
  std::fill_n(y.as<float>(), y.elements(), 0.0f);
  // (channels, rows * taps) of each group, transposed.
  const Tensor turned = run.derived(1, [&] {
    const Tensor all = run.scratch(DType::kF32, {group, wide_rows, k});
    const std::array<int64_t, 3> strides = {k * wide_rows, 1, wide_rows};
    copy_strided(run.input_as(1, DType::kF32), 0, strides, all);
    return all;
  });
  const int64_t step = positions_at_once(window), plane = window.in_elements();
  const Tensor sources = run.scratch(DType::kI64, {window.taps, step});
  const Tensor spread = run.scratch(DType::kF32, {wide_rows, step});
  for (int64_t first = 0; first < window.positions; first += step) {
    const int64_t count = std::min(step, window.positions - first);
    window_sources(window, first, count, sources.as<int64_t>());
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t g = 0; g < group; ++g) {
        const float* from = x.as<const float>() + (b * group + g) * k * window.positions + first;
        const Tensor packed = pack_columns(run, from, k, count, window.positions, 1);
        multiply(run, turned.as<const float>() + g * wide_rows * k, k, packed.as<const float>(), spread.as<float>(),
                 count, wide_rows, count, k);
        for (int64_t row = 0; row < wide_rows; ++row) {
          float* to = y.as<float>() + ((b * group + g) * rows + row / window.taps) * plane;
          const int64_t* place = sources.as<const int64_t>() + row % window.taps * count;
          const float* values = spread.as<const float>() + row * count;
          for (int64_t i = 0; i < count; ++i) {
            if (place[i] >= 0) to[place[i]] += values[i];
          }
        }
      }
    }
  }
  if (run.has(2)) {
    const Tensor bias = run.input_as(2, DType::kF32);
    if (bias.elements() != rows * group) run.fail({"its bias does not fit its weight"});
    add_bias(run, y, rows * group, bias.as<const float>());
  }
  run.give(0, y, dtype);
}

// Columns of windows added back into an image: the inverse walk of im2col.
void col2im(Run& run) {
  const Tensor x = run.wide_input(0);
  const std::vector<int64_t> image = run.integers(1), kernel = run.integers(2);
  if (x.shape.rank() != 3 || image.size() != kernel.size()) run.fail({"its inputs do not fit each other"});
  std::vector<int64_t> dims = {x.shape[0], 1};
  dims.insert(dims.end(), image.begin(), image.end());
  const Window window = window_of(run, Shape(std::span<const int64_t>(dims)), kernel);
  if (x.shape[1] % window.taps != 0 || x.shape[2] != window.positions) run.fail({"its columns do not fit the image"});
  dims[1] = x.shape[1] / window.taps;
  const Tensor y = run.scratch(x.dtype, Shape(std::span<const int64_t>(dims)));
  const Tensor sources = run.scratch(DType::kI64, {window.taps, window.positions});
  window_sources(window, 0, window.positions, sources.as<int64_t>());
  const int64_t plane = window.in_elements();
  with_wide(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(y.as<T>(), y.elements(), T{0});
    for (int64_t row = 0; row < x.shape[0] * x.shape[1]; ++row) {
      const int64_t* place = sources.as<const int64_t>() + row % window.taps * window.positions;
      for (int64_t i = 0; i < window.positions; ++i) {
        if (place[i] < 0) continue;
        T& to = y.as<T>()[row / window.taps * plane + place[i]];
        to = plus(to, x.as<const T>()[row * window.positions + i]);
      }
    }
  });
  run.give(0, y, run.input(0).dtype);
}

float bilinear(const float* plane, int64_t height, int64_t width, double row, double column) {
  // Written so that NaN is outside.
  if (!(row > -1 && column > -1 && row < static_cast<double>(height) && column < static_cast<double>(width))) return 0;
  const auto top = static_cast<int64_t>(std::floor(row)), left = static_cast<int64_t>(std::floor(column));
  double sum = 0;
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      const int64_t r = top + i, c = left + j;
      if (r < 0 || c < 0 || r >= height || c >= width) continue;
      const double weight =
          (1 - std::fabs(row - static_cast<double>(r))) * (1 - std::fabs(column - static_cast<double>(c)));
      sum += weight * plane[r * width + c];
    }
  }
  return static_cast<float>(sum);
}

// Convolution whose taps are moved by offsets and weighted by a mask, two spatial axes.
void deform_conv(Run& run) {
  const Tensor x = run.input_as(0, DType::kF32), weight = run.input_as(1, DType::kF32);
  const Tensor offset = run.input_as(2, DType::kF32), mask = run.has(4) ? run.input_as(4, DType::kF32) : Tensor();
  if (x.shape.rank() != 4) run.unsupported({"another number of axes than two"});
  const Window window = window_of(run, x.shape, kernel_of(run, &weight.shape));
  const int64_t group = group_of(run, x.shape[1]), batch = x.shape[0], rows = weight.shape[0];
  const int64_t per_group = x.shape[1] / group, offset_group = run.attributes().integer("offset_group", 1);
  const int64_t taps = window.taps, positions = window.positions, height = x.shape[2], width = x.shape[3];
  if (offset_group < 1 || x.shape[1] % offset_group != 0 || rows % group != 0 ||
      weight.elements() != rows * per_group * taps ||
      offset.elements() != batch * offset_group * 2 * taps * positions ||
      (mask.defined && mask.elements() != batch * offset_group * taps * positions)) {
    run.fail({"its inputs do not fit each other"});
  }
  const Tensor y = run.scratch(DType::kF32, window.result(batch, rows));
  std::fill_n(y.as<float>(), y.elements(), 0.0f);
  const WindowAxis &down = window.axes[0], &across = window.axes[1];
  for (int64_t at = 0; at < batch * x.shape[1] * taps * positions; ++at) {
    const int64_t position = at % positions, tap = at / positions % taps;
    const int64_t channel = at / positions / taps % x.shape[1], b = at / positions / taps / x.shape[1];
    const int64_t moved = (b * offset_group + channel / (x.shape[1] / offset_group)) * taps + tap;
    const float* shift = offset.as<const float>() + 2 * moved * positions + position;
    const double row = static_cast<double>(position / across.out * down.stride - down.pad_begin +
                                           tap / across.kernel * down.dilation) +
                       shift[0];
    const double column = static_cast<double>(position % across.out * across.stride - across.pad_begin +
                                              tap % across.kernel * across.dilation) +
                          shift[positions];
    float value =
        bilinear(x.as<const float>() + (b * x.shape[1] + channel) * height * width, height, width, row, column);
    if (mask.defined) value *= mask.as<const float>()[moved * positions + position];
    const int64_t g = channel / per_group;
    for (int64_t out = g * (rows / group); out < (g + 1) * (rows / group); ++out) {
      y.as<float>()[(b * rows + out) * positions + position] +=
          value * weight.as<const float>()[(out * per_group + channel % per_group) * taps + tap];
    }
  }
  if (run.has(3)) {
    const Tensor bias = run.input_as(3, DType::kF32);
    if (bias.elements() != rows) run.fail({"its bias does not fit its weight"});
    add_bias(run, y, rows, bias.as<const float>());
  }
  run.give(0, y, run.input(0).dtype);
}

constexpr const char* kWindow = "auto_pad dilations group kernel_shape pads strides";
constexpr OpRow kRows[] = {
    {"Col2Im", 18, 3, 3, 1, col2im, "dilations pads strides"},
    {"Conv", 1, 2, 3, 1, conv, kWindow},
    {"ConvInteger", 10, 2, 4, 1, conv_integer, kWindow},
    {"ConvTranspose", 1, 2, 3, 1, conv_transpose,
     "auto_pad dilations group kernel_shape output_padding output_shape pads strides"},
    {"DeformConv", 19, 3, 5, 1, deform_conv, "dilations group kernel_shape offset_group pads strides"},
    {"QLinearConv", 10, 8, 9, 1, qlinear_conv, kWindow},
};

}  // namespace

extern const std::span<const OpRow> convolution_ops;
constinit const std::span<const OpRow> convolution_ops = kRows;

}  // namespace anyon::graph
