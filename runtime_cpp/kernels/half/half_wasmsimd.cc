// half_to_float for WebAssembly.
#include "kernels/half/half.h"
#include "kernels/half/half_value.h"
#include "kernels/half/half_wasm.h"

namespace anyon {

void half_to_float__wasmsimd(const uint16_t* x, int64_t count, float* y) {
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) wasm_v128_store(y + i, half_vector(x + i));
  for (; i < count; ++i) y[i] = half_value(x[i]);
}

}  // namespace anyon
