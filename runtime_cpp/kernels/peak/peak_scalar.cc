// peak for plain C++.
#define ANYON_SIMD_SCALAR
#include "kernels/peak/peak_kernel.h"
