// A tensor kept in 16 bits, such as a table of positions, is widened into scratch memory before an op reads it.
#pragma once

#include "kernels/half/half.h"
#include "program/op.h"

namespace anyon {

// Scratch bytes for `elements` of an input, a multiple of 64; 0 when it is not in 16 bits.
inline int64_t widened_bytes(const InferContext& context, int input, int64_t elements) {
  return context.has(input) && context.dtype(input) == DType::kF16 ? (elements * 4 + 63) / 64 * 64 : 0;
}

// The first `elements` of the input as floats, or null; what it takes of the workspace is taken off its front.
inline const float* widened(const RunContext& context, int input, int64_t elements, std::byte** workspace) {
  if (!context.has(input) || context.input(input).dtype != DType::kF16) return context.f32(input);
  auto* floats = reinterpret_cast<float*>(*workspace);
  half_to_float(context.isa(), context.input(input).as<uint16_t>(), elements, floats);
  *workspace += (elements * 4 + 63) / 64 * 64;
  return floats;
}

}  // namespace anyon
