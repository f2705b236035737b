// linear: inputs [x (..., k), weight panel16 (n, k) in f32 or f16, bias (n)?, residual (..., n)?] -> (..., n).
#include "kernels/linear/linear.h"

#include "program/ops/weights.h"

namespace anyon {
namespace {

class Linear : public Op {
 public:
  explicit Linear(AttrReader& attrs)
      : k_(attrs.integer("k", 1, AttrReader::kMaxSize)),
        n_(attrs.integer("n", 1, AttrReader::kMaxSize)),
        activation_(attrs.choice_or<Activation>("activation", kActivations, Activation::kNone)) {}

  void infer(InferContext& context) const override {
    context.expect(kX, DType::kF32);
    Shape shape = context.shape(kX);
    if (shape.rank() < 1 || shape[shape.rank() - 1] != k_) {
      context.fail({"x ", shape_text(shape), " does not end in k = ", k_});
    }
    expect_panel16(context, kWeight, n_, k_, true);
    expect_vector_or_none(context, kBias, n_);
    shape[shape.rank() - 1] = n_;
    if (context.has(kResidual)) {
      context.expect(kResidual, DType::kF32);
      context.expect_shape(kResidual, shape);
    }
    if (context.dtype(kWeight) == DType::kF16) context.workspace(half_weight_workspace_bytes(k_, context.threads()));
    context.output(0, DType::kF32, shape);
  }

  void run(const RunContext& context) const override {
    LinearArgs args;
    args.x = context.f32(kX);
    args.x_stride = k_;
    if (context.input(kWeight).dtype == DType::kF16) {
      args.half_weight = context.input(kWeight).as<uint16_t>();
    } else {
      args.weight = context.f32(kWeight);
    }
    args.bias = context.f32(kBias);
    args.residual = context.f32(kResidual);
    args.residual_stride = n_;
    args.y = context.output(0).as<float>();
    args.y_stride = n_;
    args.m = rows_of(context.input(kX).shape);
    args.n = n_;
    args.k = k_;
    args.activation = activation_;
    linear(context.isa(), args, context.pool(), context.workspace());
  }

  bool may_reuse(int input) const override { return input == kResidual; }

 private:
  static constexpr int kX = 0, kWeight = 1, kBias = 2, kResidual = 3;
  const int64_t k_, n_;
  const Activation activation_;
};

}  // namespace

extern const OpRow op_linear;
constinit const OpRow op_linear = {"linear", 2, 4, 1, make_op<Linear>};

}  // namespace anyon
