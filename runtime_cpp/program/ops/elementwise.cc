// Ops that touch each element once: unary functions, and arithmetic with numpy broadcasting.
#include "kernels/elementwise/elementwise.h"

#include "program/op.h"

namespace anyon {
namespace {

template <UnaryOp kOp>
class Unary : public Op {
 public:
  explicit Unary(AttrReader&) {}

  void infer(InferContext& context) const override {
    context.expect(0, DType::kF32);
    context.output(0, DType::kF32, context.shape(0));
  }

  void run(const RunContext& context) const override {
    unary(context.isa(), kOp, context.f32(0), context.output(0).as<float>(), context.input(0).shape.elements(),
          context.pool());
  }

  bool may_reuse(int /*input*/) const override { return true; }
};

template <BinaryOp kOp>
class Binary : public Op {
 public:
  explicit Binary(AttrReader&) {}

  void infer(InferContext& context) const override {
    context.expect(0, DType::kF32);
    context.expect(1, DType::kF32);
    try {
      context.output(0, DType::kF32, broadcast_shape(context.shape(0), context.shape(1)));
    } catch (const Error& error) {
      context.fail({error.what()});
    }
  }

  void run(const RunContext& context) const override {
    binary(context.isa(), kOp, context.f32(0), context.input(0).shape, context.f32(1), context.input(1).shape,
           context.output(0).as<float>(), context.pool());
  }

  bool may_reuse(int /*input*/) const override { return true; }
};

}  // namespace

#define ANYON_ROW(row, implementation, inputs) \
  extern const OpRow op_##row;                 \
  constinit const OpRow op_##row = {#row, inputs, inputs, 1, make_op<implementation>};

ANYON_ROW(add, Binary<BinaryOp::kAdd>, 2)
ANYON_ROW(sub, Binary<BinaryOp::kSub>, 2)
ANYON_ROW(mul, Binary<BinaryOp::kMul>, 2)
ANYON_ROW(div, Binary<BinaryOp::kDiv>, 2)
ANYON_ROW(gelu, Unary<UnaryOp::kGelu>, 1)
ANYON_ROW(gelu_tanh, Unary<UnaryOp::kGeluTanh>, 1)
ANYON_ROW(relu, Unary<UnaryOp::kRelu>, 1)
ANYON_ROW(silu, Unary<UnaryOp::kSilu>, 1)
ANYON_ROW(sigmoid, Unary<UnaryOp::kSigmoid>, 1)
ANYON_ROW(tanh, Unary<UnaryOp::kTanh>, 1)
ANYON_ROW(exp, Unary<UnaryOp::kExp>, 1)

#undef ANYON_ROW

}  // namespace anyon
