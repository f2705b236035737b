// From a strip of queries and a block of keys to the 8-bit weights of its values.
#pragma once

#include "kernels/attention_i8/attention_i8.h"
#include "kernels/linear_i8/micro_kernel_i8.h"
#include "kernels/simd_math.h"

namespace anyon::ANYON_SIMD {

// Weights start from 0 and are relative to the block's own maximum, so that a block of small ones keeps its precision.
inline constexpr int kLargestWeight = kInputLow == 0 ? 255 : 127;

// products = x (rows, 4 * groups) times `panels` panels, several at a time.
inline void multiply_panels(const uint8_t* x, int64_t x_stride, int64_t rows, const int8_t* weight,
                            int64_t panel_stride, int64_t panels, int64_t groups, int32_t* products, int64_t stride) {
  for (int64_t panel = 0; panel < panels;) {
    const bool wide = panels - panel >= kStripPanelsI8;
    strip_kernel_i8(rows, wide)(x, x_stride, weight + panel * panel_stride, panel_stride, groups,
                                products + panel * kPanelWidth, stride);
    panel += wide ? kStripPanelsI8 : 1;
  }
}

// A strip of quantised queries and a block of packed keys.
struct StripOfKeys {
  const uint8_t* queries = nullptr;
  int64_t query_stride = 0, rows = 0;
  const int8_t* keys = nullptr;
  const float* key_scales = nullptr;
  const int32_t* key_sums = nullptr;
  int64_t depth = 0;              // bytes of a key
  int64_t count = 0, padded = 0;  // keys, and the same in whole kPackedKeys
  float* scores = nullptr;        // (rows, kAttentionI8Keys)
  int32_t* products = nullptr;    // scratch of the same shape
};

}  // namespace anyon::ANYON_SIMD

#if defined(ANYON_SIMD_AVX512VNNI)
#include "kernels/attention_i8/weigh_keys_avx512vnni.h"
#else

namespace anyon::ANYON_SIMD {

// Scores of row r, before the query's scale, and the largest of them.
inline float score_row(const StripOfKeys& strip, int64_t r) {
  const int32_t* products = strip.products + r * kAttentionI8Keys;
  float* scores = strip.scores + r * kAttentionI8Keys;
  const auto score = [&](int64_t i) {
    return mul(to_float(sub(load_sum(products + i), load_sum(strip.key_sums + i))), load(strip.key_scales + i));
  };
  constexpr int kUnroll = 4;
  Vec top[kUnroll];
#pragma GCC unroll 4
  for (int c = 0; c < kUnroll; ++c) top[c] = set1(-__builtin_inff());
  int64_t i = 0;
  for (; i + kUnroll * kLanes <= strip.count; i += kUnroll * kLanes) {
#pragma GCC unroll 4
    for (int c = 0; c < kUnroll; ++c) {
      const Vec value = score(i + c * kLanes);
      store(scores + i + c * kLanes, value);
      top[c] = max(value, top[c]);
    }
  }
  float largest = reduce_max(max(max(top[0], top[1]), max(top[2], top[3])));
  for (; i < strip.count; i += kLanes) {  // rows are padded to whole vectors
    store(scores + i, score(i));
    for (int64_t j = i; j < smaller(strip.count, i + kLanes); ++j) largest = larger(largest, scores[j]);
  }
  return largest;
}

inline void score_strip(const StripOfKeys& strip, float* largest) {
  multiply_panels(strip.queries, strip.query_stride, strip.rows, strip.keys, strip.depth * kPanelWidth,
                  strip.padded / kPanelWidth, strip.depth / 4, strip.products, kAttentionI8Keys);
  for (int64_t r = 0; r < strip.rows; ++r) largest[r] = score_row(strip, r);
}

// 2^x for x <= 8, relative error 1e-4: finer than the 8 bits it is rounded to. Exactly 0 far below -127.
inline Vec coarse_exp2(Vec x) {
  x = max(set1(-127.0f), x);
  const Vec shifted = add(x, set1(kRoundToExponent));
  const Vec r = sub(x, sub(shifted, set1(kRoundToExponent)));
  Vec p = set1(0.0558282f);
  p = fma(p, r, set1(0.2401397f));
  p = fma(p, r, set1(0.6931340f));
  p = fma(p, r, set1(1.0f));
  return mul(p, shift_to_exponent(shifted));
}

// Scores of row r to weights kLargestWeight * 2^((score - largest) * factor); returns their sum. Keys from `count` to
// `padded` weigh nothing.
inline float weigh_row(const StripOfKeys& strip, int64_t r, float factor, float largest, uint8_t* weights) {
  constexpr float kLog2Largest = kLargestWeight == 255 ? 7.9943534f : 6.9886847f;
  const float* scores = strip.scores + r * kAttentionI8Keys;
  const Vec slope = set1(factor), shift = set1(kLog2Largest - largest * factor);
  const auto weight = [&](int64_t i) { return coarse_exp2(fma(load(scores + i), slope, shift)); };
  constexpr int kUnroll = 4;
  Sum sum[kUnroll];
#pragma GCC unroll 4
  for (int c = 0; c < kUnroll; ++c) sum[c] = zero_sum();
  int64_t i = 0;
  for (; i + kUnroll * kLanes <= strip.count; i += kUnroll * kLanes) {
#pragma GCC unroll 4
    for (int c = 0; c < kUnroll; ++c) {
      sum[c] = add(sum[c], store_bytes(weights + i + c * kLanes, weight(i + c * kLanes)));
    }
  }
  for (; i < strip.padded; i += kLanes) {
    alignas(64) float lanes[kLanes];
    store(lanes, i < strip.count ? weight(i) : zero());
    const int64_t used = smaller<int64_t>(kLanes, larger<int64_t>(0, strip.count - i));
    for (int64_t j = used; j < kLanes; ++j) lanes[j] = 0.0f;
    sum[0] = add(sum[0], store_bytes(weights + i, load(lanes)));
  }
  return reduce_add(to_float(add(add(sum[0], sum[1]), add(sum[2], sum[3]))));
}

}  // namespace anyon::ANYON_SIMD

#endif
