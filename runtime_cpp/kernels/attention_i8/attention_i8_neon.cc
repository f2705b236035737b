// attention_i8 for neon.
#define ANYON_SIMD_NEON
#include "kernels/attention_i8/attention_i8_kernel.h"
