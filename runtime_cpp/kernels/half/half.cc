// Dispatch of half_to_float.
#include "kernels/half/half.h"

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "kernels/half/kernels.inc"
#undef ANYON_KERNEL

namespace {

constexpr KernelRow<half_to_float_kernel> kRows[] = {
#define ANYON_KERNEL(function, isa, op) {#function, isa, function},
#include "kernels/half/kernels.inc"
#undef ANYON_KERNEL
};

}  // namespace

std::span<const KernelRow<half_to_float_kernel>> half_to_float_kernels() {
  return kRows;
}

void half_to_float(Isa isa, const uint16_t* x, int64_t count, float* y) {
  kernel_for(half_to_float_kernels(), isa, "half_to_float")(x, count, y);
}

}  // namespace anyon
