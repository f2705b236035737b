// linear_i8 for avx2.
#define ANYON_SIMD_AVX2
#include "kernels/linear_i8/linear_i8_kernel.h"
