// elementwise for WebAssembly.
#define ANYON_SIMD_WASMSIMD
#include "kernels/elementwise/elementwise_kernel.h"
