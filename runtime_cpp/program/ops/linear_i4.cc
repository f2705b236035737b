// linear_i4: inputs [x (..., k), weight panel16x8 (n, k), scale, zero, bias (n)?, residual (..., n)?] -> (..., n).
#include "kernels/linear_i4/linear_i4.h"

#include "program/ops/weights.h"

namespace anyon {
namespace {

class LinearI4 : public Op {
 public:
  explicit LinearI4(AttrReader& attrs)
      : k_(attrs.integer("k", 1, kLinearI4MaxDepth)),
        n_(attrs.integer("n", 1, AttrReader::kMaxSize)),
        group_(int4_group(attrs)),
        input_bits_(input_bits(attrs)),
        activation_(attrs.choice_or<Activation>("activation", kActivations, Activation::kNone)) {}

  void infer(InferContext& context) const override {
    context.expect(kX, DType::kF32);
    Shape shape = context.shape(kX);
    if (shape.rank() < 1 || shape[shape.rank() - 1] != k_) {
      context.fail({"x ", shape_text(shape), " does not end in k = ", k_});
    }
    expect_panel16x8(context, kWeight, n_, k_, group_);
    expect_vector_or_none(context, kBias, n_);
    shape[shape.rank() - 1] = n_;
    if (context.has(kResidual)) {
      context.expect(kResidual, DType::kF32);
      context.expect_shape(kResidual, shape);
    }
    context.workspace(linear_i4_workspace_bytes(rows_of(shape), k_, group_, input_bits_, context.threads()));
    context.output(0, DType::kF32, shape);
  }

  void run(const RunContext& context) const override {
    LinearI4Args args;
    args.x = context.f32(kX);
    args.x_stride = k_;
    args.weight = context.input(kWeight).as<uint8_t>();
    args.scale = context.input(kScale).as<uint16_t>();
    args.zero = context.input(kZero).as<uint8_t>();
    args.group = group_;
    args.input_bits = input_bits_;
    args.bias = context.f32(kBias);
    args.residual = context.f32(kResidual);
    args.residual_stride = n_;
    args.y = context.output(0).as<float>();
    args.y_stride = n_;
    args.m = rows_of(context.input(kX).shape);
    args.n = n_;
    args.k = k_;
    args.activation = activation_;
    linear_i4(context.isa(), args, context.workspace(), context.pool());
  }

  bool may_reuse(int input) const override { return input == kResidual; }

 private:
  static constexpr int kX = 0, kWeight = 1, kScale = 2, kZero = 3, kBias = 4, kResidual = 5;
  const int64_t k_, n_, group_;
  const int input_bits_;
  const Activation activation_;
};

}  // namespace

extern const OpRow op_linear_i4;
constinit const OpRow op_linear_i4 = {"linear_i4", 4, 6, 1, make_op<LinearI4>};

}  // namespace anyon
