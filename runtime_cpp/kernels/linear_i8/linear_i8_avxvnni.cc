// linear_i8 for avxvnni.
#define ANYON_SIMD_AVXVNNI
#include "kernels/linear_i8/linear_i8_kernel.h"
