// linear_pair_i8: linear_i8 behind linear_i8.
#include "program/ops/linear_pair_i8.h"

#include "kernels/linear_i8/linear_pair_i8.h"
#include "program/ops/weights.h"

namespace anyon {

void LinearPairI8::infer(InferContext& context) const {
  context.expect(LinearI8::kX, DType::kF32);
  const Shape& x = context.shape(LinearI8::kX);
  const Shape y = second_->check(context, LinearI8::kInputs, first_->check(context, 0, x));
  if (adds_x_ && y != x) context.fail({"x ", shape_text(x), " cannot be added to ", shape_text(y)});
  const auto size = [](const LinearI8& op) { return LinearI8Size{op.k(), op.n(), op.input_bits(), op.is_normed()}; };
  context.output(0, DType::kF32, y);
  context.workspace(linear_pair_i8_workspace_bytes(rows_of(x), size(*first_), size(*second_), context.threads()));
}

void LinearPairI8::run(const RunContext& context) const {
  const int64_t rows = rows_of(context.input(LinearI8::kX).shape);
  LayerNormArgs norms[2];
  LinearI8Args first = first_->args(context, 0, rows, norms[0]);
  LinearI8Args second = second_->args(context, LinearI8::kInputs, rows, norms[1]);
  first.x = context.f32(LinearI8::kX);
  first.residual = context.f32(LinearI8::kResidual);
  second.residual = adds_x_ ? first.x : context.f32(LinearI8::kInputs + LinearI8::kResidual);
  second.y = context.output(0).as<float>();
  linear_pair_i8(context.isa(), first, second, context.workspace(), context.pool());
}

constinit const OpRow kLinearPairI8Row = {"linear_pair_i8", 2 * LinearI8::kInputs, 2 * LinearI8::kInputs, 1, nullptr};

}  // namespace anyon
