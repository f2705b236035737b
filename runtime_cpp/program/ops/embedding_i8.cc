// embedding_i8: inputs [ids i64 (any shape), table panel16x4 (rows, width), scale (rows)]
// -> ids' shape + (width).
#include "kernels/embedding/embedding.h"
#include "program/ops/weights.h"

namespace anyon {
namespace {

class EmbeddingI8 : public Op {
 public:
  explicit EmbeddingI8(AttrReader& attrs)
      : rows_(attrs.integer("rows", 1, AttrReader::kMaxSize)),
        width_(attrs.integer("width", 1, AttrReader::kMaxSize)) {}

  void infer(InferContext& context) const override {
    context.expect(0, DType::kI64);
    context.expect(1, DType::kI8, 4);
    context.expect_shape(1, {(rows_ + kPanel - 1) / kPanel, (width_ + 3) / 4, kPanel, 4});
    context.expect(2, DType::kF32, 1);
    context.expect_shape(2, {rows_});
    context.output(0, DType::kF32, embedded_shape(context, context.shape(0), width_));
  }

  void run(const RunContext& context) const override {
    embedding_i8(context.input(0).as<int64_t>(), context.input(0).shape.elements(), context.input(1).as<int8_t>(),
                 context.f32(2), rows_, width_, context.output(0).as<float>());
  }

 private:
  const int64_t rows_, width_;
};

}  // namespace

extern const OpRow op_embedding_i8;
constinit const OpRow op_embedding_i8 = {"embedding_i8", 3, 3, 1, make_op<EmbeddingI8>};

}  // namespace anyon
