// attention_i8 for neondot.
#define ANYON_SIMD_NEONDOT
#include "kernels/attention_i8/attention_i8_kernel.h"
