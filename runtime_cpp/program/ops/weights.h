// Checks that several ops make on their weights.
#pragma once

#include <array>
#include <utility>

#include "kernels/activation.h"
#include "kernels/linear/linear.h"
#include "program/describe.h"
#include "program/op.h"

namespace anyon {

inline constexpr std::array<std::pair<const char*, Activation>, 5> kActivations = {
    {{"none", Activation::kNone},
     {"gelu", Activation::kGelu},
     {"gelu_tanh", Activation::kGeluTanh},
     {"relu", Activation::kRelu},
     {"silu", Activation::kSilu}}};

// The input is an f32 weight of (n, k) in linear's panels.
inline void expect_panel16(const InferContext& context, int input, int64_t n, int64_t k) {
  context.expect(input, DType::kF32, 3);
  context.expect_shape(input, {(n + kPanel - 1) / kPanel, k, kPanel});
}

// The input was left out or is an f32 vector of `size`.
inline void expect_vector_or_none(const InferContext& context, int input, int64_t size) {
  if (!context.has(input)) return;
  context.expect(input, DType::kF32, 1);
  context.expect_shape(input, {size});
}

// Product of all dims but the last: how many rows a value has.
inline int64_t rows_of(const Shape& shape) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < shape.rank(); ++axis) rows *= shape[axis];
  return rows;
}

}  // namespace anyon
