// split_heads: inputs [x (batch, time, width)] -> (batch, heads, time, width / heads).
#include "program/ops/split_heads.h"

#include "kernels/layout/layout.h"
#include "program/describe.h"

namespace anyon {

Shape SplitHeads::split(const InferContext& context, const Shape& x, int64_t heads) {
  if (x.rank() != 3 || x[2] % heads != 0) {
    context.fail({"x ", shape_text(x), " does not split into ", heads, " heads"});
  }
  return {x[0], heads, x[1], x[2] / heads};
}

void SplitHeads::infer(InferContext& context) const {
  context.expect(0, DType::kF32, 3);
  context.output(0, DType::kF32, split(context, context.shape(0), heads_));
}

void SplitHeads::run(const RunContext& context) const {
  const Shape& x = context.input(0).shape;
  split_heads(context.f32(0), x[2], x[0], x[1], heads_, x[2] / heads_, context.output(0).as<float>());
}

extern const OpRow op_split_heads;
constinit const OpRow op_split_heads = {"split_heads", 1, 1, 1, make_op<SplitHeads>};

}  // namespace anyon
