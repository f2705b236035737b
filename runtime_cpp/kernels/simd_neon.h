// simd.h's vocabulary on AArch64 NEON.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace anyon::ANYON_SIMD {

inline constexpr int kLanes = 4;

struct Vec {
  float32x4_t v;
};

inline Vec load(const float* p) {
  return {vld1q_f32(p)};
}
inline void store(float* p, Vec a) {
  vst1q_f32(p, a.v);
}
inline Vec load_partial(const float* p, int64_t count) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return {vld1q_f32(lanes)};
}
inline void store_partial(float* p, Vec a, int64_t count) {
  float lanes[kLanes];
  vst1q_f32(lanes, a.v);
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}
inline Vec set1(float x) {
  return {vdupq_n_f32(x)};
}
inline Vec load1(const float* p) {
  return {vld1q_dup_f32(p)};
}
inline Vec zero() {
  return {vdupq_n_f32(0.0f)};
}
inline Vec add(Vec a, Vec b) {
  return {vaddq_f32(a.v, b.v)};
}
inline Vec sub(Vec a, Vec b) {
  return {vsubq_f32(a.v, b.v)};
}
inline Vec mul(Vec a, Vec b) {
  return {vmulq_f32(a.v, b.v)};
}
inline Vec div(Vec a, Vec b) {
  return {vdivq_f32(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {vfmaq_f32(c.v, a.v, b.v)};
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return {vfmsq_f32(c.v, a.v, b.v)};
}
inline Vec max(Vec a, Vec b) {
  return {vmaxq_f32(a.v, b.v)};
}
inline Vec min(Vec a, Vec b) {
  return {vminq_f32(a.v, b.v)};
}
inline Vec abs(Vec a) {
  return {vabsq_f32(a.v)};
}
inline Vec sqrt(Vec a) {
  return {vsqrtq_f32(a.v)};
}
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) {
  return {vbslq_f32(vcltq_f32(a.v, b.v), x.v, y.v)};
}
inline Vec shift_to_exponent(Vec a) {
  return {vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a.v), 23))};
}
inline float reduce_add(Vec a) {
  return vaddvq_f32(a.v);
}
inline float reduce_max(Vec a) {
  return vmaxvq_f32(a.v);
}
inline Vec sum_each(const Vec (&v)[kLanes]) {
  return {vpaddq_f32(vpaddq_f32(v[0].v, v[1].v), vpaddq_f32(v[2].v, v[3].v))};
}

}  // namespace anyon::ANYON_SIMD
