// Points the rows of a product at windows of the signal.
#include "kernels/conv1d/conv1d.h"

#include <algorithm>

#include "kernels/conv1d/windows.h"

namespace anyon {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

int64_t conv1d_time_out(int64_t time, int64_t kernel, int64_t stride, int64_t padding) {
  const int64_t span = time + 2 * padding - kernel;
  return span < 0 ? 0 : span / stride + 1;
}

int64_t conv1d_workspace_bytes(const Conv1dArgs& args) {
  // Windows outside on one side start less than padding + stride apart; this bound does not depend on time.
  const int64_t frames = 2 * (args.padding + args.kernel + args.stride);
  return args.batch * frames * args.cin * static_cast<int64_t>(sizeof(float));
}

void conv1d(Isa isa, const Conv1dArgs& args, void* workspace, ThreadPool& pool) {
  linear_kernel* kernel = kernel_for(linear_kernels(), isa, "conv1d");
  const int64_t time_out = conv1d_time_out(args.time, args.kernel, args.stride, args.padding);
  if (args.batch <= 0 || time_out <= 0 || args.cout <= 0) return;
  const int64_t width = args.kernel * args.cin;
  const ConvWindows windows(args, workspace);
  const LinearSplit split = split_linear(args.batch * time_out, args.cout, width, pool.size());
  const int64_t column_tasks = ceil_div(ceil_div(args.cout, kPanel), split.panels);
  const int64_t blocks = ceil_div(time_out, split.rows);  // a block never crosses from one batch to the next
  pool.run(args.batch * blocks * column_tasks, [&](int64_t task, int) {
    const int64_t batch = task / column_tasks / blocks;
    const int64_t t = task / column_tasks % blocks * split.rows;
    const int64_t column = task % column_tasks * split.panels * kPanel;
    const float* x_rows[kLinearMaxRows];
    LinearBlock block;
    block.rows = std::min(split.rows, time_out - t);
    for (int64_t r = 0; r < block.rows; ++r) x_rows[r] = windows.at(batch, t + r);
    block.x_rows = x_rows;
    block.weight = args.weight + column * width;
    block.bias = args.bias == nullptr ? nullptr : args.bias + column;
    block.residual = args.residual == nullptr ? nullptr : args.residual + t * args.cout + column;
    block.residual_stride = args.cout;
    block.y = args.y + (batch * time_out + t) * args.cout + column;
    block.y_stride = args.cout;
    block.n = std::min(split.panels * kPanel, args.cout - column);
    block.k = width;
    block.activation = args.activation;
    kernel(block);
  });
}

}  // namespace anyon
