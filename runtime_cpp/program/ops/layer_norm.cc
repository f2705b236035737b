// layer_norm: inputs [x (..., width), scale (width)?, bias (width)?] -> x's shape.
#include "program/ops/layer_norm.h"

#include "kernels/layer_norm/layer_norm.h"
#include "program/ops/weights.h"

namespace anyon {

LayerNorm::LayerNorm(AttrReader& attrs) : epsilon_(attrs.number("epsilon", 0.0, 1.0)) {}

void LayerNorm::infer(InferContext& context) const {
  context.expect(0, DType::kF32);
  const Shape shape = context.shape(0);
  if (shape.rank() < 1) context.fail({"x has no axis to normalise"});
  for (const int input : {1, 2}) expect_vector_or_none(context, input, shape[shape.rank() - 1]);
  context.output(0, DType::kF32, shape);
}

void LayerNorm::run(const RunContext& context) const {
  const Shape& shape = context.input(0).shape;
  LayerNormArgs args;
  args.x = context.f32(0);
  args.scale = context.f32(1);
  args.bias = context.f32(2);
  args.y = context.output(0).as<float>();
  args.rows = rows_of(shape);
  args.width = shape[shape.rank() - 1];
  args.epsilon = epsilon_;
  layer_norm(context.isa(), args, context.pool());
}

extern const OpRow op_layer_norm;
constinit const OpRow op_layer_norm = {"layer_norm", 1, 3, 1, make_op<LayerNorm>};

}  // namespace anyon
