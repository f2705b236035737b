// linear in plain loops, accumulating in double.
#include "kernels/linear/linear.h"
#include "kernels/reference_math.h"

namespace anyon::reference {

void linear(const LinearArgs& args) {
  for (int64_t row = 0; row < args.m; ++row) {
    for (int64_t column = 0; column < args.n; ++column) {
      const int64_t first = (column / kPanel) * args.k * kPanel + column % kPanel;
      double sum = 0.0;
      for (int64_t i = 0; i < args.k; ++i) {
        sum += static_cast<double>(args.x[row * args.x_stride + i]) * args.weight[first + i * kPanel];
      }
      if (args.bias != nullptr) sum += args.bias[column];
      sum = activate(args.activation, sum);
      if (args.residual != nullptr) sum += args.residual[row * args.residual_stride + column];
      args.y[row * args.y_stride + column] = static_cast<float>(sum);
    }
  }
}

}  // namespace anyon::reference
