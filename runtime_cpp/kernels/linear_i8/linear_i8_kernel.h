// linear_i8's product with its epilogue, written once.
#pragma once

#include "kernels/activation_math.h"
#include "kernels/linear_i8/linear_i8.h"
#include "kernels/linear_i8/micro_kernel_i8.h"
#include "kernels/linear_i8/rounding.h"

namespace anyon::ANYON_SIMD {

// y = act((sums - zero * sum) * scales + bias) + residual for a strip of rows and `width` columns from `begin`.
template <Epilogue kEpilogue>
void finish_strip(const LinearI8Block& block, const int32_t* tile, int64_t row, int64_t rows, int64_t begin,
                  int64_t width) {
  const bool has_bias = block.bias != nullptr, has_residual = block.residual != nullptr;
  const bool wide_inputs = block.x.parts == 2;
  for (int64_t r = row; r < row + rows; ++r) {
    const int32_t* sums = tile + (r - row) * block.x.parts * kStripWidthI8;
    const int32_t zero_point = block.x.zero[r];
    const Vec x_scale = set1(block.x.scale[r]);
    float* y = block.y + r * block.y_stride + begin;
    const float* residual = has_residual ? block.residual + r * block.residual_stride + begin : nullptr;
    const auto finished = [&](int64_t i, Sum weight_sum, Vec weight_scale, Vec bias) {
      Vec sum = to_float(minus_product(load_sum(sums + i), zero_point, weight_sum));
      if (wide_inputs) {
        const Sum low = load_sum(sums + kStripWidthI8 + i);
        sum = fma(sum, set1(256.0f), to_float(kInputLow == 0 ? low : minus_product(low, kInputLow, weight_sum)));
      }
      return activate<kEpilogue>(fma(sum, mul(x_scale, weight_scale), bias), block.activation);
    };
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      Vec value = finished(i, load_sum(block.sum + begin + i), load(block.scale + begin + i),
                           has_bias ? load(block.bias + begin + i) : zero());
      if (has_residual) value = add(value, load(residual + i));
      store(y + i, value);
    }
    if (const int64_t rest = width - i; rest > 0) {
      Vec value =
          finished(i, load_sum_partial(block.sum + begin + i, rest), load_partial(block.scale + begin + i, rest),
                   has_bias ? load_partial(block.bias + begin + i, rest) : zero());
      if (has_residual) value = add(value, load_partial(residual + i, rest));
      store_partial(y + i, value, rest);
    }
  }
}

using finish_strip_function = void(const LinearI8Block& block, const int32_t* tile, int64_t row, int64_t rows,
                                   int64_t begin, int64_t width);

inline finish_strip_function* finish_for(Activation activation) {
  if (activation == Activation::kNone) return finish_strip<Epilogue::kPlain>;
  return activation == Activation::kGelu ? finish_strip<Epilogue::kGelu> : finish_strip<Epilogue::kAny>;
}

inline void multiply_i8(const LinearI8Block& block) {
  alignas(64) int32_t tile[kStripRowsI8 * kStripWidthI8];
  if (block.rows <= 0 || block.n <= 0) return;
  finish_strip_function* finish = finish_for(block.activation);
  const int64_t groups = (block.k + 3) / 4;
  const int64_t panels = (block.n + kPanelWidth - 1) / kPanelWidth;
  const int64_t panel_stride = groups * kPanelWidth * 4;
  const int64_t strip = kStripRowsI8 / block.x.parts;
  // For few rows, inputs are read once for several panels while those come from a cache; from memory each panel is read
  // in one stream.
  constexpr int64_t kCachedBytes = 1 << 20;
  const bool streams = block.rows <= strip && panels * panel_stride > kCachedBytes;
  for (int64_t panel = 0; panel < panels;) {
    const bool wide = !streams && panels - panel >= kStripPanelsI8;
    const int64_t begin = panel * kPanelWidth;
    const int64_t width = smaller<int64_t>(wide ? kStripWidthI8 : kPanelWidth, block.n - begin);
    for (int64_t row = 0; row < block.rows; row += strip) {
      const int64_t rows = smaller(strip, block.rows - row), parts = block.x.parts;
      strip_kernel_i8(rows * parts, wide)(block.x.q + row * parts * block.x.stride, block.x.stride,
                                          block.weight + panel * panel_stride, panel_stride, groups, tile,
                                          kStripWidthI8);
      finish(block, tile, row, rows, begin, width);
    }
    panel += wide ? kStripPanelsI8 : 1;
  }
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

LinearI8Kernels ANYON_KERNEL_NAME(linear_i8_panel16x4)() {
  return {ANYON_SIMD::range, ANYON_SIMD::input_scale, ANYON_SIMD::quantize, ANYON_SIMD::quantize16,
          ANYON_SIMD::multiply_i8};
}

}  // namespace anyon
