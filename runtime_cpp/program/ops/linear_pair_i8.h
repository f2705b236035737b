// Two linear_i8 ops whose value between nobody else reads. Made by fuse_ops(), not found in bundles.
#pragma once

#include <memory>

#include "program/ops/linear_i8.h"

namespace anyon {

// Inputs: those of the first, kInputs of them, then those of the second, its x left out. With `adds_x` the second one's
// residual is left out too and is the first one's x.
class LinearPairI8 : public Op {
 public:
  LinearPairI8(std::unique_ptr<const LinearI8> first, std::unique_ptr<const LinearI8> second, bool adds_x)
      : first_(std::move(first)), second_(std::move(second)), adds_x_(adds_x) {}

  void infer(InferContext& context) const override;
  void run(const RunContext& context) const override;
  bool may_reuse(int input) const override {
    return input == (adds_x_ ? LinearI8::kX : LinearI8::kInputs + LinearI8::kResidual);
  }

 private:
  const std::unique_ptr<const LinearI8> first_, second_;
  const bool adds_x_;
};

extern const OpRow kLinearPairI8Row;

}  // namespace anyon
