// attention for WebAssembly.
#define ANYON_SIMD_WASMSIMD
#include "kernels/attention/attention_kernel.h"
