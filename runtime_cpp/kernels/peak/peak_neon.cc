// peak for NEON.
#define ANYON_SIMD_NEON
#include "kernels/peak/peak_kernel.h"
