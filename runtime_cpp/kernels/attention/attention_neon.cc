// attention for NEON.
#define ANYON_SIMD_NEON
#include "kernels/attention/attention_kernel.h"
