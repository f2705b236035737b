// softmax in plain loops, accumulating in double.
#include <algorithm>
#include <cmath>

#include "kernels/softmax/softmax.h"

namespace anyon::reference {

void softmax_rows(const float* x, float* y, int64_t rows, int64_t width) {
  for (int64_t row = 0; row < rows; ++row, x += width, y += width) {
    double maximum = -INFINITY;
    for (int64_t i = 0; i < width; ++i) maximum = std::max(maximum, static_cast<double>(x[i]));
    double total = 0.0;
    for (int64_t i = 0; i < width; ++i) total += std::exp(x[i] - maximum);
    for (int64_t i = 0; i < width; ++i) y[i] = static_cast<float>(std::exp(x[i] - maximum) / total);
  }
}

}  // namespace anyon::reference
