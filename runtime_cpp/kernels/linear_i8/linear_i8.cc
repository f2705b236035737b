// Quantises the rows of x and splits the product over threads.
#include "kernels/linear_i8/linear_i8.h"

#include <algorithm>

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "kernels/linear_i8/kernels.inc"
#undef ANYON_KERNEL

namespace {

constexpr KernelRow<linear_i8_kernel> kRows[] = {
#define ANYON_KERNEL(function, isa, op) {#function, isa, function},
#include "kernels/linear_i8/kernels.inc"
#undef ANYON_KERNEL
};

constexpr int64_t kPanel = 16;
// Up to so many rows are quantised by the caller, and the columns are shared out; more are cut into blocks of rows,
// which each thread quantises for itself.
constexpr int64_t kFewRows = 16;
constexpr int64_t kBlockRows = 96;  // a multiple of every strip
// A task is worth another thread's wake-up when it reads this much weight (about 2 us).
constexpr int64_t kTaskBytes = 64 << 10;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// A multiple of a cache line, so that threads never share one.
int64_t row_bytes(int64_t k) {
  return ceil_div(std::max<int64_t>(k, 1), 64) * 64;
}

// Scratch for the quantised rows of one block.
struct Scratch {
  Scratch(void* memory, int64_t rows, int64_t k)
      : stride(row_bytes(k)), q(static_cast<uint8_t*>(memory)), scale(reinterpret_cast<float*>(q + rows * stride)) {
    zero = reinterpret_cast<int32_t*>(scale + rows);
  }
  static int64_t bytes(int64_t rows, int64_t k) { return ceil_div(rows * (row_bytes(k) + 8), 64) * 64; }

  void quantize(const LinearI8Kernels& kernels, FunctionRef<const float*(int64_t)> x_row, int64_t first, int64_t rows,
                int64_t k) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = x_row(first + r);
      const InputScale input = kernels.input_scale(kernels.range(row, k));
      kernels.quantize(row, k, input, q + r * stride);
      scale[r] = input.scale;
      zero[r] = input.zero;
    }
  }
  QuantizedRows rows() const { return {q, stride, scale, zero}; }

  int64_t stride;
  uint8_t* q;
  float* scale;
  int32_t* zero;
};

// Rows of one block, so that every thread gets its share.
int64_t block_rows(int64_t m, int threads) {
  constexpr int64_t kStep = 12;
  return std::min(kBlockRows, ceil_div(ceil_div(m, threads), kStep) * kStep);
}

LinearI8Block block_of(const LinearI8Args& args, const QuantizedRows& x, int64_t row, int64_t rows, int64_t column,
                       int64_t n) {
  LinearI8Block block;
  block.x = x;
  block.rows = rows;
  block.weight = args.weight + panel16x4_bytes(column, args.k);
  block.scale = args.scale + column;
  block.sum = args.sum + column;
  block.bias = args.bias == nullptr ? nullptr : args.bias + column;
  block.residual = args.residual == nullptr ? nullptr : args.residual + row * args.residual_stride + column;
  block.residual_stride = args.residual_stride;
  block.y = args.y + row * args.y_stride + column;
  block.y_stride = args.y_stride;
  block.n = n;
  block.k = args.k;
  block.activation = args.activation;
  return block;
}

}  // namespace

std::span<const KernelRow<linear_i8_kernel>> linear_i8_kernels() {
  return kRows;
}

int64_t linear_i8_workspace_bytes(int64_t m, int64_t k, int threads) {
  if (m <= kFewRows) return Scratch::bytes(std::max<int64_t>(m, 1), k);
  return threads * Scratch::bytes(block_rows(m, threads), k);
}

void linear_i8(Isa isa, const LinearI8Args& args, void* workspace, ThreadPool& pool) {
  linear_i8(
      isa, args, [&](int64_t row) { return args.x + row * args.x_stride; }, workspace, pool);
}

void linear_i8(Isa isa, const LinearI8Args& args, FunctionRef<const float*(int64_t row)> x_row, void* workspace,
               ThreadPool& pool) {
  const LinearI8Kernels kernels = kernel_for(linear_i8_kernels(), isa, "linear_i8")();
  if (args.m <= 0 || args.n <= 0) return;
  if (args.m <= kFewRows) {
    Scratch scratch(workspace, args.m, args.k);
    scratch.quantize(kernels, x_row, 0, args.m, args.k);
    const int64_t panels = ceil_div(args.n, kPanel);
    const int64_t worth = panel16x4_bytes(args.n, args.k) / kTaskBytes;
    const int64_t tasks = std::clamp<int64_t>(worth, 1, std::min<int64_t>(panels, pool.size()));
    const int64_t step = ceil_div(panels, tasks);
    pool.run(ceil_div(panels, step), [&](int64_t task, int) {
      const int64_t column = task * step * kPanel;
      kernels.multiply(block_of(args, scratch.rows(), 0, args.m, column, std::min(step * kPanel, args.n - column)));
    });
    return;
  }
  const int64_t rows = block_rows(args.m, pool.size());
  const int64_t scratch_bytes = Scratch::bytes(rows, args.k);
  pool.run(ceil_div(args.m, rows), [&](int64_t task, int worker) {
    const int64_t row = task * rows, count = std::min(rows, args.m - row);
    Scratch scratch(static_cast<std::byte*>(workspace) + worker * scratch_bytes, rows, args.k);
    scratch.quantize(kernels, x_row, row, count, args.k);
    kernels.multiply(block_of(args, scratch.rows(), row, count, 0, args.n));
  });
}

void pack_panel16x4(const int8_t* weight, int64_t stride, int64_t n, int64_t k, int8_t* packed) {
  for (int64_t panel = 0; panel * kPanel < n; ++panel) {
    for (int64_t group = 0; group * 4 < k; ++group) {
      for (int64_t i = panel * kPanel; i < (panel + 1) * kPanel; ++i) {
        for (int64_t j = group * 4; j < group * 4 + 4; ++j) {
          *packed++ = i < n && j < k ? weight[i * stride + j] : int8_t{0};
        }
      }
    }
  }
}

}  // namespace anyon
