// The activations that matrix ops fuse, over simd.h's vocabulary.
#pragma once

#include <type_traits>

#include "kernels/activation.h"
#include "kernels/simd_math.h"

namespace anyon::ANYON_SIMD {

// An epilogue is compiled for the two activations that speech models spend their time in, and once for all others,
// which it tells apart for each vector: a branch beside an exponential costs nothing, five epilogues cost 20 KB.
enum class Epilogue { kPlain, kGelu, kAny };

template <Epilogue kEpilogue>
inline Vec activate(Vec x, Activation activation) {
  if constexpr (kEpilogue == Epilogue::kGelu) return gelu(x);
  if constexpr (kEpilogue == Epilogue::kAny) {
    if (activation == Activation::kGeluTanh) return gelu_tanh(x);
    if (activation == Activation::kRelu) return relu(x);
    if (activation == Activation::kSilu) return silu(x);
  }
  return x;
}

// Calls finish with the epilogue of `activation` as a template argument's value.
template <class Finish>
inline void with_epilogue(Activation activation, Finish&& finish) {
  if (activation == Activation::kNone) return finish(std::integral_constant<Epilogue, Epilogue::kPlain>());
  if (activation == Activation::kGelu) return finish(std::integral_constant<Epilogue, Epilogue::kGelu>());
  return finish(std::integral_constant<Epilogue, Epilogue::kAny>());
}

}  // namespace anyon::ANYON_SIMD
