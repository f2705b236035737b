// The op linear_i8, for the passes and ops that build on it.
#pragma once

#include <memory>
#include <optional>

#include "kernels/linear_i8/linear_i8.h"
#include "program/op.h"

namespace anyon {

class LinearI8 : public Op {
 public:
  // kNormScale and kNormBias are inputs of normed() ops only.
  enum Input { kX, kWeight, kScale, kSum, kBias, kResidual, kNormScale, kNormBias, kInputs };

  explicit LinearI8(AttrReader& attrs);

  void infer(InferContext& context) const override;
  void run(const RunContext& context) const override;
  bool may_reuse(int input) const override { return input == kResidual; }

  // The same op with layer_norm(x) in place of x.
  std::unique_ptr<const LinearI8> normed(float epsilon) const;
  bool is_normed() const { return epsilon_.has_value(); }

  // For ops made of several: this one's inputs begin at `base`. The shape of y for x of this shape, after checks.
  Shape check(const InferContext& context, int base, Shape x) const;
  int64_t workspace_bytes(const InferContext& context, int base, int64_t rows) const;
  // Everything but x, y and the residual; `norm` is filled in where the op is normed and must outlive the result.
  LinearI8Args args(const RunContext& context, int base, int64_t rows, LayerNormArgs& norm) const;
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  int input_bits() const { return input_bits_; }

 private:
  const int64_t k_, n_;
  const int input_bits_;
  const Activation activation_;
  std::optional<float> epsilon_;
};

}  // namespace anyon
