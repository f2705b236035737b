// linear_i4 for neon.
#define ANYON_SIMD_NEON
#include "kernels/linear_i4/linear_i4_kernel.h"
