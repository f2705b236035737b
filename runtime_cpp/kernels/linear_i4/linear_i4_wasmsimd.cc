// linear_i4 for WebAssembly.
#define ANYON_SIMD_WASMSIMD
#include "kernels/linear_i4/linear_i4_kernel.h"
