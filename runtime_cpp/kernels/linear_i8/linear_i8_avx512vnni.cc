// linear_i8 for avx512vnni.
#define ANYON_SIMD_AVX512VNNI
#include "kernels/linear_i8/linear_i8_kernel.h"
