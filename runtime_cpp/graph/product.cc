// Packing, and the call of linear's kernels.
#include "graph/product.h"

#include <algorithm>

#include "kernels/linear/linear.h"

namespace anyon::graph {

Tensor pack_columns(Run& run, const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t column_stride) {
  const int64_t panels = (n + kPanel - 1) / kPanel;
  const Tensor packed = run.scratch(DType::kF32, {panels, k, kPanel});
  auto* to = packed.as<float>();
  const int64_t grain = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, k));
  parallel_for(run.pool(), panels, grain, [=](int64_t begin, int64_t end, int) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * kPanel, width = std::min(kPanel, n - first);
      for (int64_t i = 0; i < k; ++i) {
        const float* row = b + i * row_stride + first * column_stride;
        float* out = to + (panel * k + i) * kPanel;
        if (column_stride == 1) {
          std::copy_n(row, width, out);
        } else {
          for (int64_t j = 0; j < width; ++j) out[j] = row[j * column_stride];
        }
        std::fill_n(out + width, kPanel - width, 0.0f);
      }
    }
  });
  return packed;
}

void multiply(Run& run, const float* a, int64_t a_stride, const float* panels, float* y, int64_t y_stride, int64_t m,
              int64_t n, int64_t k) {
  LinearArgs args;
  args.x = a;
  args.x_stride = a_stride;
  args.weight = panels;
  args.y = y;
  args.y_stride = y_stride;
  args.m = m;
  args.n = n;
  args.k = k;
  linear(run.isa(), args, run.pool());
}

}  // namespace anyon::graph
