// linear_i4 for scalar.
#define ANYON_SIMD_SCALAR
#include "kernels/linear_i4/linear_i4_kernel.h"
