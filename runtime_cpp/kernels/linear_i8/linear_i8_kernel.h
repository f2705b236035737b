// linear_i8's kernels, written once: ranges, rounding to bytes, and the product with its epilogue.
#pragma once

#include "kernels/activation_math.h"
#include "kernels/linear_i8/linear_i8.h"
#include "kernels/linear_i8/micro_kernel_i8.h"

namespace anyon::ANYON_SIMD {

inline Range range(const float* x, int64_t count) {
  constexpr int kChains = 4;
  Vec low[kChains], high[kChains];
#pragma GCC unroll 4
  for (int c = 0; c < kChains; ++c) low[c] = high[c] = zero();
  int64_t i = 0;
  for (; i + kChains * kLanes <= count; i += kChains * kLanes) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) {
      const Vec value = load(x + i + c * kLanes);
      low[c] = min(value, low[c]);
      high[c] = max(value, high[c]);
    }
  }
  for (; i < count; i += kLanes) {
    const Vec value = count - i >= kLanes ? load(x + i) : load_partial(x + i, count - i);
    low[0] = min(value, low[0]);
    high[0] = max(value, high[0]);
  }
  const Vec least = min(min(low[0], low[1]), min(low[2], low[3]));
  return {-reduce_max(sub(zero(), least)), reduce_max(max(max(high[0], high[1]), max(high[2], high[3])))};
}

inline InputScale input_scale(Range range) {
  InputScale result;
  result.zero = kInputLow;
  const float width = range.high - range.low;
  // Also false for an infinite range, where nothing sensible can be kept.
  if (width > 0.0f && width < 3e38f) {
    result.scale = width / 255.0f;
    result.inverse = 255.0f / width;
    if (!(result.inverse < 3e38f)) return {0.0f, 0.0f, kInputLow};  // all values are next to nothing
    const float zero_point = -range.low * result.inverse;
    result.zero = static_cast<int32_t>(zero_point + 0.5f) + kInputLow;
  }
  return result;
}

inline void quantize(const float* x, int64_t count, const InputScale& scale, uint8_t* q) {
  const Vec inverse = set1(scale.inverse), zero_point = set1(static_cast<float>(scale.zero));
  const Vec lowest = set1(static_cast<float>(kInputLow)), highest = set1(static_cast<float>(kInputLow + 255));
  const auto rounded = [&](Vec value) { return max(min(fma(value, inverse, zero_point), highest), lowest); };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store_bytes(q + i, rounded(load(x + i)));
  if (i < count) {
    uint8_t lanes[kLanes];
    store_bytes(lanes, rounded(load_partial(x + i, count - i)));
    for (int64_t j = 0; i + j < count; ++j) q[i + j] = lanes[j];
  }
}

// y = act((sums - zero * sum) * scales + bias) + residual for a strip of rows and `width` columns from `begin`.
template <Activation kActivation>
void finish_strip(const LinearI8Block& block, const int32_t* tile, int64_t row, int64_t rows, int64_t begin,
                  int64_t width) {
  const bool has_bias = block.bias != nullptr, has_residual = block.residual != nullptr;
  for (int64_t r = row; r < row + rows; ++r) {
    const int32_t* sums = tile + (r - row) * kStripWidthI8;
    const int32_t zero_point = block.x.zero[r];
    const Vec x_scale = set1(block.x.scale[r]);
    float* y = block.y + r * block.y_stride + begin;
    const float* residual = has_residual ? block.residual + r * block.residual_stride + begin : nullptr;
    const auto finished = [&](int64_t i, Sum weight_sum, Vec weight_scale, Vec bias) {
      const Sum sum = minus_product(load_sum(sums + i), zero_point, weight_sum);
      return activate<kActivation>(fma(to_float(sum), mul(x_scale, weight_scale), bias));
    };
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      Vec value = finished(i, load_sum(block.sum + begin + i), load(block.scale + begin + i),
                           has_bias ? load(block.bias + begin + i) : zero());
      if (has_residual) value = add(value, load(residual + i));
      store(y + i, value);
    }
    if (const int64_t rest = width - i; rest > 0) {
      Vec value = finished(i, load_sum_partial(block.sum + begin + i, rest), load_partial(block.scale + begin + i, rest),
                           has_bias ? load_partial(block.bias + begin + i, rest) : zero());
      if (has_residual) value = add(value, load_partial(residual + i, rest));
      store_partial(y + i, value, rest);
    }
  }
}

using finish_strip_function = void(const LinearI8Block& block, const int32_t* tile, int64_t row, int64_t rows,
                                   int64_t begin, int64_t width);

inline finish_strip_function* finish_for(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return finish_strip<Activation::kNone>;
    case Activation::kGelu:
      return finish_strip<Activation::kGelu>;
    case Activation::kGeluTanh:
      return finish_strip<Activation::kGeluTanh>;
    case Activation::kRelu:
      return finish_strip<Activation::kRelu>;
    case Activation::kSilu:
      return finish_strip<Activation::kSilu>;
  }
  return finish_strip<Activation::kNone>;
}

inline void multiply_i8(const LinearI8Block& block) {
  alignas(64) int32_t tile[kStripRowsI8 * kStripWidthI8];
  if (block.rows <= 0 || block.n <= 0) return;
  finish_strip_function* finish = finish_for(block.activation);
  const int64_t groups = (block.k + 3) / 4;
  const int64_t panels = (block.n + kPanelWidth - 1) / kPanelWidth;
  const int64_t panel_stride = groups * kPanelWidth * 4;
  const bool few = block.rows <= kStripRowsI8;  // each panel is read once, in one stream
  for (int64_t panel = 0; panel < panels;) {
    const bool wide = !few && panels - panel >= kStripPanelsI8;
    const int64_t begin = panel * kPanelWidth;
    const int64_t width = smaller<int64_t>(wide ? kStripWidthI8 : kPanelWidth, block.n - begin);
    for (int64_t row = 0; row < block.rows; row += kStripRowsI8) {
      const int64_t rows = smaller<int64_t>(kStripRowsI8, block.rows - row);
      strip_kernel_i8(rows, wide)(block.x.q + row * block.x.stride, block.x.stride, block.weight + panel * panel_stride,
                                  panel_stride, groups, tile, kStripWidthI8);
      finish(block, tile, row, rows, begin, width);
    }
    panel += wide ? kStripPanelsI8 : 1;
  }
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

LinearI8Kernels ANYON_KERNEL_NAME(linear_i8_panel16x4)() {
  return {ANYON_SIMD::range, ANYON_SIMD::input_scale, ANYON_SIMD::quantize, ANYON_SIMD::multiply_i8};
}

}  // namespace anyon
