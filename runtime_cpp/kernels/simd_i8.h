// What integer kernels add to simd.h: products of 8-bit inputs with 8-bit weights, summed exactly in 32 bits.
//
//   Sum          kLanes int32 sums; zero_sum, load_sum, store_sum
//   Weights      kLanes x 4 int8 weights in [-127, 127]; load_weights
//   Input        4 quantised inputs, the same in every lane; broadcast4
//   dot4         sum[i] + input[0..3] . weights[i][0..3]
//   to_float     the sums as floats
//   minus_product(a, z, b) = a - z * b
//   store_bytes  kLanes floats, rounded to the nearest integer (ties to even), as bytes, and gives the integers; the
//   caller
//                keeps them in range
//   store_quads  4 x kLanes floats as kLanes x 4 bytes: lane i of a, b, c, d side by side
//   With AVX-512 VNNI only: add_dot4 is dot4 in place; Inputs are 4 Input, load_inputs, pick<which>(inputs);
//   store_byte_pairs
//   kInputLow    the smallest quantised input: 0 where the product takes unsigned inputs, else -128
#pragma once

#include "kernels/simd.h"

namespace anyon::ANYON_SIMD {

#if defined(ANYON_SIMD_AVX512VNNI)

inline constexpr int kInputLow = 0;
struct Sum {
  __m512i v;
};
struct Weights {
  __m512i v;
};
struct Input {
  __m512i v;
};
inline Sum zero_sum() {
  return {_mm512_setzero_si512()};
}
inline Sum load_sum(const int32_t* p) {
  return {_mm512_loadu_si512(p)};
}
inline void store_sum(int32_t* p, Sum a) {
  _mm512_storeu_si512(p, a.v);
}
inline Sum add(Sum a, Sum b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
inline Sum sub(Sum a, Sum b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
inline Weights load_weights(const int8_t* p) {
  return {_mm512_loadu_si512(p)};
}
inline Input broadcast4(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return {_mm512_set1_epi32(four)};
}
inline Sum dot4(Sum sum, Input x, Weights w) {
  return {_mm512_dpbusd_epi32(sum.v, x.v, w.v)};
}
// sum = dot4(sum, x, w). Of the intrinsic GCC makes a load of w for every x, and copies of the sum.
inline void add_dot4(Sum& sum, Input x, Weights w) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(x.v), "v"(w.v));
}
struct Inputs {
  __m512i v;
};
inline Inputs load_inputs(const uint8_t* p) {
  return {_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
template <int kGroup>
inline Input pick(Inputs x) {
  return {_mm512_shuffle_epi32(x.v, static_cast<_MM_PERM_ENUM>(kGroup * 0x55))};
}
inline Vec to_float(Sum a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
inline Sum minus_product(Sum a, int32_t z, Sum b) {
  return {_mm512_sub_epi32(a.v, _mm512_mullo_epi32(_mm512_set1_epi32(z), b.v))};
}
inline Sum store_bytes(uint8_t* p, Vec a) {
  const __m512i whole = _mm512_cvtps_epi32(a.v);
  const __m128i bytes = _mm512_cvtepi32_epi8(whole);
  __builtin_memcpy(p, &bytes, 16);
  return {whole};
}
// kLanes floats in [0, 65535], rounded to integers, as their higher and their lower bytes.
inline void store_byte_pairs(uint8_t* high, uint8_t* low, Vec a) {
  const __m512i whole = _mm512_cvtps_epi32(a.v);
  const __m128i upper = _mm512_cvtepi32_epi8(_mm512_srli_epi32(whole, 8)), lower = _mm512_cvtepi32_epi8(whole);
  __builtin_memcpy(high, &upper, 16);
  __builtin_memcpy(low, &lower, 16);
}
inline void store_quads(int8_t* p, Vec a, Vec b, Vec c, Vec d) {
  const __m512i low = _mm512_set1_epi32(255);
  const __m512i ab = _mm512_or_si512(_mm512_and_si512(_mm512_cvtps_epi32(a.v), low),
                                     _mm512_slli_epi32(_mm512_and_si512(_mm512_cvtps_epi32(b.v), low), 8));
  const __m512i cd =
      _mm512_or_si512(_mm512_and_si512(_mm512_cvtps_epi32(c.v), low), _mm512_slli_epi32(_mm512_cvtps_epi32(d.v), 8));
  _mm512_storeu_si512(p, _mm512_or_si512(ab, _mm512_slli_epi32(cd, 16)));
}

#elif defined(ANYON_SIMD_AVX2) || defined(ANYON_SIMD_AVXVNNI)

struct Sum {
  __m256i v;
};
struct Weights {
  __m256i v;
};
inline Sum zero_sum() {
  return {_mm256_setzero_si256()};
}
inline Sum load_sum(const int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
inline void store_sum(int32_t* p, Sum a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v);
}
inline Sum add(Sum a, Sum b) {
  return {_mm256_add_epi32(a.v, b.v)};
}
inline Sum sub(Sum a, Sum b) {
  return {_mm256_sub_epi32(a.v, b.v)};
}
inline Weights load_weights(const int8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}
inline Vec to_float(Sum a) {
  return {_mm256_cvtepi32_ps(a.v)};
}
inline Sum minus_product(Sum a, int32_t z, Sum b) {
  return {_mm256_sub_epi32(a.v, _mm256_mullo_epi32(_mm256_set1_epi32(z), b.v))};
}
#if defined(ANYON_SIMD_AVXVNNI)
inline constexpr int kInputLow = 0;
struct Input {
  __m256i v;
};
inline Input broadcast4(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return {_mm256_set1_epi32(four)};
}
inline Sum dot4(Sum sum, Input x, Weights w) {
  return {_mm256_dpbusd_avx_epi32(sum.v, x.v, w.v)};
}
#else
// maddubs adds two products in 16 bits, which saturate with unsigned inputs (2 x 255 x 127). With signed ones it takes
// |x| <= 128 and the weight with the sign of x: at most 2 x 128 x 127, which fits.
inline constexpr int kInputLow = -128;
struct Input {
  __m256i v, size;
};
inline Input broadcast4(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  const __m256i v = _mm256_set1_epi32(four);
  return {v, _mm256_abs_epi8(v)};
}
inline Sum dot4(Sum sum, Input x, Weights w) {
  const __m256i pairs = _mm256_maddubs_epi16(x.size, _mm256_sign_epi8(w.v, x.v));
  return {_mm256_add_epi32(sum.v, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}
#endif
inline Sum store_bytes(uint8_t* p, Vec a) {
  const __m256i whole = _mm256_cvtps_epi32(a.v);
  // Within [-128, 255]: the low byte of each, gathered by shuffles.
  const __m256i low =
      _mm256_shuffle_epi8(whole, _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8,
                                                  12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  const __m128i bytes = _mm_unpacklo_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), bytes);
  return {whole};
}
inline void store_quads(int8_t* p, Vec a, Vec b, Vec c, Vec d) {
  const __m256i low = _mm256_set1_epi32(255);
  const __m256i ab = _mm256_or_si256(_mm256_and_si256(_mm256_cvtps_epi32(a.v), low),
                                     _mm256_slli_epi32(_mm256_and_si256(_mm256_cvtps_epi32(b.v), low), 8));
  const __m256i cd =
      _mm256_or_si256(_mm256_and_si256(_mm256_cvtps_epi32(c.v), low), _mm256_slli_epi32(_mm256_cvtps_epi32(d.v), 8));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_or_si256(ab, _mm256_slli_epi32(cd, 16)));
}

#elif defined(ANYON_SIMD_NEON) || defined(ANYON_SIMD_NEONDOT) || defined(ANYON_SIMD_NEONI8MM)

inline constexpr int kInputLow = -128;
struct Sum {
  int32x4_t v;
};
struct Weights {
  int8x16_t v;
};
struct Input {
  int8x16_t v;
};
inline Sum zero_sum() {
  return {vdupq_n_s32(0)};
}
inline Sum load_sum(const int32_t* p) {
  return {vld1q_s32(p)};
}
inline void store_sum(int32_t* p, Sum a) {
  vst1q_s32(p, a.v);
}
inline Sum add(Sum a, Sum b) {
  return {vaddq_s32(a.v, b.v)};
}
inline Sum sub(Sum a, Sum b) {
  return {vsubq_s32(a.v, b.v)};
}
inline Weights load_weights(const int8_t* p) {
  return {vld1q_s8(p)};
}
inline Input broadcast4(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return {vreinterpretq_s8_s32(vdupq_n_s32(four))};
}
inline Sum dot4(Sum sum, Input x, Weights w) {
#if !defined(ANYON_SIMD_NEON)
  return {vdotq_s32(sum.v, w.v, x.v)};
#else
  // Two products of at most 128 x 127 fit 16 bits.
  const int16x8_t low = vmull_s8(vget_low_s8(w.v), vget_low_s8(x.v));
  const int16x8_t high = vmull_high_s8(w.v, x.v);
  return {vaddq_s32(sum.v, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)))};
#endif
}
inline Vec to_float(Sum a) {
  return {vcvtq_f32_s32(a.v)};
}
inline Sum minus_product(Sum a, int32_t z, Sum b) {
  return {vmlsq_n_s32(a.v, b.v, z)};
}
inline Sum store_bytes(uint8_t* p, Vec a) {
  const int32x4_t whole = vcvtnq_s32_f32(a.v);
  const int16x4_t narrow = vmovn_s32(whole);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(narrow, narrow));
  __builtin_memcpy(p, &bytes, 4);
  return {whole};
}
inline void store_quads(int8_t* p, Vec a, Vec b, Vec c, Vec d) {
  const auto narrow = [](Vec v) { return vmovn_s32(vcvtnq_s32_f32(v.v)); };
  const int16x8x2_t pairs = vzipq_s16(vcombine_s16(narrow(a), narrow(c)), vcombine_s16(narrow(b), narrow(d)));
  // pairs: a0 b0 a1 b1 a2 b2 a3 b3 and c0 d0 ...; as bytes they are 16-bit pairs to be zipped once more.
  const int16x4_t ab = vreinterpret_s16_s8(vmovn_s16(pairs.val[0]));
  const int16x4_t cd = vreinterpret_s16_s8(vmovn_s16(pairs.val[1]));
  const int16x4x2_t quads = vzip_s16(ab, cd);
  vst1q_s8(p, vreinterpretq_s8_s16(vcombine_s16(quads.val[0], quads.val[1])));
}

#elif defined(ANYON_SIMD_WASMSIMD)

inline constexpr int kInputLow = -128;
struct Sum {
  v128_t v;
};
// In 16 bits, which is what products are made of: bytes 0 and 2, and bytes 1 and 3, of each four.
struct Weights {
  v128_t even, odd;
};
using Input = Weights;
inline Weights split_bytes(v128_t bytes) {
  return {wasm_i16x8_shr(wasm_i16x8_shl(bytes, 8), 8), wasm_i16x8_shr(bytes, 8)};
}
inline Sum zero_sum() {
  return {wasm_i32x4_const_splat(0)};
}
inline Sum load_sum(const int32_t* p) {
  return {wasm_v128_load(p)};
}
inline void store_sum(int32_t* p, Sum a) {
  wasm_v128_store(p, a.v);
}
inline Sum add(Sum a, Sum b) {
  return {wasm_i32x4_add(a.v, b.v)};
}
inline Sum sub(Sum a, Sum b) {
  return {wasm_i32x4_sub(a.v, b.v)};
}
inline Weights load_weights(const int8_t* p) {
  return split_bytes(wasm_v128_load(p));
}
inline Input broadcast4(const uint8_t* p) {
  return split_bytes(wasm_v128_load32_splat(p));
}
inline Sum dot4(Sum sum, Input x, Weights w) {
  const v128_t products = wasm_i32x4_add(wasm_i32x4_dot_i16x8(x.even, w.even), wasm_i32x4_dot_i16x8(x.odd, w.odd));
  return {wasm_i32x4_add(sum.v, products)};
}
inline Vec to_float(Sum a) {
  return {wasm_f32x4_convert_i32x4(a.v)};
}
inline Sum minus_product(Sum a, int32_t z, Sum b) {
  return {wasm_i32x4_sub(a.v, wasm_i32x4_mul(wasm_i32x4_splat(z), b.v))};
}
// The sum with this number has the integer nearest to a float below 2^22 in its low bits; the conversions WebAssembly
// has are many instructions each.
inline v128_t rounded_bits(Vec a) {
  return wasm_f32x4_add(a.v, wasm_f32x4_const_splat(12582912.0f));
}
inline Sum store_bytes(uint8_t* p, Vec a) {
  const v128_t whole = wasm_i32x4_sub(rounded_bits(a), wasm_i32x4_const_splat(0x4B400000));
  const v128_t pairs = wasm_i16x8_narrow_i32x4(whole, whole);
  wasm_v128_store32_lane(p, wasm_i8x16_narrow_i16x8(pairs, pairs), 0);
  return {whole};
}
inline void store_quads(int8_t* p, Vec a, Vec b, Vec c, Vec d) {
  const v128_t low = wasm_i32x4_const_splat(255);
  const auto byte = [&](Vec v, uint32_t place) { return wasm_i32x4_shl(wasm_v128_and(rounded_bits(v), low), place); };
  wasm_v128_store(p, wasm_v128_or(wasm_v128_or(byte(a, 0), byte(b, 8)), wasm_v128_or(byte(c, 16), byte(d, 24))));
}

#else

inline constexpr int kInputLow = 0;
struct Sum {
  int32_t v[kLanes];
};
struct Weights {
  const int8_t* p;
};
struct Input {
  int32_t v[4];
};
inline Sum zero_sum() {
  return {};
}
inline Sum load_sum(const int32_t* p) {
  Sum a;
  for (int i = 0; i < kLanes; ++i) a.v[i] = p[i];
  return a;
}
inline void store_sum(int32_t* p, Sum a) {
  for (int i = 0; i < kLanes; ++i) p[i] = a.v[i];
}
inline Sum add(Sum a, Sum b) {
  for (int i = 0; i < kLanes; ++i) a.v[i] += b.v[i];
  return a;
}
inline Sum sub(Sum a, Sum b) {
  for (int i = 0; i < kLanes; ++i) a.v[i] -= b.v[i];
  return a;
}
inline Weights load_weights(const int8_t* p) {
  return {p};
}
inline Input broadcast4(const uint8_t* p) {
  return {{p[0], p[1], p[2], p[3]}};
}
inline Sum dot4(Sum sum, Input x, Weights w) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < 4; ++j) sum.v[i] += x.v[j] * w.p[i * 4 + j];
  }
  return sum;
}
inline Vec to_float(Sum a) {
  Vec result;
  for (int i = 0; i < kLanes; ++i) result.v[i] = static_cast<float>(a.v[i]);
  return result;
}
inline Sum minus_product(Sum a, int32_t z, Sum b) {
  for (int i = 0; i < kLanes; ++i) a.v[i] -= z * b.v[i];
  return a;
}
inline Sum store_bytes(uint8_t* p, Vec a) {
  Sum whole;
  for (int i = 0; i < kLanes; ++i) {
    whole.v[i] = static_cast<int32_t>(__builtin_lrintf(a.v[i]));
    p[i] = static_cast<uint8_t>(whole.v[i]);
  }
  return whole;
}
inline void store_quads(int8_t* p, Vec a, Vec b, Vec c, Vec d) {
  for (int i = 0; i < kLanes; ++i) {
    p[i * 4] = static_cast<int8_t>(__builtin_lrintf(a.v[i]));
    p[i * 4 + 1] = static_cast<int8_t>(__builtin_lrintf(b.v[i]));
    p[i * 4 + 2] = static_cast<int8_t>(__builtin_lrintf(c.v[i]));
    p[i * 4 + 3] = static_cast<int8_t>(__builtin_lrintf(d.v[i]));
  }
}

#endif

inline void store_partial_or_all(float* p, Vec a, int64_t count) {
  if (count >= kLanes) {
    store(p, a);
  } else {
    store_partial(p, a, count);
  }
}

// `count` in [0, kLanes); the others read as 0.
inline Sum load_sum_partial(const int32_t* p, int64_t count) {
  int32_t lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return load_sum(lanes);
}

}  // namespace anyon::ANYON_SIMD
