// softmax for AVX-512.
#define ANYON_SIMD_AVX512
#include "kernels/softmax/softmax_kernel.h"
