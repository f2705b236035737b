// softmax for NEON.
#define ANYON_SIMD_NEON
#include "kernels/softmax/softmax_kernel.h"
