// Checks that several ops make on their weights.
#pragma once

#include <algorithm>
#include <array>
#include <span>
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

// The input is an f32 weight of (n, k) in linear's panels, or an f16 one where the op takes it.
inline void expect_panel16(const InferContext& context, int input, int64_t n, int64_t k, bool or_half = false) {
  context.expect(input, or_half && context.dtype(input) == DType::kF16 ? DType::kF16 : DType::kF32, 3);
  context.expect_shape(input, {(n + kPanel - 1) / kPanel, k, kPanel});
}

// Inputs from `input` on are an 8-bit weight of (n, k) in linear_i8's panels, its scales and its sums.
inline void expect_panel16x4(const InferContext& context, int input, int64_t n, int64_t k) {
  context.expect(input, DType::kI8, 4);
  context.expect_shape(input, {(n + kPanel - 1) / kPanel, (k + 3) / 4, kPanel, 4});
  context.expect(input + 1, DType::kF32, 1);
  context.expect_shape(input + 1, {n});
  context.expect(input + 2, DType::kI32, 1);
  context.expect_shape(input + 2, {n});
}

// The attribute "input_bits": how finely an op with quantised weights rounds its inputs.
inline int input_bits(AttrReader& attrs) {
  const int64_t bits = attrs.integer_or("input_bits", 8, 16, 8);
  if (bits != 8 && bits != 16) attrs.fail({"'input_bits' is neither 8 nor 16"});
  return static_cast<int>(bits);
}

// The attribute "group" of a 4-bit weight.
inline int64_t int4_group(AttrReader& attrs) {
  const int64_t group = attrs.integer("group", 32, 128);
  if (group != 32 && group != 64 && group != 128) attrs.fail({"'group' is not 32, 64 or 128"});
  return group;
}

// Inputs from `input` on are a 4-bit weight of (n, k) in linear_i4's panels, its scales and its zero points.
inline void expect_panel16x8(const InferContext& context, int input, int64_t n, int64_t k, int64_t group) {
  const int64_t panels = (n + kPanel - 1) / kPanel, groups = (k + group - 1) / group;
  context.expect(input, DType::kU8, 4);
  context.expect_shape(input, {panels, groups * group / 8, kPanel, 4});
  context.expect(input + 1, DType::kF16, 3);
  context.expect_shape(input + 1, {panels, groups, kPanel});
  context.expect(input + 2, DType::kU8, 3);
  context.expect_shape(input + 2, {panels, groups, kPanel});
}

// The input was left out or is an f32 vector of `size`.
inline void expect_vector_or_none(const InferContext& context, int input, int64_t size) {
  if (!context.has(input)) return;
  context.expect(input, DType::kF32, 1);
  context.expect_shape(input, {size});
}

// The shape of `ids` with an axis of `width` behind it.
inline Shape embedded_shape(const InferContext& context, const Shape& ids, int64_t width) {
  if (ids.rank() == Shape::kMaxRank) context.fail({"ids have too many axes"});
  std::array<int64_t, Shape::kMaxRank> dims{};
  std::copy(ids.dims().begin(), ids.dims().end(), dims.begin());
  dims[static_cast<size_t>(ids.rank())] = width;
  return Shape(std::span(dims).first(static_cast<size_t>(ids.rank()) + 1));
}

// Product of all dims but the last: how many rows a value has.
inline int64_t rows_of(const Shape& shape) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < shape.rank(); ++axis) rows *= shape[axis];
  return rows;
}

}  // namespace anyon
