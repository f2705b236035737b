// peak for AVXVNNI.
#define ANYON_SIMD_AVXVNNI
#include "kernels/peak/peak_kernel.h"
