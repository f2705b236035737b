// What 4-bit kernels add to simd_i8.h: products of unsigned halves of bytes with signed 8-bit inputs.
//
//   Halves         kLanes x 4 weights in 0..15; load_halves(p, low, high) of kLanes x 4 bytes, where the higher may
//                  be left 16 times as large
//   SignedInput    4 inputs in [-127, 127], the same in every lane; broadcast4_signed
//   dot4(sum, halves, input)
//   join(low, high)  the sum of both halves' products
//   With AVX-512 VNNI only: add_dot4 is dot4 in place; SignedInputs are 4 SignedInput, load_inputs_signed, pick
//   load_bytes     kLanes bytes as 32-bit sums
//   load_half      kLanes 16-bit floats
#pragma once

#include "kernels/half/half_value.h"
#if defined(ANYON_SIMD_WASMSIMD)
#include "kernels/half/half_wasm.h"
#endif
#include "kernels/simd_i8.h"

namespace anyon::ANYON_SIMD {

#if defined(ANYON_SIMD_AVX512VNNI)

struct Halves {
  __m512i v;
};
struct SignedInput {
  __m512i v;
};
inline void load_halves(const uint8_t* p, Halves* low, Halves* high) {
  __m512i bytes = _mm512_loadu_si512(p);
  asm("" : "+v"(bytes));  // else GCC loads them for each half
  const __m512i mask = _mm512_set1_epi8(15);
  low->v = _mm512_and_si512(bytes, mask);
  high->v = _mm512_andnot_si512(mask, bytes);
}
inline Sum join(Sum low, Sum high) {
  return {_mm512_add_epi32(low.v, _mm512_srai_epi32(high.v, 4))};
}
inline SignedInput broadcast4_signed(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return {_mm512_set1_epi32(four)};
}
struct SignedInputs {
  __m512i v;
};
inline SignedInputs load_inputs_signed(const int8_t* p) {
  return {_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
template <int kGroup>
inline SignedInput pick(SignedInputs x) {
  return {_mm512_shuffle_epi32(x.v, static_cast<_MM_PERM_ENUM>(kGroup * 0x55))};
}
inline Sum dot4(Sum sum, Halves w, SignedInput x) {
  return {_mm512_dpbusd_epi32(sum.v, w.v, x.v)};
}
inline void add_dot4(Sum& sum, Halves w, SignedInput x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(w.v), "v"(x.v));  // no copies of the sum, which GCC makes
}
inline Sum load_bytes(const uint8_t* p) {
  __m128i bytes;
  __builtin_memcpy(&bytes, p, 16);
  return {_mm512_cvtepu8_epi32(bytes)};
}
inline Vec load_half(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

#elif defined(ANYON_SIMD_AVX2) || defined(ANYON_SIMD_AVXVNNI)

struct Halves {
  __m256i v;
};
struct SignedInput {
  __m256i v;
};
inline void load_halves(const uint8_t* p, Halves* low, Halves* high) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), mask = _mm256_set1_epi8(15);
  low->v = _mm256_and_si256(bytes, mask);
  high->v = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask);
}
inline SignedInput broadcast4_signed(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return {_mm256_set1_epi32(four)};
}
inline Sum dot4(Sum sum, Halves w, SignedInput x) {
#if defined(ANYON_SIMD_AVXVNNI)
  return {_mm256_dpbusd_avx_epi32(sum.v, w.v, x.v)};
#else
  // Two products of at most 15 x 127 fit 16 bits.
  const __m256i pairs = _mm256_maddubs_epi16(w.v, x.v);
  return {_mm256_add_epi32(sum.v, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
#endif
}
inline Sum load_bytes(const uint8_t* p) {
  return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))};
}
inline Vec load_half(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}

#elif defined(ANYON_SIMD_NEON) || defined(ANYON_SIMD_NEONDOT) || defined(ANYON_SIMD_NEONI8MM)

using Halves = Weights;
using SignedInput = Input;
inline void load_halves(const uint8_t* p, Halves* low, Halves* high) {
  const uint8x16_t bytes = vld1q_u8(p);
  low->v = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
  high->v = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
}
inline SignedInput broadcast4_signed(const int8_t* p) {
  return broadcast4(reinterpret_cast<const uint8_t*>(p));
}
inline Sum dot4(Sum sum, Halves w, SignedInput x) {
  return dot4(sum, x, w);
}
inline Sum load_bytes(const uint8_t* p) {
  const uint32_t lanes[4] = {p[0], p[1], p[2], p[3]};
  return {vreinterpretq_s32_u32(vld1q_u32(lanes))};
}
inline Vec load_half(const uint16_t* p) {
  return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))};
}

#elif defined(ANYON_SIMD_WASMSIMD)

using Halves = Weights;  // what simd_i8.h's dot4 takes
using SignedInput = Input;
inline void load_halves(const uint8_t* p, Halves* low, Halves* high) {
  const v128_t bytes = wasm_v128_load(p), mask = wasm_i16x8_const_splat(15);
  low->even = wasm_v128_and(bytes, mask);
  low->odd = wasm_v128_and(wasm_u16x8_shr(bytes, 8), mask);
  high->even = wasm_v128_and(wasm_u16x8_shr(bytes, 4), mask);
  high->odd = wasm_u16x8_shr(bytes, 12);
}
inline SignedInput broadcast4_signed(const int8_t* p) {
  return split_bytes(wasm_v128_load32_splat(p));
}
inline Sum load_bytes(const uint8_t* p) {
  return {wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p)))};
}
inline Vec load_half(const uint16_t* p) {
  return {half_vector(p)};
}

#else

struct Halves {
  const uint8_t* p;
  int shift;
};
struct SignedInput {
  int32_t v[4];
};
inline void load_halves(const uint8_t* p, Halves* low, Halves* high) {
  *low = {p, 0};
  *high = {p, 4};
}
inline SignedInput broadcast4_signed(const int8_t* p) {
  return {{p[0], p[1], p[2], p[3]}};
}
inline Sum dot4(Sum sum, Halves w, SignedInput x) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < 4; ++j) sum.v[i] += (w.p[i * 4 + j] >> w.shift & 15) * x.v[j];
  }
  return sum;
}
inline Sum load_bytes(const uint8_t* p) {
  Sum a;
  for (int i = 0; i < kLanes; ++i) a.v[i] = p[i];
  return a;
}
inline Vec load_half(const uint16_t* p) {
  Vec a;
  for (int i = 0; i < kLanes; ++i) a.v[i] = half_value(p[i]);
  return a;
}

#endif

#if !defined(ANYON_SIMD_AVX512VNNI)
inline Sum join(Sum low, Sum high) {
  return add(low, high);
}
#endif

}  // namespace anyon::ANYON_SIMD
