// attention for AVX-512.
#define ANYON_SIMD_AVX512
#include "kernels/attention/attention_kernel.h"
