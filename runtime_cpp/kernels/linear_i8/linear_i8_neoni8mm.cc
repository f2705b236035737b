// linear_i8 for neoni8mm.
#define ANYON_SIMD_NEONI8MM
#include "kernels/linear_i8/linear_i8_kernel.h"
