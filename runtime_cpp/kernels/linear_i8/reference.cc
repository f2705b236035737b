// linear_i8 in plain loops: rounds the rows as the contract says and sums in double.
#include <cmath>
#include <vector>

#include "kernels/linear_i8/linear_i8.h"
#include "kernels/reference_math.h"

namespace anyon::reference {

void linear_i8(const LinearI8Args& args) {
  const int64_t groups = (args.k + 3) / 4;
  std::vector<double> x(static_cast<size_t>(args.k));
  for (int64_t row = 0; row < args.m; ++row) {
    std::vector<float> from(args.x + row * args.x_stride, args.x + row * args.x_stride + args.k);
    float low = 0.0f, high = 0.0f;
    for (int64_t j = 0; j < args.k; ++j) {
      low = std::fmin(low, from[static_cast<size_t>(j)]);
      high = std::fmax(high, from[static_cast<size_t>(j)]);
    }
    const double step = (double{high} - double{low}) / (args.input_bits == 8 ? 255.0 : 65280.0);
    const double zero = step > 0.0 ? std::floor(-low / step + 0.5) : 0.0;
    for (int64_t j = 0; j < args.k; ++j) {
      const double q = step > 0.0 ? std::nearbyint(from[static_cast<size_t>(j)] / step + zero) : 0.0;
      x[static_cast<size_t>(j)] = step * ((args.input_bits == 8 ? std::fmin(std::fmax(q, 0.0), 255.0) : q) - zero);
    }
    for (int64_t column = 0; column < args.n; ++column) {
      const int8_t* panel = args.weight + column / 16 * groups * 64 + column % 16 * 4;
      double sum = 0.0;
      for (int64_t j = 0; j < args.k; ++j) {
        sum += x[static_cast<size_t>(j)] * static_cast<double>(args.scale[column]) * panel[j / 4 * 64 + j % 4];
      }
      if (args.bias != nullptr) sum += args.bias[column];
      sum = activate(args.activation, sum);
      if (args.residual != nullptr) sum += args.residual[row * args.residual_stride + column];
      args.y[row * args.y_stride + column] = static_cast<float>(sum);
    }
  }
}

}  // namespace anyon::reference
