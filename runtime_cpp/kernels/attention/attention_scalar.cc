// attention for plain C++.
#define ANYON_SIMD_SCALAR
#include "kernels/attention/attention_kernel.h"
