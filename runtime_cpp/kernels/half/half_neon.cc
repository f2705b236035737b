// half_to_float for NEON.
#include <arm_neon.h>

#include "kernels/half/half.h"

namespace anyon {

void half_to_float__neon(const uint16_t* x, int64_t count, float* y) {
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) vst1q_f32(y + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x + i))));
  for (; i < count; ++i) y[i] = vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(x[i]))), 0);
}

}  // namespace anyon
