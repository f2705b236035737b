// embedding: inputs [ids i64 (any shape), table f32 or f16] -> ids' shape + (width). Ids outside the table
// fail the run.
#include "kernels/embedding/embedding.h"

#include "program/ops/weights.h"

namespace anyon {
namespace {

constexpr std::array<std::pair<const char*, EmbeddingLayout>, 2> kLayouts = {
    {{"rows", EmbeddingLayout::kRows}, {"panel16", EmbeddingLayout::kPanel16}}};

class Embedding : public Op {
 public:
  explicit Embedding(AttrReader& attrs)
      : rows_(attrs.integer("rows", 1, AttrReader::kMaxSize)),
        width_(attrs.integer("width", 1, AttrReader::kMaxSize)),
        layout_(attrs.choice<EmbeddingLayout>("layout", kLayouts)) {}

  void infer(InferContext& context) const override {
    context.expect(0, DType::kI64);
    if (layout_ == EmbeddingLayout::kPanel16) {
      expect_panel16(context, 1, rows_, width_, true);
    } else {
      if (context.dtype(1) != DType::kF16) context.expect(1, DType::kF32, 2);
      context.expect_shape(1, {rows_, width_});
    }
    context.output(0, DType::kF32, embedded_shape(context, context.shape(0), width_));
  }

  void run(const RunContext& context) const override {
    if (context.input(1).dtype == DType::kF16) {
      embedding_f16(context.isa(), context.input(0).as<int64_t>(), context.input(0).shape.elements(),
                    context.input(1).as<uint16_t>(), layout_, rows_, width_, context.output(0).as<float>());
      return;
    }
    embedding(context.input(0).as<int64_t>(), context.input(0).shape.elements(), context.f32(1), layout_, rows_, width_,
              context.output(0).as<float>());
  }

 private:
  const int64_t rows_, width_;
  const EmbeddingLayout layout_;
};

}  // namespace

extern const OpRow op_embedding;
constinit const OpRow op_embedding = {"embedding", 2, 2, 1, make_op<Embedding>};

}  // namespace anyon
