// The op layer_norm, for the pass that puts it into the op behind it.
#pragma once

#include "program/op.h"

namespace anyon {

class LayerNorm : public Op {
 public:
  explicit LayerNorm(AttrReader& attrs);

  void infer(InferContext& context) const override;
  void run(const RunContext& context) const override;
  bool may_reuse(int input) const override { return input == 0; }

  float epsilon() const { return epsilon_; }

 private:
  const float epsilon_;
};

}  // namespace anyon
