// peak for WebAssembly.
#define ANYON_SIMD_WASMSIMD
#include "kernels/peak/peak_kernel.h"
