// Splits layer_norm's rows over threads.
#include "kernels/layer_norm/layer_norm.h"

#include <algorithm>

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "kernels/layer_norm/kernels.inc"
#undef ANYON_KERNEL

namespace {

constexpr KernelRow<layer_norm_kernel> kRows[] = {
#define ANYON_KERNEL(function, isa, op) {#function, isa, function},
#include "kernels/layer_norm/kernels.inc"
#undef ANYON_KERNEL
};

// Less work than this is done before another thread has woken.
constexpr int64_t kMinElements = 32 << 10;

}  // namespace

std::span<const KernelRow<layer_norm_kernel>> layer_norm_kernels() {
  return kRows;
}

void layer_norm(Isa isa, const LayerNormArgs& args, ThreadPool& pool) {
  layer_norm_kernel* kernel = kernel_for(layer_norm_kernels(), isa, "layer_norm");
  if (args.width <= 0) return;
  parallel_for(pool, args.rows, std::max<int64_t>(1, kMinElements / args.width), [&](int64_t begin, int64_t end, int) {
    LayerNormArgs part = args;
    part.x += begin * args.width;
    part.y += begin * args.width;
    part.rows = end - begin;
    kernel(part);
  });
}

}  // namespace anyon
