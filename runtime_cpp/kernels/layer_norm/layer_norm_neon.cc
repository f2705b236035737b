// layer_norm for NEON.
#define ANYON_SIMD_NEON
#include "kernels/layer_norm/layer_norm_kernel.h"
