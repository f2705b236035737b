// linear_i8: y = act(x W^T + bias) + residual with W in 8 bits per output and x quantised to 8 or 16 bits per row on
// the way. Sums are exact integers; the only losses are the two roundings.
#pragma once

#include <cstdint>
#include <span>

#include "core/function_ref.h"
#include "core/threads.h"
#include "kernels/activation.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/registry.h"

namespace anyon {

// Layout `panel16x4` of W (n, k): [ceil(n/16)][ceil(k/4)][16][4] int8, zero padded in n and k; element (i, j) is at
// (((i/16) * ceil(k/4) + j/4) * 16 + i%16) * 4 + j%4. Values lie in [-127, 127].
constexpr int64_t panel16x4_bytes(int64_t n, int64_t k) {
  return (n + 15) / 16 * 16 * ((k + 3) / 4 * 4);
}
void pack_panel16x4(const int8_t* weight, int64_t stride, int64_t n, int64_t k, int8_t* packed);

// So many products of 255 x 127 can be summed in 32 bits.
inline constexpr int64_t kLinearI8MaxDepth = 65536;

struct LinearI8Args {
  const float* x = nullptr;  // (m, k), rows x_stride elements apart
  int64_t x_stride = 0;
  const int8_t* weight = nullptr;   // panel16x4, 64-byte aligned for speed
  const float* scale = nullptr;     // (n): weight (i, j) stands for scale[i] * q
  const int32_t* sum = nullptr;     // (n): sum of q over k
  const float* bias = nullptr;      // (n), or null
  const float* residual = nullptr;  // (m, n), rows residual_stride apart, or null; may be y itself
  int64_t residual_stride = 0;
  float* y = nullptr;  // (m, n), rows y_stride apart; must not overlap x
  int64_t y_stride = 0;
  // Unless 0, a multiple of 16: y is (n / head_dim, m, head_dim) with heads y_head_stride apart, and y_stride and the
  // residual are not used.
  int64_t head_dim = 0, y_head_stride = 0;
  int64_t m = 0, n = 0, k = 0;  // any of them may be 0; k up to kLinearI8MaxDepth
  Activation activation = Activation::kNone;
  // 16: two products for each weight, which costs nothing where few rows wait for the weights to arrive.
  int input_bits = 8;
  // Rows go through layer_norm() first, in cache; scale, bias and epsilon are read from here. Null: they do not.
  const LayerNormArgs* norm = nullptr;
};

// Each row of x becomes q = round(x / s) + z with s = (max - min) / 255 over the row and 0, so that 0 stays exact.
// Integer sums make a row's result independent of threads, of the other rows and, where multiply-adds fuse, of the ISA.
// `workspace`: linear_i8_workspace_bytes, 64-byte aligned. Throws Error(kUnsupportedIsa) only.
void linear_i8(Isa isa, const LinearI8Args& args, void* workspace, ThreadPool& pool);
// The same with row r of x at x_row(r), wherever that is; args.x is not used.
void linear_i8(Isa isa, const LinearI8Args& args, FunctionRef<const float*(int64_t row)> x_row, void* workspace,
               ThreadPool& pool);
// Several products of one x, which is rounded once: x, m, k, input_bits and norm are those of the first.
void linear_group_i8(Isa isa, std::span<const LinearI8Args> group, void* workspace, ThreadPool& pool);
// `prepared`: with a norm.
int64_t linear_i8_workspace_bytes(int64_t m, int64_t k, int input_bits, bool prepared, int threads);

// What linear_i8() does for rows [first, first + count), on this thread alone. `scratch`: linear_i8_rows_bytes, 64-byte
// aligned.
void linear_i8_rows(Isa isa, const LinearI8Args& args, int64_t first, int64_t count, void* scratch);
int64_t linear_i8_rows_bytes(int64_t count, int64_t k, int input_bits, bool prepared);

// A matrix of quantised rows: value (r, j) stands for scale[r] * (q - zero[r]), j < k. In 16 bits it stands for
// scale[r] * (256 * (high - zero[r]) + low), the bytes `low` in a row of their own behind the row of `high`; on ISAs
// with signed inputs both are 128 less. Rows are padded to whole groups of 4; what lies in the padding does not matter,
// since weights are zero there.
struct QuantizedRows {
  const uint8_t* q = nullptr;
  int64_t stride = 0;  // bytes between rows
  const float* scale = nullptr;
  const int32_t* zero = nullptr;
  int parts = 1;  // rows of bytes for each row: 2 in 16 bits
};

// What one kernel call computes: `rows` quantised rows times the panels of columns [0, n). Pointers to weight, scale,
// sum, bias, residual and y are already offset.
struct LinearI8Block {
  QuantizedRows x;
  int64_t rows = 0;
  const int8_t* weight = nullptr;
  const float* scale = nullptr;
  const int32_t* sum = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
  int64_t n = 0, k = 0;
  Activation activation = Activation::kNone;
};

// Smallest and largest of `count` values and 0.
struct Range {
  float low = 0.0f, high = 0.0f;
};

// How a range of floats maps to `parts` bytes on one ISA (inputs are signed on some): q = round(x * inverse + zero), in
// 16 bits q = round(x * inverse + 256 * zero).
struct InputScale {
  float scale = 0.0f, inverse = 0.0f;
  int32_t zero = 0;
};

// The kernels of one ISA.
struct LinearI8Kernels {
  Range (*range)(const float* x, int64_t count);
  InputScale (*input_scale)(Range range, int parts);
  void (*quantize)(const float* x, int64_t count, const InputScale& scale, uint8_t* q);
  void (*quantize16)(const float* x, int64_t count, const InputScale& scale, uint8_t* high, uint8_t* low);
  void (*multiply)(const LinearI8Block& block);
};
using linear_i8_kernel = LinearI8Kernels();
std::span<const KernelRow<linear_i8_kernel>> linear_i8_kernels();

namespace reference {
// Plain loops in double over the dequantised operands: what the kernels would give if sums were exact reals.
void linear_i8(const LinearI8Args& args);
}  // namespace reference

}  // namespace anyon
