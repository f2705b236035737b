// linear for AVX2.
#define ANYON_SIMD_AVX2
#include "kernels/linear/linear_kernel.h"
