// linear for plain C++.
#define ANYON_SIMD_SCALAR
#include "kernels/linear/linear_kernel.h"
