// attention_i8 for avx512vnni.
#define ANYON_SIMD_AVX512VNNI
#include "kernels/attention_i8/attention_i8_kernel.h"
