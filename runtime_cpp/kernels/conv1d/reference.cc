// conv1d in plain loops, accumulating in double.
#include "kernels/conv1d/conv1d.h"
#include "kernels/reference_math.h"

namespace anyon::reference {

void conv1d(const Conv1dArgs& args) {
  const int64_t time_out = conv1d_time_out(args.time, args.kernel, args.stride, args.padding);
  const int64_t width = args.kernel * args.cin;
  for (int64_t batch = 0; batch < args.batch; ++batch) {
    for (int64_t t = 0; t < time_out; ++t) {
      for (int64_t c = 0; c < args.cout; ++c) {
        const float* weight = args.weight + (c / kPanel) * width * kPanel + c % kPanel;
        double sum = 0.0;
        for (int64_t tap = 0; tap < args.kernel; ++tap) {
          const int64_t frame = t * args.stride - args.padding + tap;
          if (frame < 0 || frame >= args.time) continue;
          const float* x = args.x + (batch * args.time + frame) * args.cin;
          for (int64_t i = 0; i < args.cin; ++i) {
            sum += static_cast<double>(x[i]) * weight[(tap * args.cin + i) * kPanel];
          }
        }
        if (args.bias != nullptr) sum += args.bias[c];
        sum = activate(args.activation, sum);
        if (args.residual != nullptr) sum += args.residual[t * args.cout + c];
        args.y[(batch * time_out + t) * args.cout + c] = static_cast<float>(sum);
      }
    }
  }
}

}  // namespace anyon::reference
