// From floats to 8 bits: the range of a row, the scale that fits it, and the rounding.
#pragma once

#include "kernels/linear_i8/linear_i8.h"
#include "kernels/simd_i8.h"

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
  const Vec inverse = set1(scale.inverse), zero_point = set1(static_cast<float>(scale.zero - kInputLow));
  const Vec highest = set1(255.0f);
  const auto rounded = [&](Vec value) {
    const Vec q = max(min(fma(value, inverse, zero_point), highest), zero());
    if constexpr (kInputLow == 0) return q;
    // Rounded before it is moved, so that every ISA breaks ties alike.
    constexpr float kRounder = 12582912.0f;
    return add(sub(add(q, set1(kRounder)), set1(kRounder)), set1(static_cast<float>(kInputLow)));
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store_bytes(q + i, rounded(load(x + i)));
  if (i < count) {
    uint8_t lanes[kLanes];
    store_bytes(lanes, rounded(load_partial(x + i, count - i)));
    for (int64_t j = 0; i + j < count; ++j) q[i + j] = lanes[j];
  }
}

// The scale at which values up to `largest` in size fit [-127, 127]; 0 where there is nothing sensible to keep.
inline float symmetric_scale(float largest) {
  const float scale = largest / 127.0f;
  return scale > 1e-37f && scale < 3e38f ? scale : 0.0f;
}

}  // namespace anyon::ANYON_SIMD
