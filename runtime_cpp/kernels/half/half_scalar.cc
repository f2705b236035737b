// half_to_float in integer arithmetic.
#include "kernels/half/half.h"
#include "kernels/half/half_value.h"

namespace anyon {

void half_to_float__scalar(const uint16_t* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = half_value(x[i]);
}

}  // namespace anyon
