// attention_i8 for scalar.
#define ANYON_SIMD_SCALAR
#include "kernels/attention_i8/attention_i8_kernel.h"
