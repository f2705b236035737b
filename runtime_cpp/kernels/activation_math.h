// The activations that matrix ops fuse, over simd.h's vocabulary.
#pragma once

#include "kernels/activation.h"
#include "kernels/simd_math.h"

namespace anyon::ANYON_SIMD {

template <Activation kActivation>
inline Vec activate(Vec x) {
  if constexpr (kActivation == Activation::kGelu) return gelu(x);
  if constexpr (kActivation == Activation::kGeluTanh) return gelu_tanh(x);
  if constexpr (kActivation == Activation::kRelu) return relu(x);
  if constexpr (kActivation == Activation::kSilu) return silu(x);
  return x;
}

}  // namespace anyon::ANYON_SIMD
