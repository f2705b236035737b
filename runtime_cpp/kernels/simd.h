// The vocabulary every kernel is written in, for the one ISA that the including file names.
//
// `<op>_avx2.cc` says `#define ANYON_SIMD_AVX2` and includes `<op>_kernel.h`, which includes this. Each ISA has its own
// namespace (anyon::avx2, ...), reached as ANYON_SIMD, so that the linker can never merge code of two ISAs. For the
// same reason kernels call no inline function of the standard library and no template outside that namespace.
//
// Vec is kLanes floats:
//   load, store          unaligned; load_partial/store_partial touch `count` in [0, kLanes) lanes, others read as 0
//   set1, zero, load1    broadcast of a value, of 0, of *p
//   add, sub, mul, div, fma(a,b,c) = a*b+c, fnma(a,b,c) = c-a*b
//   max, min             give their second operand when either is NaN, at least on x86
//   abs, sqrt, select_less(a,b,x,y) = a < b ? x : y
//   shift_to_exponent    the bits moved left by 23
//   reduce_add, reduce_max, sum_each (lane i = sum over lanes of v[i])
#pragma once

#include <cstdint>

#if defined(ANYON_SIMD_AVX2)
#define ANYON_SIMD avx2
#define ANYON_KERNEL_NAME(stem) stem##__avx2
#include "kernels/simd_avx2.h"
#elif defined(ANYON_SIMD_AVXVNNI)
#define ANYON_SIMD avxvnni
#define ANYON_KERNEL_NAME(stem) stem##__avxvnni
#include "kernels/simd_avx2.h"
#elif defined(ANYON_SIMD_AVX512)
#define ANYON_SIMD avx512
#define ANYON_KERNEL_NAME(stem) stem##__avx512
#include "kernels/simd_avx512.h"
#elif defined(ANYON_SIMD_AVX512VNNI)
#define ANYON_SIMD avx512vnni
#define ANYON_KERNEL_NAME(stem) stem##__avx512vnni
#include "kernels/simd_avx512.h"
#elif defined(ANYON_SIMD_NEON)
#define ANYON_SIMD neon
#define ANYON_KERNEL_NAME(stem) stem##__neon
#include "kernels/simd_neon.h"
#elif defined(ANYON_SIMD_NEONDOT)
#define ANYON_SIMD neondot
#define ANYON_KERNEL_NAME(stem) stem##__neondot
#include "kernels/simd_neon.h"
#elif defined(ANYON_SIMD_NEONI8MM)
#define ANYON_SIMD neoni8mm
#define ANYON_KERNEL_NAME(stem) stem##__neoni8mm
#include "kernels/simd_neon.h"
#elif defined(ANYON_SIMD_WASMSIMD)
#define ANYON_SIMD wasmsimd
#define ANYON_KERNEL_NAME(stem) stem##__wasmsimd
#include "kernels/simd_wasm.h"
#elif defined(ANYON_SIMD_SCALAR)
#define ANYON_SIMD scalar
#define ANYON_KERNEL_NAME(stem) stem##__scalar
#include "kernels/simd_scalar.h"
#else
#error "define ANYON_SIMD_<ISA> before including a kernel"
#endif

namespace anyon::ANYON_SIMD {

template <class T>
inline T smaller(T a, T b) {
  return b < a ? b : a;
}

template <class T>
inline T larger(T a, T b) {
  return a < b ? b : a;
}

inline int64_t round_up(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

// Into the second-level cache.
inline void prefetch_far(const void* address) {
  __builtin_prefetch(address, 0, 2);
}

}  // namespace anyon::ANYON_SIMD
