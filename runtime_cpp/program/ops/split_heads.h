// The op split_heads, for the pass that puts it into the op before it.
#pragma once

#include "program/op.h"

namespace anyon {

class SplitHeads : public Op {
 public:
  explicit SplitHeads(AttrReader& attrs) : heads_(attrs.integer("heads", 1, 1 << 20)) {}

  void infer(InferContext& context) const override;
  void run(const RunContext& context) const override;

  // (batch, heads, time, width / heads) for x of (batch, time, width).
  static Shape split(const InferContext& context, const Shape& x, int64_t heads);
  int64_t heads() const { return heads_; }

 private:
  const int64_t heads_;
};

}  // namespace anyon
