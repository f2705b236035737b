// Splits softmax's rows over threads.
#include "kernels/softmax/softmax.h"

#include <algorithm>

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "kernels/softmax/kernels.inc"
#undef ANYON_KERNEL

namespace {

constexpr KernelRow<softmax_kernel> kRows[] = {
#define ANYON_KERNEL(function, isa, op) {#function, isa, function},
#include "kernels/softmax/kernels.inc"
#undef ANYON_KERNEL
};

// Less work than this is done before another thread has woken.
constexpr int64_t kMinElements = 16 << 10;

}  // namespace

std::span<const KernelRow<softmax_kernel>> softmax_kernels() {
  return kRows;
}

void softmax_rows(Isa isa, const float* x, float* y, int64_t rows, int64_t width, ThreadPool& pool) {
  softmax_kernel* kernel = kernel_for(softmax_kernels(), isa, "softmax");
  if (width <= 0) return;
  parallel_for(pool, rows, std::max<int64_t>(1, kMinElements / width), [&](int64_t begin, int64_t end, int) {
    kernel(x + begin * width, y + begin * width, end - begin, width);
  });
}

}  // namespace anyon
