// elementwise for NEON.
#define ANYON_SIMD_NEON
#include "kernels/elementwise/elementwise_kernel.h"
