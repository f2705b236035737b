// attention: inputs [q, k, v] -> (batch, time, heads * head_dim). Each input is (batch, time, width), read at columns
// offset .. offset + heads * head_dim, or (batch, heads, time, head_dim). With key_state and value_state, new keys and
// values are appended to the states first and queries see everything kept.
#include <cstring>

#include "core/checked.h"
#include "program/ops/attention_inputs.h"
#include "program/program.h"

namespace anyon {
namespace {

class Attention : public Op {
 public:
  explicit Attention(AttrReader& attrs)
      : inputs_(attrs),
        causal_(attrs.boolean_or("causal", false)),
        key_state_(attrs.append_state_or_none("key_state")),
        value_state_(attrs.append_state_or_none("value_state")) {
    if ((key_state_ < 0) != (value_state_ < 0)) attrs.fail({"has only one of 'key_state' and 'value_state'"});
    if (key_state_ < 0) return;
    if (key_state_ == value_state_) attrs.fail({"'key_state' and 'value_state' are the same"});
    for (const int index : {key_state_, value_state_}) {
      const ProgramState& state = attrs.state(index);
      if (state.dtype != DType::kF32 || state.dims.size() != 4 || state.axis != 2 ||
          state.dims[1].size != inputs_.heads || state.dims[3].size != inputs_.head_dim) {
        attrs.fail(
            {"state '", state.name, "' is not f32 of (batch, heads, positions, head_dim), growing along axis 2"});
      }
    }
    capacity_ = std::min(attrs.state(key_state_).capacity, attrs.state(value_state_).capacity);
  }

  void infer(InferContext& context) const override {
    for (int input = 0; input < 3; ++input) inputs_.check(context, input, input);
    const int64_t batch = context.shape(kQ)[0], kv_batch = context.shape(kK)[0];
    const int64_t q_len = AttentionInputs::time_of(context.shape(kQ));
    const int64_t kv_len = AttentionInputs::time_of(context.shape(kK));
    AttentionInputs::check_batches(context, context.shape(kQ), context.shape(kK), context.shape(kV));
    AttentionArgs args = args_for(context.shape(kQ), context.shape(kK), context.shape(kV));
    if (key_state_ >= 0) {
      if (kv_batch != batch) context.fail({"with states, q, k and v need the same batch"});
      context.append(key_state_, batch, kv_len);
      context.append(value_state_, batch, kv_len);
      args.kv_len = capacity_;
      args.past = std::max<int64_t>(0, capacity_ - q_len);
    }
    context.output(0, DType::kF32, {batch, q_len, inputs_.heads * inputs_.head_dim});
    context.workspace(attention_workspace_bytes(args, context.threads()));
  }

  void run(const RunContext& context) const override {
    AttentionArgs args = args_for(context.input(kQ).shape, context.input(kK).shape, context.input(kV).shape);
    args.q = inputs_.start(context, kQ, 0);
    args.k = inputs_.start(context, kK, 1);
    args.v = inputs_.start(context, kV, 2);
    args.y = context.output(0).as<float>();
    if (key_state_ < 0) {
      attention(context.isa(), args, context.workspace(), context.pool());
      return;
    }
    const AppendState& keys = context.state(key_state_);
    const AppendState& values = context.state(value_state_);
    append(keys, args.k, args.k_strides, args.kv_len);
    append(values, args.v, args.v_strides, args.kv_len);
    args.past = keys.past;
    args.kv_len += keys.past;
    args.k = reinterpret_cast<const float*>(keys.data);
    args.v = reinterpret_cast<const float*>(values.data);
    args.k_strides = strides_of(keys);
    args.v_strides = strides_of(values);
    run_rows(context, args, keys.rows);
  }

  bool may_reuse(int input) const override { return input == kQ; }

 private:
  static constexpr int kQ = 0, kK = 1, kV = 2;

  static AttentionStrides strides_of(const AppendState& state) {
    AttentionStrides strides;
    strides.batch = state.outer * state.capacity * state.inner;
    strides.time = state.inner;
    strides.head = state.capacity * state.inner;
    return strides;
  }

  AttentionArgs args_for(const Shape& q, const Shape& k, const Shape& v) const {
    AttentionArgs args = inputs_.args_for(q, k, v);
    args.causal = causal_;
    return args;
  }

  void append(const AppendState& state, const float* from, const AttentionStrides& strides, int64_t length) const {
    const size_t bytes = static_cast<size_t>(inputs_.head_dim) * sizeof(float);
    float* data = reinterpret_cast<float*>(state.data);
    for (int64_t b = 0; b < state.batch; ++b) {
      const int64_t row = state.rows == nullptr ? b : state.rows[b];
      for (int64_t h = 0; h < inputs_.heads; ++h) {
        float* to = data + ((row * inputs_.heads + h) * state.capacity + state.past) * inputs_.head_dim;
        const float* source = from + b * strides.batch + h * strides.head;
        for (int64_t t = 0; t < length; ++t) std::memcpy(to + t * inputs_.head_dim, source + t * strides.time, bytes);
      }
    }
  }

  // Rows of the batch that do not lie in order are computed one at a time, each where its state lies.
  static void run_rows(const RunContext& context, AttentionArgs& args, const int32_t* rows) {
    if (rows == nullptr) {
      attention(context.isa(), args, context.workspace(), context.pool());
      return;
    }
    const AttentionArgs all = args;
    args.batch = args.kv_batch = 1;
    for (int64_t b = 0; b < all.batch; ++b) {
      args.q = all.q + b * all.q_strides.batch;
      args.y = all.y + b * all.y_strides.batch;
      args.k = all.k + rows[b] * all.k_strides.batch;
      args.v = all.v + rows[b] * all.v_strides.batch;
      attention(context.isa(), args, context.workspace(), context.pool());
    }
  }

  const AttentionInputs inputs_;
  const bool causal_;
  const int key_state_, value_state_;
  int64_t capacity_ = 0;
};

}  // namespace

extern const OpRow op_attention;
constinit const OpRow op_attention = {"attention", 3, 3, 1, make_op<Attention>};

}  // namespace anyon
