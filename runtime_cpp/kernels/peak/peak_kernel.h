// Loops that do nothing but multiply-adds, or nothing but loads.
#pragma once

#include "kernels/peak/peak.h"
#if defined(ANYON_SIMD_AVX512)
#include "kernels/simd.h"
#else
#include "kernels/simd_i8.h"
#endif

namespace anyon::ANYON_SIMD {

inline int64_t multiply_add(int64_t iterations) {
  constexpr int kChains = 12;  // latency 4 times 2 per cycle, and slack
  Vec sum[kChains];
#pragma GCC unroll 16
  for (int c = 0; c < kChains; ++c) sum[c] = set1(static_cast<float>(c));
  const Vec factor = set1(0.999f), term = set1(0.001f);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) sum[c] = fma(sum[c], factor, term);
  }
  Vec total = sum[0];
  for (int c = 1; c < kChains; ++c) total = add(total, sum[c]);
  volatile float sink = reduce_add(total);
  (void)sink;
  return iterations * kChains * kLanes * 2;
}

#if !defined(ANYON_SIMD_AVX512)
inline int64_t multiply_add_i8(int64_t iterations) {
  constexpr int kChains = 12;
  alignas(64) int8_t weights[kLanes * 4];
  for (int i = 0; i < kLanes * 4; ++i) weights[i] = static_cast<int8_t>(i % 3);
  const uint8_t bytes[4] = {1, 2, 3, 4};
  int32_t starts[kChains + kLanes];  // different, else the compiler sees that every chain does the same
  for (int i = 0; i < kChains + kLanes; ++i) starts[i] = i;
  const Weights w = load_weights(weights);
  [[maybe_unused]] const Input x = broadcast4(bytes);
  Sum sum[kChains];
#pragma GCC unroll 16
  for (int c = 0; c < kChains; ++c) sum[c] = load_sum(starts + c);
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) {
#if defined(ANYON_SIMD_WASMSIMD)
      // Its products are instructions apart from the sums: of constant inputs they would be taken out of the loop.
      sum[c] = dot4(sum[c], {sum[c].v, sum[c].v}, w);
#else
      sum[c] = dot4(sum[c], x, w);
#endif
    }
  }
  Sum total = sum[0];
  for (int c = 1; c < kChains; ++c) total = add(total, sum[c]);
  volatile float sink = reduce_add(to_float(total));
  (void)sink;
  return iterations * kChains * kLanes * 8;
}
#endif

inline float read_sum(const float* data, int64_t count) {
  constexpr int kVectors = 8;
  Vec sum[kVectors];
#pragma GCC unroll 8
  for (int c = 0; c < kVectors; ++c) sum[c] = zero();
  int64_t i = 0;
  for (; i + kVectors * kLanes <= count; i += kVectors * kLanes) {
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) sum[c] = add(sum[c], load(data + i + c * kLanes));
  }
  Vec total = sum[0];
  for (int c = 1; c < kVectors; ++c) total = add(total, sum[c]);
  float result = reduce_add(total);
  for (; i < count; ++i) result += data[i];
  return result;
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

PeakKernels ANYON_KERNEL_NAME(peak)() {
#if defined(ANYON_SIMD_AVX512)
  return {ANYON_SIMD::multiply_add, nullptr, ANYON_SIMD::read_sum};
#else
  return {ANYON_SIMD::multiply_add, ANYON_SIMD::multiply_add_i8, ANYON_SIMD::read_sum};
#endif
}

}  // namespace anyon
