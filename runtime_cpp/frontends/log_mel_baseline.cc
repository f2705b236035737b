// Log-mel with the four lanes that every build has (SSE2, NEON, WebAssembly's, or what the compiler makes of them).
#include "frontends/log_mel_kernel.h"

namespace anyon::log_mel {

void compute_baseline(const Tables& tables, const float* samples, int64_t frames, float* out, int64_t out_stride,
                      float* maximum) {
  Kernel<4>::compute(tables, samples, frames, out, out_stride, maximum);
}

}  // namespace anyon::log_mel
