// softmax for AVX2.
#define ANYON_SIMD_AVX2
#include "kernels/softmax/softmax_kernel.h"
