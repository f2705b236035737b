// linear_i4 for avxvnni.
#define ANYON_SIMD_AVXVNNI
#include "kernels/linear_i4/linear_i4_kernel.h"
