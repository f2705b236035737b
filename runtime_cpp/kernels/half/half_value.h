// One 16-bit float as 32 bits, exactly, in integer arithmetic.
#pragma once

#include <cstdint>

namespace anyon {

inline float half_value(uint16_t x) {
  const uint32_t sign = static_cast<uint32_t>(x & 0x8000u) << 16;
  const uint32_t size = x & 0x7FFFu;
  // The exponent moves by multiplying: 2^112 also turns what was subnormal in 16 bits into a normal number.
  const float moved = __builtin_bit_cast(float, size << 13) * __builtin_bit_cast(float, uint32_t{239} << 23);
  const uint32_t special = __builtin_bit_cast(uint32_t, moved) | 0x7F800000u;  // infinities and NaN stay what they are
  return __builtin_bit_cast(float, sign | (size >= 0x7C00u ? special : __builtin_bit_cast(uint32_t, moved)));
}

}  // namespace anyon
