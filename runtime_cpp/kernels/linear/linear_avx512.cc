// linear for AVX-512.
#define ANYON_SIMD_AVX512
#include "kernels/linear/linear_kernel.h"
