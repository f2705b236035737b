// peak for AVX2.
#define ANYON_SIMD_AVX2
#include "kernels/peak/peak_kernel.h"
