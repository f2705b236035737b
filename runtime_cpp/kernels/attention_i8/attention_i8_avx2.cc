// attention_i8 for avx2.
#define ANYON_SIMD_AVX2
#include "kernels/attention_i8/attention_i8_kernel.h"
