// linear_i4 for avx512vnni.
#define ANYON_SIMD_AVX512VNNI
#include "kernels/linear_i4/linear_i4_kernel.h"
