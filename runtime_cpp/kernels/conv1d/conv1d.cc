// Points the rows of a product at windows of the signal; windows that reach past an end point into a padded copy.
#include "kernels/conv1d/conv1d.h"

#include <algorithm>
#include <cstring>

namespace anyon {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Output times whose window lies inside the signal are [first, last).
struct Inside {
  explicit Inside(const Conv1dArgs& args) {
    const int64_t time_out = conv1d_time_out(args.time, args.kernel, args.stride, args.padding);
    first = std::min(ceil_div(args.padding, args.stride), time_out);
    const int64_t room = args.time + args.padding - args.kernel;  // last start of a window that ends inside, padded
    last = std::clamp(room < 0 ? 0 : room / args.stride + 1, first, time_out);
    left_frames = first == 0 ? 0 : (first - 1) * args.stride + args.kernel;
    right_frames = last == time_out ? 0 : (time_out - 1 - last) * args.stride + args.kernel;
  }
  int64_t first, last;
  int64_t left_frames, right_frames;  // of the padded copies that the other windows read
};

// `frames` frames from `begin` on (may be negative), zeros outside the signal.
void copy_padded(const float* x, const Conv1dArgs& args, int64_t begin, int64_t frames, float* to) {
  if (frames == 0 || args.cin == 0) return;
  const int64_t start = std::clamp<int64_t>(-begin, 0, frames);
  const int64_t end = std::clamp<int64_t>(args.time - begin, start, frames);
  const size_t frame_bytes = static_cast<size_t>(args.cin) * sizeof(float);
  std::memset(to, 0, static_cast<size_t>(start) * frame_bytes);
  if (end > start) {
    std::memcpy(to + start * args.cin, x + (begin + start) * args.cin, static_cast<size_t>(end - start) * frame_bytes);
  }
  std::memset(to + end * args.cin, 0, static_cast<size_t>(frames - end) * frame_bytes);
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
  const Inside inside(args);
  const int64_t padded_size = (inside.left_frames + inside.right_frames) * args.cin;
  float* padded = static_cast<float*>(workspace);
  for (int64_t batch = 0; batch < args.batch; ++batch) {
    const float* x = args.x + batch * args.time * args.cin;
    float* left = padded + batch * padded_size;
    copy_padded(x, args, -args.padding, inside.left_frames, left);
    copy_padded(x, args, inside.last * args.stride - args.padding, inside.right_frames,
                left + inside.left_frames * args.cin);
  }
  const auto window = [&](int64_t batch, int64_t t) -> const float* {
    const float* left = padded + batch * padded_size;
    if (t < inside.first) return left + t * args.stride * args.cin;
    if (t < inside.last) return args.x + (batch * args.time + t * args.stride - args.padding) * args.cin;
    return left + (inside.left_frames + (t - inside.last) * args.stride) * args.cin;
  };

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
    for (int64_t r = 0; r < block.rows; ++r) x_rows[r] = window(batch, t + r);
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
