// Log-mel with the lanes of AVX-512.
#include "frontends/log_mel_kernel.h"

namespace anyon::log_mel {

void compute_avx512(const Tables& tables, const float* samples, int64_t frames, float* out, int64_t out_stride,
                    float* maximum) {
  Kernel<16>::compute(tables, samples, frames, out, out_stride, maximum);
}

}  // namespace anyon::log_mel
