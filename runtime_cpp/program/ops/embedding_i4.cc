// embedding_i4: inputs [ids i64 (any shape), table panel16x8 (rows, width), scale, zero] -> ids' shape + (width).
#include "kernels/embedding/embedding.h"
#include "program/ops/weights.h"

namespace anyon {
namespace {

class EmbeddingI4 : public Op {
 public:
  explicit EmbeddingI4(AttrReader& attrs)
      : rows_(attrs.integer("rows", 1, AttrReader::kMaxSize)),
        width_(attrs.integer("width", 1, AttrReader::kMaxSize)),
        group_(int4_group(attrs)) {}

  void infer(InferContext& context) const override {
    context.expect(0, DType::kI64);
    expect_panel16x8(context, 1, rows_, width_, group_);
    context.output(0, DType::kF32, embedded_shape(context, context.shape(0), width_));
  }

  void run(const RunContext& context) const override {
    const EmbeddingI4Table table = {context.input(1).as<uint8_t>(), context.input(2).as<uint16_t>(),
                                    context.input(3).as<uint8_t>(), group_};
    embedding_i4(context.input(0).as<int64_t>(), context.input(0).shape.elements(), table, rows_, width_,
                 context.output(0).as<float>());
  }

 private:
  const int64_t rows_, width_, group_;
};

}  // namespace

extern const OpRow op_embedding_i4;
constinit const OpRow op_embedding_i4 = {"embedding_i4", 4, 4, 1, make_op<EmbeddingI4>};

}  // namespace anyon
