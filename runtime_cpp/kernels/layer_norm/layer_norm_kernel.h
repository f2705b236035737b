// layer_norm, written once: mean, then variance around it, then the result; a row stays in cache between the passes.
#pragma once

#include "kernels/layer_norm/layer_norm.h"
#include "kernels/simd.h"

namespace anyon::ANYON_SIMD {

// Sum over a row of term(i-th vector); lanes past the end count as `term` makes them, so it must map padding to 0.
template <class Term>
inline float sum_row(int64_t width, Term term) {
  constexpr int kChains = 4;
  Vec sum[kChains] = {zero(), zero(), zero(), zero()};
  int64_t i = 0;
  for (; i + kChains * kLanes <= width; i += kChains * kLanes) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) sum[c] = term(sum[c], i + c * kLanes, int64_t{kLanes});
  }
  for (; i < width; i += kLanes) sum[0] = term(sum[0], i, smaller<int64_t>(kLanes, width - i));
  return reduce_add(add(add(sum[0], sum[1]), add(sum[2], sum[3])));
}

inline Vec load_up_to(const float* p, int64_t count) {
  return count == kLanes ? load(p) : load_partial(p, count);
}

inline void normalize_row(const LayerNormArgs& args, const float* x, float* y) {
  const int64_t width = args.width;
  const float inverse_width = 1.0f / static_cast<float>(width);
  const float mean =
      sum_row(width, [&](Vec sum, int64_t i, int64_t n) { return add(sum, load_up_to(x + i, n)); }) * inverse_width;
  const Vec center = set1(mean);
  const float variance = sum_row(width,
                                 [&](Vec sum, int64_t i, int64_t n) {
                                   if (n == kLanes) {
                                     const Vec d = sub(load(x + i), center);
                                     return fma(d, d, sum);
                                   }
                                   float rest[kLanes] = {};
                                   for (int64_t j = 0; j < n; ++j) rest[j] = x[i + j] - mean;
                                   const Vec d = load(rest);
                                   return fma(d, d, sum);
                                 }) *
                         inverse_width;
  const Vec scale = div(set1(1.0f), sqrt(set1(variance + args.epsilon)));
  for (int64_t i = 0; i < width; i += kLanes) {
    const int64_t n = smaller<int64_t>(kLanes, width - i);
    Vec value = mul(sub(load_up_to(x + i, n), center), scale);
    if (args.scale != nullptr) value = mul(value, load_up_to(args.scale + i, n));
    if (args.bias != nullptr) value = add(value, load_up_to(args.bias + i, n));
    if (n == kLanes) {
      store(y + i, value);
    } else {
      store_partial(y + i, value, n);
    }
  }
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

void ANYON_KERNEL_NAME(layer_norm_f32)(const LayerNormArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    ANYON_SIMD::normalize_row(args, args.x + row * args.width, args.y + row * args.width);
  }
}

}  // namespace anyon
