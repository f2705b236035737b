// The resampler's dot product with AVX2.
#include "frontends/resample_kernel.h"

namespace anyon::resampling {

float dot_avx2(const float* a, const float* b, int64_t n) {
  return dot<32>(a, b, n);
}

}  // namespace anyon::resampling
