// simd.h's vocabulary in plain C++: four lanes that any compiler can keep in whatever registers it has. Multiply-adds
// round twice here, because a correctly fused one without hardware is a slow library call.
#pragma once

#include <cmath>
#include <cstdint>

namespace anyon::scalar {

inline constexpr int kLanes = 4;

struct Vec {
  float v[kLanes];
};

template <class F>
inline Vec each_lane(F&& f) {
  Vec result;
  for (int i = 0; i < kLanes; ++i) result.v[i] = f(i);
  return result;
}

inline Vec load(const float* p) {
  return each_lane([&](int i) { return p[i]; });
}
inline void store(float* p, Vec a) {
  for (int i = 0; i < kLanes; ++i) p[i] = a.v[i];
}
inline Vec load_partial(const float* p, int64_t count) {
  return each_lane([&](int i) { return i < count ? p[i] : 0.0f; });
}
inline void store_partial(float* p, Vec a, int64_t count) {
  for (int i = 0; i < count; ++i) p[i] = a.v[i];
}
inline Vec set1(float x) {
  return each_lane([&](int) { return x; });
}
inline Vec load1(const float* p) {
  return set1(*p);
}
inline Vec zero() {
  return set1(0.0f);
}
inline Vec add(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] + b.v[i]; });
}
inline Vec sub(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] - b.v[i]; });
}
inline Vec mul(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] * b.v[i]; });
}
inline Vec div(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] / b.v[i]; });
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return each_lane([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return each_lane([&](int i) { return c.v[i] - a.v[i] * b.v[i]; });
}
inline Vec max(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec min(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec abs(Vec a) {
  return each_lane([&](int i) { return __builtin_fabsf(a.v[i]); });
}
inline Vec sqrt(Vec a) {
  return each_lane([&](int i) { return __builtin_sqrtf(a.v[i]); });
}
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) {
  return each_lane([&](int i) { return a.v[i] < b.v[i] ? x.v[i] : y.v[i]; });
}
inline Vec shift_to_exponent(Vec a) {
  return each_lane([&](int i) { return __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, a.v[i]) << 23); });
}
inline float reduce_add(Vec a) {
  return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
}
inline float reduce_max(Vec a) {
  float result = a.v[0];
  for (int i = 1; i < kLanes; ++i) result = a.v[i] > result ? a.v[i] : result;
  return result;
}
inline Vec sum_each(const Vec (&v)[kLanes]) {
  return each_lane([&](int i) { return reduce_add(v[i]); });
}

}  // namespace anyon::scalar
