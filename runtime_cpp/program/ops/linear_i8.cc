// linear_i8: inputs [x (..., k), weight panel16x4 (n, k), scale (n), sum (n), bias (n)?, residual (..., n)?]
// -> (..., n).
#include "program/ops/linear_i8.h"

#include "program/ops/weights.h"

namespace anyon {

LinearI8::LinearI8(AttrReader& attrs)
    : k_(attrs.integer("k", 1, kLinearI8MaxDepth)),
      n_(attrs.integer("n", 1, AttrReader::kMaxSize)),
      input_bits_(anyon::input_bits(attrs)),
      activation_(attrs.choice_or<Activation>("activation", kActivations, Activation::kNone)) {}

std::unique_ptr<const LinearI8> LinearI8::normed(float epsilon) const {
  auto op = std::make_unique<LinearI8>(*this);
  op->epsilon_ = epsilon;
  return op;
}

Shape LinearI8::check(const InferContext& context, int base, Shape x) const {
  if (x.rank() < 1 || x[x.rank() - 1] != k_) {
    context.fail({"x ", shape_text(x), " does not end in k = ", k_});
  }
  expect_panel16x4(context, base + kWeight, n_, k_);
  expect_vector_or_none(context, base + kBias, n_);
  if (is_normed()) {
    for (const int input : {kNormScale, kNormBias}) expect_vector_or_none(context, base + input, k_);
  }
  x[x.rank() - 1] = n_;
  if (context.has(base + kResidual)) {
    context.expect(base + kResidual, DType::kF32);
    context.expect_shape(base + kResidual, x);
  }
  return x;
}

int64_t LinearI8::workspace_bytes(const InferContext& context, int base, int64_t rows) const {
  return linear_i8_workspace_bytes(rows, k_, input_bits_, is_normed(), context.threads());
}

LinearI8Args LinearI8::args(const RunContext& context, int base, int64_t rows, LayerNormArgs& norm) const {
  LinearI8Args args;
  args.x_stride = k_;
  args.weight = context.input(base + kWeight).as<int8_t>();
  args.scale = context.f32(base + kScale);
  args.sum = context.input(base + kSum).as<int32_t>();
  args.input_bits = input_bits_;
  args.bias = context.f32(base + kBias);
  args.residual_stride = n_;
  args.y_stride = n_;
  args.m = rows;
  args.n = n_;
  args.k = k_;
  args.activation = activation_;
  if (is_normed()) {
    norm.scale = context.f32(base + kNormScale);
    norm.bias = context.f32(base + kNormBias);
    norm.epsilon = *epsilon_;
    args.norm = &norm;
  }
  return args;
}

void LinearI8::infer(InferContext& context) const {
  context.expect(kX, DType::kF32);
  context.output(0, DType::kF32, check(context, 0, context.shape(kX)));
  context.workspace(workspace_bytes(context, 0, rows_of(context.shape(kX))));
}

void LinearI8::run(const RunContext& context) const {
  LayerNormArgs norm;
  LinearI8Args args = this->args(context, 0, rows_of(context.input(kX).shape), norm);
  args.x = context.f32(kX);
  args.residual = context.f32(kResidual);
  args.y = context.output(0).as<float>();
  linear_i8(context.isa(), args, context.workspace(), context.pool());
}

extern const OpRow op_linear_i8;
constinit const OpRow op_linear_i8 = {"linear_i8", 4, 6, 1, make_op<LinearI8>};

}  // namespace anyon
