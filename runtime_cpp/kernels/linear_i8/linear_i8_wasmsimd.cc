// linear_i8 for WebAssembly.
#define ANYON_SIMD_WASMSIMD
#include "kernels/linear_i8/linear_i8_kernel.h"
