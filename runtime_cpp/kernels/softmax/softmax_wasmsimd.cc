// softmax for WebAssembly.
#define ANYON_SIMD_WASMSIMD
#include "kernels/softmax/softmax_kernel.h"
