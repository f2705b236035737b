// half_to_float by the definition of the format.
#include <cmath>
#include <limits>

#include "kernels/half/half.h"

namespace anyon::reference {

float half_to_float(uint16_t x) {
  const int exponent = x >> 10 & 31, fraction = x & 1023;
  const float sign = (x & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  }
  const float size = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                   : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return sign * size;
}

}  // namespace anyon::reference
