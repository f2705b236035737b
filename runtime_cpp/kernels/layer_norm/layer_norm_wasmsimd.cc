// layer_norm for WebAssembly.
#define ANYON_SIMD_WASMSIMD
#include "kernels/layer_norm/layer_norm_kernel.h"
