// The dot product of the resampler, at any vector width: 32 partial sums in one fixed order, so that every ISA gives
// the same bits.
#pragma once

#include <cstdint>
#include <cstring>

namespace anyon::resampling {

inline constexpr int kDotBlock = 32;

// Sum of a[i] * b[i]; n is a positive multiple of kDotBlock.
using Dot = float (*)(const float* a, const float* b, int64_t n);

float dot_baseline(const float* a, const float* b, int64_t n);
float dot_avx2(const float* a, const float* b, int64_t n);
float dot_avx512(const float* a, const float* b, int64_t n);

namespace {  // compiled once per ISA: internal linkage keeps the copies apart

template <int kBytes>
struct Vector;
template <>
struct Vector<16> {
  typedef float Type __attribute__((vector_size(16)));
};
template <>
struct Vector<32> {
  typedef float Type __attribute__((vector_size(32)));
};
template <>
struct Vector<64> {
  typedef float Type __attribute__((vector_size(64)));
};

template <int kBytes>
inline float dot(const float* a, const float* b, int64_t n) {
  using Float = typename Vector<kBytes>::Type;
  constexpr int kLanes = kBytes / static_cast<int>(sizeof(float));
  constexpr int kVectors = kDotBlock / kLanes;
  const auto product = [&](int64_t i, int v) {
    Float x, y;
    std::memcpy(&x, a + i + v * kLanes, sizeof(x));
    std::memcpy(&y, b + i + v * kLanes, sizeof(y));
    return x * y;
  };
  Float sums[kVectors];
  for (int v = 0; v < kVectors; ++v) sums[v] = product(0, v);
  for (int64_t i = kDotBlock; i < n; i += kDotBlock) {
    for (int v = 0; v < kVectors; ++v) sums[v] += product(i, v);
  }
  // Lane i of the 32 meets lane i + 16, then i + 8, ... whatever the width.
  for (int half = kVectors / 2; half > 0; half /= 2) {
    for (int v = 0; v < half; ++v) sums[v] += sums[v + half];
  }
  float lanes[kLanes];
  std::memcpy(lanes, sums, sizeof(lanes));
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

}  // namespace
}  // namespace anyon::resampling
