// Splits a product over threads and hands blocks of rows and panels to the kernel of the ISA.
#include "kernels/linear/linear.h"

#include <algorithm>

#include "kernels/half/half.h"

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "kernels/linear/kernels.inc"
#undef ANYON_KERNEL

namespace {

constexpr KernelRow<linear_kernel> kRows[] = {
#define ANYON_KERNEL(function, isa, op) {#function, isa, function},
#include "kernels/linear/kernels.inc"
#undef ANYON_KERNEL
};

// A task is worth another thread's wake-up when it reads this much weight or does this much arithmetic (about 5 us).
constexpr double kTaskBytes = 128 << 10;
constexpr double kTaskFlops = 500'000;
// Panels of 16-bit weights that are widened at once: a multiple of every kernel's group of panels.
constexpr int64_t kWidenedPanels = 24;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

std::span<const KernelRow<linear_kernel>> linear_kernels() {
  return kRows;
}

LinearSplit split_linear(int64_t m, int64_t n, int64_t k, int threads) {
  // A multiple of every kernel's strip height and panel group, so that only the last block is ragged.
  constexpr int64_t kStep = 24;
  constexpr int64_t kRowBytes = 320 << 10;  // rows of x that stay in the second-level cache
  constexpr int64_t kTasksPerThread = 16;   // so that no thread waits long for the last task of another
  LinearSplit split;
  const int64_t row_bytes = std::max<int64_t>(1, k * static_cast<int64_t>(sizeof(float)));
  const int64_t most_rows = std::clamp(kRowBytes / row_bytes / kStep * kStep, kStep, kLinearMaxRows);
  const int64_t row_tasks = std::max<int64_t>(1, ceil_div(m, most_rows));
  split.rows = std::min(most_rows, ceil_div(ceil_div(std::max<int64_t>(1, m), row_tasks), kStep) * kStep);
  const int64_t panels = std::max<int64_t>(1, ceil_div(n, kPanel));
  split.panels = panels;
  if (threads == 1) return split;
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const double bytes = static_cast<double>(panels * kPanel) * static_cast<double>(row_bytes);
  const double worth = std::max(flops / kTaskFlops, row_tasks == 1 ? bytes / kTaskBytes : 0.0);
  int64_t tasks = static_cast<int64_t>(std::min(worth, static_cast<double>(kTasksPerThread * threads)));
  // Equal shares when there are few tasks; many even each other out.
  if (tasks > threads) tasks = tasks < 4 * threads ? threads : tasks / threads * threads;
  const int64_t pieces = std::clamp<int64_t>(tasks / row_tasks, 1, panels);
  split.panels = ceil_div(panels, pieces);
  const int64_t step = split.panels > 4 * kStep ? kStep : split.panels > 4 ? 4 : 1;
  split.panels = ceil_div(split.panels, step) * step;
  return split;
}

int64_t half_weight_workspace_bytes(int64_t k, int threads) {
  return threads * kWidenedPanels * kPanel * k * static_cast<int64_t>(sizeof(float));
}

void linear(Isa isa, const LinearArgs& args, ThreadPool& pool, void* workspace) {
  linear_kernel* kernel = kernel_for(linear_kernels(), isa, "linear");
  if (args.m <= 0 || args.n <= 0) return;
  const LinearSplit split = split_linear(args.m, args.n, args.k, pool.size());
  const int64_t column_tasks = ceil_div(ceil_div(args.n, kPanel), split.panels);
  const int64_t row_tasks = ceil_div(args.m, split.rows);
  pool.run(row_tasks * column_tasks, [&](int64_t task, int worker) {
    const int64_t row = task / column_tasks * split.rows;
    const int64_t column = task % column_tasks * split.panels * kPanel;
    const float* x_rows[kLinearMaxRows];
    LinearBlock block;
    block.rows = std::min(split.rows, args.m - row);
    for (int64_t r = 0; r < block.rows; ++r) x_rows[r] = args.x + (row + r) * args.x_stride;
    block.x_rows = x_rows;
    block.weight = args.weight == nullptr ? nullptr : args.weight + column * args.k;
    block.bias = args.bias == nullptr ? nullptr : args.bias + column;
    block.residual = args.residual == nullptr ? nullptr : args.residual + row * args.residual_stride + column;
    block.residual_stride = args.residual_stride;
    block.y = args.y + row * args.y_stride + column;
    block.y_stride = args.y_stride;
    block.n = std::min(split.panels * kPanel, args.n - column);
    block.k = args.k;
    block.activation = args.activation;
    if (args.half_weight == nullptr) {
      kernel(block);
      return;
    }
    float* widened = static_cast<float*>(workspace) + worker * kWidenedPanels * kPanel * args.k;
    const LinearBlock whole = block;
    for (int64_t begin = 0; begin < whole.n; begin += kWidenedPanels * kPanel) {
      block.n = std::min(kWidenedPanels * kPanel, whole.n - begin);
      half_to_float(isa, args.half_weight + (column + begin) * args.k, panel16_elements(block.n, args.k), widened);
      block.weight = widened;
      block.bias = whole.bias == nullptr ? nullptr : whole.bias + begin;
      block.residual = whole.residual == nullptr ? nullptr : whole.residual + begin;
      block.y = whole.y + begin;
      kernel(block);
    }
  });
}

void pack_panel16(const float* weight, int64_t stride, int64_t n, int64_t k, float* packed) {
  for (int64_t panel = 0; panel * kPanel < n; ++panel) {
    for (int64_t j = 0; j < k; ++j) {
      for (int64_t i = 0; i < kPanel; ++i) {
        const int64_t row = panel * kPanel + i;
        *packed++ = row < n ? weight[row * stride + j] : 0.0f;
      }
    }
  }
}

}  // namespace anyon
