// linear for NEON.
#define ANYON_SIMD_NEON
#include "kernels/linear/linear_kernel.h"
