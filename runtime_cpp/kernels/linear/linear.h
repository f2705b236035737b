// linear: y = act(x W^T + bias) + residual, with W packed once into panels that every ISA reads.
// GEMM for many rows, short batch for 2..16, GEMV for one: one algorithm, one layout, no scratch memory.
#pragma once

#include <cstdint>
#include <span>

#include "core/threads.h"
#include "kernels/activation.h"
#include "kernels/registry.h"

namespace anyon {

// Layout `panel16` of W (n, k): [ceil(n/16)][k][16], zero padded in n; element (i, j) is at ((i/16)*k + j)*16 + i%16.
inline constexpr int64_t kPanel = 16;

struct LinearArgs {
  const float* x = nullptr;  // (m, k), rows x_stride elements apart
  int64_t x_stride = 0;
  const float* weight = nullptr;          // panel16
  const uint16_t* half_weight = nullptr;  // panel16 of 16-bit floats, in place of weight
  const float* bias = nullptr;            // (n), or null
  const float* residual = nullptr;        // (m, n), rows residual_stride apart, or null; may be y itself
  int64_t residual_stride = 0;
  float* y = nullptr;  // (m, n), rows y_stride apart; must not overlap x
  int64_t y_stride = 0;
  int64_t m = 0, n = 0, k = 0;  // any of them may be 0
  Activation activation = Activation::kNone;
};

// Every output is one chain of fused multiply-adds over k in rising order from 0, then bias, activation, residual. So
// results depend neither on threads nor on m: row r is bit-identical in a GEMV, a short batch and a GEMM of one ISA,
// and without an activation on all ISAs that fuse multiply-adds (all but scalar).
// Throws Error(kUnsupportedIsa) only.
// A half_weight is widened a few panels at a time, in `workspace` (half_weight_workspace_bytes, 64-byte aligned), which
// nothing else needs.
void linear(Isa isa, const LinearArgs& args, ThreadPool& pool, void* workspace = nullptr);
int64_t half_weight_workspace_bytes(int64_t k, int threads);

// Floats of a panel16 weight.
constexpr int64_t panel16_elements(int64_t n, int64_t k) {
  return (n + kPanel - 1) / kPanel * kPanel * k;
}

// Packs a row-major W (n, k) with rows `stride` elements apart. `packed` holds panel16_elements(n, k) floats.
void pack_panel16(const float* weight, int64_t stride, int64_t n, int64_t k, float* packed);

// What one kernel call computes: `rows` rows of x, given as pointers, times the panels that hold columns [0, n).
// Convolution passes windows of its input as rows. Pointers to weight, bias, residual and y are already offset.
struct LinearBlock {
  const float* const* x_rows = nullptr;  // at most kLinearMaxRows pointers to k floats each
  int64_t rows = 0;
  const float* weight = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
  int64_t n = 0, k = 0;
  Activation activation = Activation::kNone;
};
inline constexpr int64_t kLinearMaxRows = 96;

// How a product is cut into tasks: blocks of `rows` by `panels`. Does not change results.
struct LinearSplit {
  int64_t rows = 1;
  int64_t panels = 1;
};
LinearSplit split_linear(int64_t m, int64_t n, int64_t k, int threads);

using linear_kernel = void(const LinearBlock& block);
std::span<const KernelRow<linear_kernel>> linear_kernels();

namespace reference {
// Plain loops that accumulate in double; what the kernels are tested against.
void linear(const LinearArgs& args);
}  // namespace reference

}  // namespace anyon
