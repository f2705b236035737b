// half_to_float for AVX2 with F16C.
#include <immintrin.h>

#include "kernels/half/half.h"

namespace anyon {

void half_to_float__avx2(const uint16_t* x, int64_t count, float* y) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
  }
  for (; i < count; ++i) y[i] = _cvtsh_ss(x[i]);
}

}  // namespace anyon
