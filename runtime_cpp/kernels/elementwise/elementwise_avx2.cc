// elementwise for AVX2.
#define ANYON_SIMD_AVX2
#include "kernels/elementwise/elementwise_kernel.h"
