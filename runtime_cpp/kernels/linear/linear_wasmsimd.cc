// linear for WebAssembly.
#define ANYON_SIMD_WASMSIMD
#include "kernels/linear/linear_kernel.h"
