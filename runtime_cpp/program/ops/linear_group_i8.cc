// linear_group_i8: linear_i8 ops side by side.
#include "program/ops/linear_group_i8.h"

#include <algorithm>
#include <array>

#include "program/ops/split_heads.h"
#include "program/ops/weights.h"

namespace anyon {

std::unique_ptr<const LinearGroupI8> LinearGroupI8::normed(float epsilon) const {
  std::vector<Member> members = members_;
  members[0].linear = members[0].linear->normed(epsilon);  // the first says how x is read
  return std::make_unique<LinearGroupI8>(std::move(members));
}

void LinearGroupI8::infer(InferContext& context) const {
  context.expect(LinearI8::kX, DType::kF32);
  const Shape& x = context.shape(LinearI8::kX);
  for (int i = 0; i < static_cast<int>(members_.size()); ++i) {
    const Member& member = members_[static_cast<size_t>(i)];
    Shape y = member.linear->check(context, i * LinearI8::kInputs, x);
    if (member.heads > 0) y = SplitHeads::split(context, y, member.heads);
    context.output(i, DType::kF32, y);
  }
  context.workspace(members_[0].linear->workspace_bytes(context, 0, rows_of(x)));
}

void LinearGroupI8::run(const RunContext& context) const {
  const Shape& x = context.input(LinearI8::kX).shape;
  const bool splits = std::any_of(members_.begin(), members_.end(), [](const Member& m) { return m.heads > 0; });
  // Heads of one row of the batch lie together.
  const int64_t batch = splits ? x[0] : 1, rows = batch == 0 ? 0 : rows_of(x) / batch;
  LayerNormArgs norm;
  std::array<LinearI8Args, kMaxMembers> group;
  for (int64_t b = 0; b < batch; ++b) {
    for (size_t i = 0; i < members_.size(); ++i) {
      const Member& member = members_[i];
      LinearI8Args& args = group[i];
      args = member.linear->args(context, static_cast<int>(i) * LinearI8::kInputs, rows, norm);
      args.x = context.f32(LinearI8::kX) + b * rows * args.k;
      args.y = context.output(static_cast<int>(i)).as<float>() + b * rows * args.n;
      if (member.heads > 0) {
        args.head_dim = args.n / member.heads;
        args.y_head_stride = rows * args.head_dim;
      }
    }
    linear_group_i8(context.isa(), std::span(group).first(members_.size()), context.workspace(), context.pool());
  }
}

constinit const OpRow kLinearGroupI8Row = {"linear_group_i8", LinearI8::kInputs,
                                           LinearGroupI8::kMaxMembers* LinearI8::kInputs, 1, nullptr};

}  // namespace anyon
