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

inline InputScale input_scale(Range range, int parts) {
  InputScale result;
  result.zero = kInputLow;
  const float width = range.high - range.low;
  // Also false for an infinite range, where nothing sensible can be kept.
  if (width > 0.0f && width < 3e38f) {
    // 255 of 65535 steps are left so that the zero point can be a multiple of 256, which the low bytes do not see.
    const float steps = parts == 1 ? 255.0f : 65280.0f;
    result.scale = width / steps;
    result.inverse = steps / width;
    if (!(result.inverse < 3e38f)) return {0.0f, 0.0f, kInputLow};  // all values are next to nothing
    const float zero_point = -range.low * result.inverse;
    result.zero =
        kInputLow + static_cast<int32_t>(parts == 1 ? zero_point + 0.5f : (zero_point + 255.5f) * (1.0f / 256.0f));
  }
  return result;
}

inline constexpr float kRounder = 12582912.0f;  // adding it rounds a number below 2^22 to an integer
inline Vec rounded(Vec x) {
  return sub(add(x, set1(kRounder)), set1(kRounder));
}

inline void quantize(const float* x, int64_t count, const InputScale& scale, uint8_t* q) {
  const Vec inverse = set1(scale.inverse), zero_point = set1(static_cast<float>(scale.zero - kInputLow));
  const Vec highest = set1(255.0f);
  const auto byte = [&](Vec value) {
    const Vec scaled = max(min(fma(value, inverse, zero_point), highest), zero());
    // Rounded before it is moved, so that every ISA breaks ties alike.
    return kInputLow == 0 ? scaled : add(rounded(scaled), set1(static_cast<float>(kInputLow)));
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store_bytes(q + i, byte(load(x + i)));
  if (i < count) {
    uint8_t lanes[kLanes];
    store_bytes(lanes, byte(load_partial(x + i, count - i)));
    for (int64_t j = 0; i + j < count; ++j) q[i + j] = lanes[j];
  }
}

#if !defined(ANYON_SIMD_AVX512VNNI)
// kLanes floats in [0, 65535], rounded to integers, as their higher and their lower bytes, both moved by kInputLow.
inline void store_byte_pairs(uint8_t* high, uint8_t* low, Vec a) {
  const Vec q = rounded(a), offset = set1(static_cast<float>(kInputLow));
  const Vec upper = rounded(fma(q, set1(1.0f / 256.0f), set1(-127.5f / 256.0f)));  // q / 256, rounded down
  store_bytes(high, add(upper, offset));
  store_bytes(low, add(fnma(upper, set1(256.0f), q), offset));
}
#endif

inline void quantize16(const float* x, int64_t count, const InputScale& scale, uint8_t* high, uint8_t* low) {
  const Vec inverse = set1(scale.inverse), zero_point = set1(256.0f * static_cast<float>(scale.zero - kInputLow));
  const Vec highest = set1(65535.0f);
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t left = count - i;
    const Vec value = left >= kLanes ? load(x + i) : load_partial(x + i, left);
    const Vec q = max(min(fma(value, inverse, zero_point), highest), zero());
    if (left >= kLanes) {
      store_byte_pairs(high + i, low + i, q);
      continue;
    }
    uint8_t lanes[2][kLanes];
    store_byte_pairs(lanes[0], lanes[1], q);
    for (int64_t j = 0; j < left; ++j) {
      high[i + j] = lanes[0][j];
      low[i + j] = lanes[1][j];
    }
  }
}

// The scale at which values up to `largest` in size fit [-127, 127]; 0 where there is nothing sensible to keep.
inline float symmetric_scale(float largest) {
  const float scale = largest / 127.0f;
  return scale > 1e-37f && scale < 3e38f ? scale : 0.0f;
}

}  // namespace anyon::ANYON_SIMD
