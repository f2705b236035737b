// softmax for plain C++.
#define ANYON_SIMD_SCALAR
#include "kernels/softmax/softmax_kernel.h"
