// The activations that linear and conv1d fuse; elementwise offers the same ones unfused.
#pragma once

#include <cstdint>

namespace anyon {

enum class Activation : uint8_t {
  kNone,
  kGelu,      // x * Phi(x) with the exact Gaussian Phi (erf)
  kGeluTanh,  // the tanh approximation of it
  kRelu,
  kSilu,  // x * sigmoid(x)
};

}  // namespace anyon
