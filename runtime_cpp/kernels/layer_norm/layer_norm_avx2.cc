// layer_norm for AVX2.
#define ANYON_SIMD_AVX2
#include "kernels/layer_norm/layer_norm_kernel.h"
