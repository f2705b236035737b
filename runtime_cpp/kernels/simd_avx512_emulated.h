// The AVX-512 intrinsics of simd_avx512.h through SIMDe, for test builds on machines without AVX-512.
// SIMDe's packaged version lacks a few; they are written out here by Intel's definition of each.
#pragma once

#if !defined(SIMDE_ENABLE_NATIVE_ALIASES)
#define SIMDE_ENABLE_NATIVE_ALIASES
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#pragma GCC diagnostic pop

namespace anyon::avx512 {

inline __m512 emulated_maskz_loadu_ps(__mmask16 mask, const void* p) {
  const float* from = static_cast<const float*>(p);
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = (mask >> i & 1) != 0 ? from[i] : 0.0f;
  return _mm512_loadu_ps(lanes);
}

inline void emulated_mask_storeu_ps(void* p, __mmask16 mask, __m512 a) {
  float lanes[16];
  _mm512_storeu_ps(lanes, a);
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) static_cast<float*>(p)[i] = lanes[i];
  }
}

inline __m256 emulated_extractf32x8_ps(__m512 a, int half) {
  float lanes[16];
  _mm512_storeu_ps(lanes, a);
  return _mm256_loadu_ps(lanes + 8 * half);
}

// Picks 128-bit quarters: two of a by the low four bits of `pick`, two of b by the high four.
inline __m512 emulated_shuffle_f32x4(__m512 a, __m512 b, int pick) {
  float from[2][16], to[16];
  _mm512_storeu_ps(from[0], a);
  _mm512_storeu_ps(from[1], b);
  for (int quarter = 0; quarter < 4; ++quarter) {
    const int source = pick >> (2 * quarter) & 3;
    for (int i = 0; i < 4; ++i) to[4 * quarter + i] = from[quarter / 2][4 * source + i];
  }
  return _mm512_loadu_ps(to);
}

}  // namespace anyon::avx512

#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_extractf32x8_ps
#undef _mm512_shuffle_f32x4
#define _mm512_maskz_loadu_ps ::anyon::avx512::emulated_maskz_loadu_ps
#define _mm512_mask_storeu_ps ::anyon::avx512::emulated_mask_storeu_ps
#define _mm512_extractf32x8_ps ::anyon::avx512::emulated_extractf32x8_ps
#define _mm512_shuffle_f32x4 ::anyon::avx512::emulated_shuffle_f32x4
