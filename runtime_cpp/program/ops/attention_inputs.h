// What the attention ops share: heads read from (batch, time, width) at a column, or from (batch, heads, time,
// head_dim).
#pragma once

#include <string>

#include "kernels/attention/attention.h"
#include "program/describe.h"
#include "program/op.h"

namespace anyon {

class AttentionInputs {
 public:
  explicit AttentionInputs(AttrReader& attrs)
      : heads(attrs.integer("heads", 1, 1 << 16)),
        head_dim(attrs.integer("head_dim", 1, 1 << 16)),
        scale(attrs.number("scale")),
        offsets{attrs.integer_or("q_offset", 0, AttrReader::kMaxSize, 0),
                attrs.integer_or("k_offset", 0, AttrReader::kMaxSize, 0),
                attrs.integer_or("v_offset", 0, AttrReader::kMaxSize, 0)} {}

  // Checks an input of q, k, v (number `role`).
  void check(const InferContext& context, int input, int role) const {
    context.expect(input, DType::kF32);
    const Shape& shape = context.shape(input);
    const auto name = [&] { return std::string(1, "qkv"[role]) + " " + shape_text(shape); };
    if (shape.rank() == 3) {
      if (offsets[role] + heads * head_dim > shape[2]) {
        context.fail({name(), " has no ", heads, " heads of ", head_dim, " at column ", offsets[role]});
      }
    } else if (shape.rank() != 4 || shape[1] != heads || shape[3] != head_dim || offsets[role] != 0) {
      context.fail({name(), " is neither (batch, time, width) nor (batch, ", heads, ", time, ", head_dim,
                    ") without an offset"});
    }
  }

  static int64_t time_of(const Shape& shape) { return shape.rank() == 3 ? shape[1] : shape[2]; }

  // k and v of one batch and length, which divides the batch of q.
  static void check_batches(const InferContext& context, const Shape& q, const Shape& k, const Shape& v) {
    if (v[0] != k[0] || time_of(v) != time_of(k)) {
      context.fail({"k ", shape_text(k), " and v ", shape_text(v), " have different batches or lengths"});
    }
    if (k[0] == 0 ? q[0] != 0 : q[0] % k[0] != 0) {
      context.fail({"the batch of k, ", k[0], ", does not divide that of q, ", q[0]});
    }
  }

  // Elements between neighbours of a value of either rank.
  AttentionStrides strides_for(const Shape& shape) const {
    AttentionStrides strides;
    if (shape.rank() == 3) {
      strides.batch = shape[1] * shape[2];
      strides.time = shape[2];
      strides.head = head_dim;
    } else {
      strides.batch = heads * shape[2] * head_dim;
      strides.time = head_dim;
      strides.head = shape[2] * head_dim;
    }
    return strides;
  }

  AttentionArgs args_for(const Shape& q, const Shape& k, const Shape& v) const {
    AttentionArgs args;
    args.batch = q[0];
    args.kv_batch = k[0];
    args.heads = heads;
    args.q_len = time_of(q);
    args.kv_len = time_of(k);
    args.head_dim = head_dim;
    args.scale = scale;
    args.q_strides = strides_for(q);
    args.k_strides = strides_for(k);
    args.v_strides = strides_for(v);
    args.y_strides.time = heads * head_dim;
    args.y_strides.head = head_dim;
    args.y_strides.batch = args.q_len * args.y_strides.time;
    return args;
  }

  const float* start(const RunContext& context, int input, int role) const {
    return context.f32(input) + (context.input(input).shape.rank() == 3 ? offsets[role] : 0);
  }

  const int64_t heads, head_dim;
  const float scale;
  const int64_t offsets[3];
};

}  // namespace anyon
