// linear_i8 ops that read the same x, which is then rounded once; their outputs may be split into heads as they are
// written. Made by fuse_ops(), not found in bundles.
#pragma once

#include <memory>
#include <vector>

#include "program/ops/linear_i8.h"

namespace anyon {

// Inputs: those of each, kInputs of them, one behind the other; x, and the norm's inputs where all are normed, stand
// with the first only. No residuals. One output each.
class LinearGroupI8 : public Op {
 public:
  struct Member {
    std::shared_ptr<const LinearI8> linear;
    int64_t heads = 0;  // its output is as split_heads would leave it; 0: as it is
  };

  explicit LinearGroupI8(std::vector<Member> members) : members_(std::move(members)) {}

  void infer(InferContext& context) const override;
  void run(const RunContext& context) const override;

  // The same op with layer_norm(x) in place of x.
  std::unique_ptr<const LinearGroupI8> normed(float epsilon) const;

  static constexpr int kMaxMembers = 64;
  // Whether heads of n columns each can be written as they are computed.
  static bool takes_heads(const LinearI8& linear, int64_t heads) {
    return linear.n() % heads == 0 && linear.n() / heads % 16 == 0;
  }

 private:
  std::vector<Member> members_;
};

extern const OpRow kLinearGroupI8Row;

}  // namespace anyon
