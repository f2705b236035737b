// attention_i8 for neoni8mm.
#define ANYON_SIMD_NEONI8MM
#include "kernels/attention_i8/attention_i8_kernel.h"
