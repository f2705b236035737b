// Ops that touch each element once: unary functions, and binary arithmetic with numpy broadcasting.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor.h"
#include "core/threads.h"
#include "kernels/registry.h"

namespace anyon {

enum class UnaryOp : uint8_t { kGelu, kGeluTanh, kRelu, kSilu, kSigmoid, kTanh, kExp };
enum class BinaryOp : uint8_t { kAdd, kSub, kMul, kDiv };

// y[i] = op(x[i]) for n elements; y may be x.
void unary(Isa isa, UnaryOp op, const float* x, float* y, int64_t n, ThreadPool& pool);

// The shape of a op b. Throws Error(kBadProgram) when the shapes do not broadcast.
Shape broadcast_shape(const Shape& a, const Shape& b);

// y = a op b, y dense in broadcast_shape(a_shape, b_shape). y may be an operand that has y's shape.
void binary(Isa isa, BinaryOp op, const float* a, const Shape& a_shape, const float* b, const Shape& b_shape, float* y,
            ThreadPool& pool);

using unary_kernel = void(UnaryOp op, const float* x, float* y, int64_t n);
// Operand steps are 0 (one value for all) or 1.
using binary_kernel = void(BinaryOp op, const float* a, int64_t a_step, const float* b, int64_t b_step, float* y,
                           int64_t n);
std::span<const KernelRow<unary_kernel>> unary_kernels();
std::span<const KernelRow<binary_kernel>> binary_kernels();

namespace reference {
void unary(UnaryOp op, const float* x, float* y, int64_t n);
void binary(BinaryOp op, const float* a, const Shape& a_shape, const float* b, const Shape& b_shape, float* y);
}  // namespace reference

}  // namespace anyon
