// simd.h's vocabulary on AVX2 with FMA.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace anyon::ANYON_SIMD {

inline constexpr int kLanes = 8;

struct Vec {
  __m256 v;
};

inline __m256i first_lanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline Vec load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
inline void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.v);
}
inline Vec load_partial(const float* p, int64_t count) {
  return {_mm256_maskload_ps(p, first_lanes(count))};
}
inline void store_partial(float* p, Vec a, int64_t count) {
  _mm256_maskstore_ps(p, first_lanes(count), a.v);
}
inline Vec set1(float x) {
  return {_mm256_set1_ps(x)};
}
inline Vec load1(const float* p) {
  return {_mm256_broadcast_ss(p)};
}
inline Vec zero() {
  return {_mm256_setzero_ps()};
}
inline Vec add(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
inline Vec sub(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
inline Vec mul(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
inline Vec div(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec fnma(Vec a, Vec b, Vec c) {
  return {_mm256_fnmadd_ps(a.v, b.v, c.v)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
inline Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.v, b.v)};
}
inline Vec abs(Vec a) {
  return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)};
}
inline Vec sqrt(Vec a) {
  return {_mm256_sqrt_ps(a.v)};
}
inline Vec select_less(Vec a, Vec b, Vec x, Vec y) {
  return {_mm256_blendv_ps(y.v, x.v, _mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ))};
}
inline Vec shift_to_exponent(Vec a) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.v), 23))};
}
inline float reduce_add(Vec a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline float reduce_max(Vec a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

// Per 128 bits: the four sums of a, b, c, d.
inline __m256 sum_quads(__m256 a, __m256 b, __m256 c, __m256 d) {
  const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  return _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
}
inline Vec sum_each(const Vec (&v)[kLanes]) {
  const __m256 low = sum_quads(v[0].v, v[1].v, v[2].v, v[3].v);
  const __m256 high = sum_quads(v[4].v, v[5].v, v[6].v, v[7].v);
  return {_mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31))};
}

}  // namespace anyon::ANYON_SIMD
