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
// With room for the row's scale and zero behind it, and for the row normalised.
int64_t row_bytes(int64_t k, int input_bits, bool prepared) {
  return row_stride(k) * (input_bits / 8 + (prepared ? 4 : 0)) + 64;
}
bool is_prepared(const LinearI8Args& args) {
  return args.norm != nullptr;
}

// Scratch for `rows` quantised rows.
struct Scratch {
  Scratch(std::byte* memory, int64_t rows, const LinearI8Args& args)
      : parts(args.input_bits / 8),
        stride(row_stride(args.k)),
        prepared(reinterpret_cast<float*>(memory)),
        q(reinterpret_cast<uint8_t*>(memory + (is_prepared(args) ? stride * 4 : 0))),
        scale(reinterpret_cast<float*>(q + rows * parts * stride)),
        zero(reinterpret_cast<int32_t*>(scale + rows)) {}

  QuantizedRows view() const { return {q, stride, scale, zero, parts}; }

  int parts;
  int64_t stride;
  float* prepared;  // one row, when there is a norm
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
  if (args.head_dim == 0) {
    block.y = args.y + row * args.y_stride + column;
    block.y_stride = args.y_stride;
  } else {
    block.y = args.y + column / args.head_dim * args.y_head_stride + row * args.head_dim + column % args.head_dim;
    block.y_stride = args.head_dim;
  }
  block.n = n;
  block.k = args.k;
  block.activation = args.activation;
  return block;
}

// Rounds rows of x to scratch, and multiplies what lies there with every weight of a group.
class RowProduct {
 public:
  RowProduct(Isa isa, std::span<const LinearI8Args> group, FunctionRef<const float*(int64_t row)> x_row,
             int64_t scratch_rows)
      : kernels_(kernel_for(linear_i8_kernels(), isa, "linear_i8")()),
        norm_(group[0].norm == nullptr ? nullptr : kernel_for(layer_norm_kernels(), isa, "layer_norm")),
        group_(group),
        args_(group[0]),
        x_row_(x_row),
        scratch_rows_(scratch_rows) {}

  void quantize(int64_t first, int64_t count, std::byte* memory) const {
    const Scratch scratch(memory, scratch_rows_, args_);
    for (int64_t r = 0; r < count; ++r) {
      const float* row = prepare(x_row_(first + r), scratch.prepared);
      const InputScale input = kernels_.input_scale(kernels_.range(row, args_.k), scratch.parts);
      uint8_t* q = scratch.q + r * scratch.parts * scratch.stride;
      if (scratch.parts == 1) {
        kernels_.quantize(row, args_.k, input, q);
      } else {
        kernels_.quantize16(row, args_.k, input, q, q + scratch.stride);
      }
      scratch.scale[r] = input.scale;
      scratch.zero[r] = input.zero;
    }
  }

  // Panels are numbered through the group.
  void multiply(int64_t first, int64_t count, std::byte* memory, int64_t panel, int64_t panels) const {
    const QuantizedRows rows = Scratch(memory, scratch_rows_, args_).view();
    for (const LinearI8Args& args : group_) {
      const int64_t own = ceil_div(args.n, kPanel);
      const int64_t begin = std::clamp<int64_t>(panel, 0, own), end = std::clamp<int64_t>(panel + panels, 0, own);
      panel -= own;
      const int64_t last = std::min(end * kPanel, args.n);
      for (int64_t column = begin * kPanel; column < last;) {
        const int64_t left_in_head = args.head_dim == 0 ? args.n : args.head_dim - column % args.head_dim;
        const int64_t n = std::min(left_in_head, last - column);
        kernels_.multiply(block_of(args, rows, first, count, column, n));
        column += n;
      }
    }
  }

 private:
  const float* prepare(const float* row, float* to) const {
    if (norm_ == nullptr) return row;
    LayerNormArgs norm = *args_.norm;
    norm.x = row;
    norm.y = to;
    norm.rows = 1;
    norm.width = args_.k;
    norm_(norm);
    return to;
  }

  const LinearI8Kernels kernels_;
  layer_norm_kernel* const norm_;
  const std::span<const LinearI8Args> group_;
  const LinearI8Args& args_;  // the first of the group, which says how x is read
  const FunctionRef<const float*(int64_t row)> x_row_;
  const int64_t scratch_rows_;
};

void run_group(Isa isa, std::span<const LinearI8Args> group, FunctionRef<const float*(int64_t row)> x_row,
               void* workspace, ThreadPool& pool) {
  const LinearI8Args& args = group[0];
  int64_t panels = 0, bytes = 0;
  for (const LinearI8Args& one : group) {
    panels += ceil_div(one.n, kPanel);
    bytes += panel16x4_bytes(one.n, one.k);
  }
  if (args.m <= 0 || panels == 0) return;
  const QuantizedWork work(args.m, row_bytes(args.k, args.input_bits, is_prepared(args)), pool.size());
  const RowProduct product(isa, group, x_row, work.rows());
  work.run(
      panels, bytes, workspace, pool,
      [&](int64_t first, int64_t count, std::byte* memory) { product.quantize(first, count, memory); },
      [&](int64_t first, int64_t count, std::byte* memory, int64_t panel, int64_t count_panels) {
        product.multiply(first, count, memory, panel, count_panels);
      });
}

}  // namespace

std::span<const KernelRow<linear_i8_kernel>> linear_i8_kernels() {
  return kRows;
}

int64_t linear_i8_workspace_bytes(int64_t m, int64_t k, int input_bits, bool prepared, int threads) {
  return QuantizedWork(m, row_bytes(k, input_bits, prepared), threads).workspace_bytes();
}

int64_t linear_i8_rows_bytes(int64_t count, int64_t k, int input_bits, bool prepared) {
  return count * row_bytes(k, input_bits, prepared);
}

void linear_i8_rows(Isa isa, const LinearI8Args& args, int64_t first, int64_t count, void* scratch) {
  if (count <= 0 || args.n <= 0) return;
  const auto x_row = [&](int64_t row) { return args.x + row * args.x_stride; };
  const RowProduct product(isa, {&args, 1}, x_row, count);
  product.quantize(first, count, static_cast<std::byte*>(scratch));
  product.multiply(first, count, static_cast<std::byte*>(scratch), 0, ceil_div(args.n, kPanel));
}

void linear_i8(Isa isa, const LinearI8Args& args, void* workspace, ThreadPool& pool) {
  linear_group_i8(isa, {&args, 1}, workspace, pool);
}

void linear_i8(Isa isa, const LinearI8Args& args, FunctionRef<const float*(int64_t row)> x_row, void* workspace,
               ThreadPool& pool) {
  run_group(isa, {&args, 1}, x_row, workspace, pool);
}

void linear_group_i8(Isa isa, std::span<const LinearI8Args> group, void* workspace, ThreadPool& pool) {
  if (group.empty()) return;
  const LinearI8Args& args = group[0];
  run_group(
      isa, group, [&](int64_t row) { return args.x + row * args.x_stride; }, workspace, pool);
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
