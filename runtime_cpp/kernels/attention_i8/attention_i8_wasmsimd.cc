// attention_i8 for WebAssembly.
#define ANYON_SIMD_WASMSIMD
#include "kernels/attention_i8/attention_i8_kernel.h"
