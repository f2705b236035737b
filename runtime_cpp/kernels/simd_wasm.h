// simd.h's vocabulary on WebAssembly's fixed 128-bit vectors. They have no fused multiply-add, so fma rounds twice.
#pragma once

#include <wasm_simd128.h>

#include <cstdint>

namespace anyon::ANYON_SIMD {

inline constexpr int kLanes = 4;

struct Vec {
  v128_t v;
};

inline Vec load(const float* p) {
  return {wasm_v128_load(p)};
}
inline void store(float* p, Vec a) {
  wasm_v128_store(p, a.v);
}
inline Vec load_partial(const float* p, int64_t count) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return load(lanes);
}
inline void store_partial(float* p, Vec a, int64_t count) {
  float lanes[kLanes];
  store(lanes, a);
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}
inline Vec set1(float x) {
  return {wasm_f32x4_splat(x)};
}
inline Vec load1(const float* p) {
  return {wasm_v128_load32_splat(p)};
}
inline Vec zero() {
  return set1(0.0f);
}
inline Vec add(Vec a, Vec b) {
  return {wasm_f32x4_add(a.v, b.v)};
}
inline Vec sub(Vec a, Vec b) {
  return {wasm_f32x4_sub(a.v, b.v)};
}
inline Vec mul(Vec a, Vec b) {
  return {wasm_f32x4_mul(a.v, b.v)};
}
inline Vec div(Vec a, Vec b) {
  return {wasm_f32x4_div(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return add(mul(a, b), c);
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return sub(c, mul(a, b));
}
// Pseudo-maximum and -minimum are one instruction on x86, where the IEEE ones are eight. They give their first operand
// when either is NaN.
inline Vec max(Vec a, Vec b) {
  return {wasm_f32x4_pmax(b.v, a.v)};
}
inline Vec min(Vec a, Vec b) {
  return {wasm_f32x4_pmin(b.v, a.v)};
}
inline Vec abs(Vec a) {
  return {wasm_f32x4_abs(a.v)};
}
inline Vec sqrt(Vec a) {
  return {wasm_f32x4_sqrt(a.v)};
}
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) {
  return {wasm_v128_bitselect(x.v, y.v, wasm_f32x4_lt(a.v, b.v))};
}
inline Vec shift_to_exponent(Vec a) {
  return {wasm_i32x4_shl(a.v, 23)};
}
inline float reduce_add(Vec a) {
  const v128_t halves = wasm_f32x4_add(a.v, wasm_i32x4_shuffle(a.v, a.v, 2, 3, 2, 3));
  return wasm_f32x4_extract_lane(halves, 0) + wasm_f32x4_extract_lane(halves, 1);
}
inline float reduce_max(Vec a) {
  const Vec halves = max(a, {wasm_i32x4_shuffle(a.v, a.v, 2, 3, 2, 3)});
  const Vec one = max(halves, {wasm_i32x4_shuffle(halves.v, halves.v, 1, 1, 1, 1)});
  return wasm_f32x4_extract_lane(one.v, 0);
}
inline Vec sum_each(const Vec (&v)[kLanes]) {
  const auto pairs = [](v128_t a, v128_t b) {
    return wasm_f32x4_add(wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
  };
  return {pairs(pairs(v[0].v, v[1].v), pairs(v[2].v, v[3].v))};
}

}  // namespace anyon::ANYON_SIMD
