// half: 16-bit floats (IEEE 754 binary16) to 32 bits, exactly.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/registry.h"

namespace anyon {

// y[i] = x[i], i < count. Throws Error(kUnsupportedIsa) only.
void half_to_float(Isa isa, const uint16_t* x, int64_t count, float* y);

using half_to_float_kernel = void(const uint16_t* x, int64_t count, float* y);
std::span<const KernelRow<half_to_float_kernel>> half_to_float_kernels();

namespace reference {
float half_to_float(uint16_t x);
}  // namespace reference

}  // namespace anyon
