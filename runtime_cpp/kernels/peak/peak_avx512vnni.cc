// peak for AVX512VNNI.
#define ANYON_SIMD_AVX512VNNI
#include "kernels/peak/peak_kernel.h"
