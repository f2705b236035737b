// linear_i4: y = act(x W^T + bias) + residual with W in 4 bits, a scale and a zero point for each group of inputs, and
// x quantised to 8 or 16 bits per row on the way. Sums within a group are exact integers.
#pragma once

#include <cstdint>
#include <span>

#include "core/threads.h"
#include "kernels/activation.h"
#include "kernels/registry.h"

namespace anyon {

// Layout `panel16x8` of q (n, k), q in 0..15: [ceil(n/16)][k'/8][16][4] bytes, k' = k rounded up to whole groups. Byte
// (panel, b, i, j) holds q(16 panel + i, 8 b + j) in its low half and q(16 panel + i, 8 b + 4 + j) in its high half.
// Scales and zeros: [ceil(n/16)][k'/group][16]; q stands for scale * (q - zero).
constexpr int64_t panel16x8_bytes(int64_t n, int64_t k, int64_t group) {
  return (n + 15) / 16 * 16 * ((k + group - 1) / group * group) / 2;
}
void pack_panel16x8(const uint8_t* q, int64_t stride, int64_t n, int64_t k, int64_t group, uint8_t* packed);

inline constexpr int64_t kLinearI4MaxDepth = 1 << 24;

struct LinearI4Args {
  const float* x = nullptr;  // (m, k), rows x_stride elements apart
  int64_t x_stride = 0;
  const uint8_t* weight = nullptr;  // panel16x8
  const uint16_t* scale = nullptr;  // 16-bit floats
  const uint8_t* zero = nullptr;
  int64_t group = 64;               // 32, 64 or 128
  const float* bias = nullptr;      // (n), or null
  const float* residual = nullptr;  // (m, n), rows residual_stride apart, or null; may be y itself
  int64_t residual_stride = 0;
  float* y = nullptr;  // (m, n), rows y_stride apart; must not overlap x
  int64_t y_stride = 0;
  int64_t m = 0, n = 0, k = 0;  // any of them may be 0
  Activation activation = Activation::kNone;
  int input_bits = 8;  // or 16: two products for each weight
};

// Each row of x becomes q = round(x / s) in [-127, 127] with s = max |x| / 127, in 16 bits [-32639, 32639]. Results
// depend neither on threads nor on the other rows. `workspace`: linear_i4_workspace_bytes, 64-byte aligned. Throws
// Error(kUnsupportedIsa) only.
void linear_i4(Isa isa, const LinearI4Args& args, void* workspace, ThreadPool& pool);
int64_t linear_i4_workspace_bytes(int64_t m, int64_t k, int64_t group, int input_bits, int threads);

// What one kernel call computes: `rows` quantised rows times `panels` panels. Pointers to weight, scale, zero, bias,
// residual and y are already offset.
struct LinearI4Block {
  const int8_t* x = nullptr;  // rows of k', x_stride bytes apart; in 16 bits a row of x / 256 and one of the rest
  int64_t x_stride = 0;
  int parts = 1;                    // rows of bytes for each row: 2 in 16 bits
  const float* x_scale = nullptr;   // by row
  const int32_t* x_sums = nullptr;  // by row and group: sums of x over the group, k' / group of them in each row
  int64_t rows = 0;
  const uint8_t* weight = nullptr;
  const uint16_t* scale = nullptr;
  const uint8_t* zero = nullptr;
  int64_t group = 64, groups = 0;
  const float* bias = nullptr;
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
  int64_t n = 0;
  Activation activation = Activation::kNone;
};

// The kernels of one ISA.
struct LinearI4Kernels {
  // x (count) to `parts` rows of bytes, `stride` apart and zero padded to groups * group, and sums by group; returns
  // the scale.
  float (*quantize)(const float* x, int64_t count, int64_t group, int64_t groups, int parts, int8_t* q, int64_t stride,
                    int32_t* sums);
  void (*multiply)(const LinearI4Block& block);
};
using linear_i4_kernel = LinearI4Kernels();
std::span<const KernelRow<linear_i4_kernel>> linear_i4_kernels();

namespace reference {
// Plain loops in double over the dequantised operands.
void linear_i4(const LinearI4Args& args);
}  // namespace reference

}  // namespace anyon
