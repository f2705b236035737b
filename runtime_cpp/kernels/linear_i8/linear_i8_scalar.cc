// linear_i8 for scalar.
#define ANYON_SIMD_SCALAR
#include "kernels/linear_i8/linear_i8_kernel.h"
