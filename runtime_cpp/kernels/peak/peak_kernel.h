// Loops that do nothing but multiply-adds, or nothing but loads.
#pragma once

#include "kernels/peak/peak.h"
#include "kernels/simd.h"

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

PeakKernels ANYON_KERNEL_NAME(peak_f32)() {
  return {ANYON_SIMD::multiply_add, ANYON_SIMD::read_sum};
}

}  // namespace anyon
