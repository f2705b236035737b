// layer_norm for AVX-512.
#define ANYON_SIMD_AVX512
#include "kernels/layer_norm/layer_norm_kernel.h"
