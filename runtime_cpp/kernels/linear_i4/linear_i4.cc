// Quantises the rows of x and splits the product over threads.
#include "kernels/linear_i4/linear_i4.h"

#include <algorithm>

#include "kernels/linear_i8/share_work.h"

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "kernels/linear_i4/kernels.inc"
#undef ANYON_KERNEL

namespace {

constexpr KernelRow<linear_i4_kernel> kRows[] = {
#define ANYON_KERNEL(function, isa, op) {#function, isa, function},
#include "kernels/linear_i4/kernels.inc"
#undef ANYON_KERNEL
};

constexpr int64_t kPanel = 16;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t round_up(int64_t value, int64_t step) {
  return ceil_div(value, step) * step;
}

// One quantised row: its bytes in one or two parts, the sums of its groups, and its scale.
struct RowLayout {
  RowLayout(int64_t k, int64_t group, int input_bits)
      : parts(input_bits / 8),
        groups(ceil_div(k, group)),
        stride(round_up(std::max<int64_t>(groups * group, 1), 64)),
        bytes(stride * parts + round_up(groups * 4, 64) + 64) {}
  int parts;
  int64_t groups, stride, bytes;
};

struct Scratch {
  Scratch(std::byte* memory, int64_t rows, const RowLayout& layout)
      : q(reinterpret_cast<int8_t*>(memory)),
        sums(reinterpret_cast<int32_t*>(q + rows * layout.parts * layout.stride)),
        scale(reinterpret_cast<float*>(sums + rows * layout.groups)) {}
  int8_t* q;
  int32_t* sums;
  float* scale;
};

}  // namespace

std::span<const KernelRow<linear_i4_kernel>> linear_i4_kernels() {
  return kRows;
}

int64_t linear_i4_workspace_bytes(int64_t m, int64_t k, int64_t group, int input_bits, int threads) {
  return QuantizedWork(m, RowLayout(k, group, input_bits).bytes, threads).workspace_bytes();
}

void linear_i4(Isa isa, const LinearI4Args& args, void* workspace, ThreadPool& pool) {
  const LinearI4Kernels kernels = kernel_for(linear_i4_kernels(), isa, "linear_i4")();
  if (args.m <= 0 || args.n <= 0) return;
  const RowLayout layout(args.k, args.group, args.input_bits);
  const QuantizedWork work(args.m, layout.bytes, pool.size());
  const auto quantize = [&](int64_t first, int64_t count, std::byte* memory) {
    const Scratch scratch(memory, work.rows(), layout);
    for (int64_t r = 0; r < count; ++r) {
      const float* row = args.x + (first + r) * args.x_stride;
      scratch.scale[r] = kernels.quantize(row, args.k, args.group, layout.groups, layout.parts,
                                          scratch.q + r * layout.parts * layout.stride, layout.stride,
                                          scratch.sums + r * layout.groups);
    }
  };
  const auto multiply = [&](int64_t first, int64_t count, std::byte* memory, int64_t panel, int64_t panels) {
    const Scratch scratch(memory, work.rows(), layout);
    const int64_t column = panel * kPanel;
    LinearI4Block block;
    block.x = scratch.q;
    block.x_stride = layout.stride;
    block.parts = layout.parts;
    block.x_scale = scratch.scale;
    block.x_sums = scratch.sums;
    block.rows = count;
    block.weight = args.weight + panel16x8_bytes(column, args.k, args.group);
    block.scale = args.scale + column * layout.groups;
    block.zero = args.zero + column * layout.groups;
    block.group = args.group;
    block.groups = layout.groups;
    block.bias = args.bias == nullptr ? nullptr : args.bias + column;
    block.residual = args.residual == nullptr ? nullptr : args.residual + first * args.residual_stride + column;
    block.residual_stride = args.residual_stride;
    block.y = args.y + first * args.y_stride + column;
    block.y_stride = args.y_stride;
    block.n = std::min(panels * kPanel, args.n - column);
    block.activation = args.activation;
    kernels.multiply(block);
  };
  work.run(ceil_div(args.n, kPanel), panel16x8_bytes(args.n, args.k, args.group), workspace, pool, quantize, multiply);
}

void pack_panel16x8(const uint8_t* q, int64_t stride, int64_t n, int64_t k, int64_t group, uint8_t* packed) {
  const auto at = [&](int64_t i, int64_t j) { return i < n && j < k ? q[i * stride + j] : uint8_t{8}; };
  for (int64_t panel = 0; panel < n; panel += kPanel) {
    for (int64_t octet = 0; octet < round_up(k, group); octet += 8) {
      for (int64_t i = panel; i < panel + kPanel; ++i) {
        for (int64_t j = octet; j < octet + 4; ++j) *packed++ = static_cast<uint8_t>(at(i, j) | at(i, j + 4) << 4);
      }
    }
  }
}

}  // namespace anyon
