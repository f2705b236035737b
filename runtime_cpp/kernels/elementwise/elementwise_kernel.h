// Unary functions and binary arithmetic over one contiguous run of elements, written once.
#pragma once

#include "kernels/elementwise/elementwise.h"
#include "kernels/simd_math.h"

namespace anyon::ANYON_SIMD {

template <class F>
inline void map(const float* x, float* y, int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, f(load(x + i)));
  if (i < n) store_partial(y + i, f(load_partial(x + i, n - i)), n - i);
}

template <class F>
inline void map_pairs(const float* a, int64_t a_step, const float* b, int64_t b_step, float* y, int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    store(y + i, f(a_step == 0 ? load1(a) : load(a + i), b_step == 0 ? load1(b) : load(b + i)));
  }
  if (const int64_t rest = n - i; rest > 0) {
    const Vec p = a_step == 0 ? load1(a) : load_partial(a + i, rest);
    const Vec q = b_step == 0 ? load1(b) : load_partial(b + i, rest);
    store_partial(y + i, f(p, q), rest);
  }
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

void ANYON_KERNEL_NAME(unary_f32)(UnaryOp op, const float* x, float* y, int64_t n) {
  using namespace ANYON_SIMD;  // NOLINT(google-build-using-namespace): the vocabulary of this ISA
  switch (op) {
    case UnaryOp::kGelu:
      return map(x, y, n, [](Vec v) { return gelu(v); });
    case UnaryOp::kGeluTanh:
      return map(x, y, n, [](Vec v) { return gelu_tanh(v); });
    case UnaryOp::kRelu:
      return map(x, y, n, [](Vec v) { return relu(v); });
    case UnaryOp::kSilu:
      return map(x, y, n, [](Vec v) { return silu(v); });
    case UnaryOp::kSigmoid:
      return map(x, y, n, [](Vec v) { return sigmoid(v); });
    case UnaryOp::kTanh:
      return map(x, y, n, [](Vec v) { return ANYON_SIMD::tanh(v); });
    case UnaryOp::kExp:
      return map(x, y, n, [](Vec v) { return ANYON_SIMD::exp(v); });
  }
}

void ANYON_KERNEL_NAME(binary_f32)(BinaryOp op, const float* a, int64_t a_step, const float* b, int64_t b_step,
                                   float* y, int64_t n) {
  using namespace ANYON_SIMD;  // NOLINT(google-build-using-namespace): the vocabulary of this ISA
  switch (op) {
    case BinaryOp::kAdd:
      return map_pairs(a, a_step, b, b_step, y, n, [](Vec p, Vec q) { return add(p, q); });
    case BinaryOp::kSub:
      return map_pairs(a, a_step, b, b_step, y, n, [](Vec p, Vec q) { return sub(p, q); });
    case BinaryOp::kMul:
      return map_pairs(a, a_step, b, b_step, y, n, [](Vec p, Vec q) { return mul(p, q); });
    case BinaryOp::kDiv:
      return map_pairs(a, a_step, b, b_step, y, n, [](Vec p, Vec q) { return div(p, q); });
  }
}

}  // namespace anyon
