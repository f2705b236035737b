// linear_i4 for neondot.
#define ANYON_SIMD_NEONDOT
#include "kernels/linear_i4/linear_i4_kernel.h"
