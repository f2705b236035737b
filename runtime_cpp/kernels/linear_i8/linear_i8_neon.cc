// linear_i8 for neon.
#define ANYON_SIMD_NEON
#include "kernels/linear_i8/linear_i8_kernel.h"
