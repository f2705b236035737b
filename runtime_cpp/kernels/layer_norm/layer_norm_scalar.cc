// layer_norm for plain C++.
#define ANYON_SIMD_SCALAR
#include "kernels/layer_norm/layer_norm_kernel.h"
