// The resampler's dot product with AVX-512.
#include "frontends/resample_kernel.h"

namespace anyon::resampling {

float dot_avx512(const float* a, const float* b, int64_t n) {
  return dot<64>(a, b, n);
}

}  // namespace anyon::resampling
