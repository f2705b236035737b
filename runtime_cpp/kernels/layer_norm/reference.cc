// layer_norm in plain loops, accumulating in double.
#include <cmath>

#include "kernels/layer_norm/layer_norm.h"

namespace anyon::reference {

void layer_norm(const LayerNormArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.width;
    float* y = args.y + row * args.width;
    double mean = 0.0;
    for (int64_t i = 0; i < args.width; ++i) mean += x[i];
    mean /= static_cast<double>(args.width);
    double variance = 0.0;
    for (int64_t i = 0; i < args.width; ++i) variance += (x[i] - mean) * (x[i] - mean);
    variance /= static_cast<double>(args.width);
    const double inverse = 1.0 / std::sqrt(variance + static_cast<double>(args.epsilon));
    for (int64_t i = 0; i < args.width; ++i) {
      const double scale = args.scale == nullptr ? 1.0 : args.scale[i];
      const double bias = args.bias == nullptr ? 0.0 : args.bias[i];
      y[i] = static_cast<float>((x[i] - mean) * inverse * scale + bias);
    }
  }
}

}  // namespace anyon::reference
