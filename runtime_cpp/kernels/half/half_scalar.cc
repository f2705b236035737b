// half_to_float in integer arithmetic.
#include <bit>

#include "kernels/half/half.h"

namespace anyon {

void half_to_float__scalar(const uint16_t* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t sign = static_cast<uint32_t>(x[i] & 0x8000u) << 16;
    const uint32_t size = x[i] & 0x7FFFu;
    // The exponent moves by multiplying: 2^112 also turns what was subnormal in 16 bits into a normal number.
    const float moved = std::bit_cast<float>(size << 13) * std::bit_cast<float>(uint32_t{239} << 23);
    const uint32_t special = std::bit_cast<uint32_t>(moved) | 0x7F800000u;  // infinities and NaN stay what they are
    y[i] = std::bit_cast<float>(sign | (size >= 0x7C00u ? special : std::bit_cast<uint32_t>(moved)));
  }
}

}  // namespace anyon
