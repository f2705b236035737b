// elementwise for plain C++.
#define ANYON_SIMD_SCALAR
#include "kernels/elementwise/elementwise_kernel.h"
