// linear_i4 for avx2.
#define ANYON_SIMD_AVX2
#include "kernels/linear_i4/linear_i4_kernel.h"
