// peak for NEONDOT.
#define ANYON_SIMD_NEONDOT
#include "kernels/peak/peak_kernel.h"
