// Quantises the rows of x and splits the product over threads.
#include "kernels/linear_i8/linear_i8.h"

#include <algorithm>

#include "kernels/linear_i8/share_work.h"

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
int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// A multiple of a cache line, so that threads never share one.
int64_t row_stride(int64_t k) {
  return ceil_div(std::max<int64_t>(k, 1), 64) * 64;
}
// With room for the row's scale and zero behind it, and for the row times `column`.
int64_t row_bytes(int64_t k, int input_bits, bool has_column) {
  return row_stride(k) * (input_bits / 8 + (has_column ? 4 : 0)) + 64;
}

// Scratch for `rows` quantised rows.
struct Scratch {
  Scratch(std::byte* memory, int64_t rows, const LinearI8Args& args)
      : parts(args.input_bits / 8),
        stride(row_stride(args.k)),
        scaled(reinterpret_cast<float*>(memory)),
        q(reinterpret_cast<uint8_t*>(memory + (args.column == nullptr ? 0 : stride * 4))),
        scale(reinterpret_cast<float*>(q + rows * parts * stride)),
        zero(reinterpret_cast<int32_t*>(scale + rows)) {}

  QuantizedRows view() const { return {q, stride, scale, zero, parts}; }

  int parts;
  int64_t stride;
  float* scaled;  // one row, when there is a column
  uint8_t* q;
  float* scale;
  int32_t* zero;
};

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

int64_t linear_i8_workspace_bytes(int64_t m, int64_t k, int input_bits, bool has_column, int threads) {
  return QuantizedWork(m, row_bytes(k, input_bits, has_column), threads).workspace_bytes();
}

void linear_i8(Isa isa, const LinearI8Args& args, void* workspace, ThreadPool& pool) {
  linear_i8(
      isa, args, [&](int64_t row) { return args.x + row * args.x_stride; }, workspace, pool);
}

void linear_i8(Isa isa, const LinearI8Args& args, FunctionRef<const float*(int64_t row)> x_row, void* workspace,
               ThreadPool& pool) {
  const LinearI8Kernels kernels = kernel_for(linear_i8_kernels(), isa, "linear_i8")();
  if (args.m <= 0 || args.n <= 0) return;
  const QuantizedWork work(args.m, row_bytes(args.k, args.input_bits, args.column != nullptr), pool.size());
  const auto quantize = [&](int64_t first, int64_t count, std::byte* memory) {
    const Scratch scratch(memory, work.rows(), args);
    for (int64_t r = 0; r < count; ++r) {
      const float* row = x_row(first + r);
      if (args.column != nullptr) {
        kernels.scale_columns(row, args.column, args.k, scratch.scaled);
        row = scratch.scaled;
      }
      const InputScale input = kernels.input_scale(kernels.range(row, args.k), scratch.parts);
      uint8_t* q = scratch.q + r * scratch.parts * scratch.stride;
      if (scratch.parts == 1) {
        kernels.quantize(row, args.k, input, q);
      } else {
        kernels.quantize16(row, args.k, input, q, q + scratch.stride);
      }
      scratch.scale[r] = input.scale;
      scratch.zero[r] = input.zero;
    }
  };
  const auto multiply = [&](int64_t first, int64_t count, std::byte* memory, int64_t panel, int64_t panels) {
    const int64_t column = panel * kPanel;
    kernels.multiply(block_of(args, Scratch(memory, work.rows(), args).view(), first, count, column,
                              std::min(panels * kPanel, args.n - column)));
  };
  work.run(ceil_div(args.n, kPanel), panel16x4_bytes(args.n, args.k), workspace, pool, quantize, multiply);
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
