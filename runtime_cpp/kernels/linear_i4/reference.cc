// linear_i4 in plain loops: rounds the rows as the contract says and sums in double.
#include <cmath>
#include <vector>

#include "kernels/half/half.h"
#include "kernels/linear_i4/linear_i4.h"
#include "kernels/reference_math.h"

namespace anyon::reference {

void linear_i4(const LinearI4Args& args) {
  const int64_t groups = (args.k + args.group - 1) / args.group;
  std::vector<double> x(static_cast<size_t>(args.k));
  for (int64_t row = 0; row < args.m; ++row) {
    std::vector<float> from(args.x + row * args.x_stride, args.x + row * args.x_stride + args.k);
    double largest = 0.0;
    for (const float value : from) {
      // An explicit comparison: gcc 12 for AArch64 crashes on fmax with fabs.
      if (std::fabs(double{value}) > largest) largest = std::fabs(double{value});
    }
    const double step = largest / (args.input_bits == 8 ? 127.0 : 32639.0);
    for (int64_t j = 0; j < args.k; ++j) {
      x[static_cast<size_t>(j)] = step > 0.0 ? step * std::nearbyint(from[static_cast<size_t>(j)] / step) : 0.0;
    }
    for (int64_t column = 0; column < args.n; ++column) {
      const int64_t panel = column / 16, lane = column % 16;
      double sum = 0.0;
      for (int64_t j = 0; j < args.k; ++j) {
        const uint8_t byte = args.weight[panel * groups * args.group * 8 + j / 8 * 64 + lane * 4 + j % 4];
        const int q = j % 8 < 4 ? byte & 15 : byte >> 4;
        const int64_t g = (panel * groups + j / args.group) * 16 + lane;
        sum += x[static_cast<size_t>(j)] * double{reference::half_to_float(args.scale[g])} * (q - args.zero[g]);
      }
      if (args.bias != nullptr) sum += args.bias[column];
      sum = activate(args.activation, sum);
      if (args.residual != nullptr) sum += args.residual[row * args.residual_stride + column];
      args.y[row * args.y_stride + column] = static_cast<float>(sum);
    }
  }
}

}  // namespace anyon::reference
