// elementwise for AVX-512.
#define ANYON_SIMD_AVX512
#include "kernels/elementwise/elementwise_kernel.h"
