// softmax over the last axis: inputs [x] -> x's shape.
#include "kernels/softmax/softmax.h"

#include "program/ops/weights.h"

namespace anyon {
namespace {

class Softmax : public Op {
 public:
  explicit Softmax(AttrReader&) {}

  void infer(InferContext& context) const override {
    context.expect(0, DType::kF32);
    const Shape shape = context.shape(0);
    if (shape.rank() < 1) context.fail({"x has no axis to normalise"});
    context.output(0, DType::kF32, shape);
  }

  void run(const RunContext& context) const override {
    const Shape& shape = context.input(0).shape;
    softmax_rows(context.isa(), context.f32(0), context.output(0).as<float>(), rows_of(shape), shape[shape.rank() - 1],
                 context.pool());
  }

  bool may_reuse(int input) const override { return input == 0; }
};

}  // namespace

extern const OpRow op_softmax;
constinit const OpRow op_softmax = {"softmax", 1, 1, 1, make_op<Softmax>};

}  // namespace anyon
