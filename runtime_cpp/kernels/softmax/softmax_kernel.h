// softmax, written once: maximum, exponentials with their sum, division.
#pragma once

#include "kernels/simd_math.h"
#include "kernels/softmax/softmax.h"

namespace anyon::ANYON_SIMD {

inline void softmax_row(const float* x, float* y, int64_t width) {
  Vec top[2] = {set1(-__builtin_inff()), set1(-__builtin_inff())};
  int64_t i = 0;
  for (; i + 2 * kLanes <= width; i += 2 * kLanes) {
    top[0] = max(top[0], load(x + i));
    top[1] = max(top[1], load(x + i + kLanes));
  }
  float maximum = reduce_max(max(top[0], top[1]));
  for (; i < width; ++i) maximum = larger(maximum, x[i]);

  const Vec shift = set1(maximum);
  Vec sum = zero();
  for (i = 0; i + kLanes <= width; i += kLanes) {
    const Vec e = exp(sub(load(x + i), shift));
    sum = add(sum, e);
    store(y + i, e);
  }
  if (i < width) {
    float rest[kLanes];
    for (int64_t j = 0; j < kLanes; ++j) rest[j] = i + j < width ? x[i + j] - maximum : -__builtin_inff();
    const Vec e = exp(load(rest));
    sum = add(sum, e);
    store_partial(y + i, e, width - i);
  }

  const Vec scale = div(set1(1.0f), set1(reduce_add(sum)));
  for (i = 0; i + kLanes <= width; i += kLanes) store(y + i, mul(load(y + i), scale));
  if (i < width) store_partial(y + i, mul(load_partial(y + i, width - i), scale), width - i);
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

void ANYON_KERNEL_NAME(softmax_f32)(const float* x, float* y, int64_t rows, int64_t width) {
  for (int64_t row = 0; row < rows; ++row) ANYON_SIMD::softmax_row(x + row * width, y + row * width, width);
}

}  // namespace anyon
