// peak for AVX-512.
#define ANYON_SIMD_AVX512
#include "kernels/peak/peak_kernel.h"
