// attention for AVX2.
#define ANYON_SIMD_AVX2
#include "kernels/attention/attention_kernel.h"
