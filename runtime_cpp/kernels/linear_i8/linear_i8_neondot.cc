// linear_i8 for neondot.
#define ANYON_SIMD_NEONDOT
#include "kernels/linear_i8/linear_i8_kernel.h"
