// attention: inputs [q, k, v] -> (batch, time, heads * head_dim). Each input is (batch, time, width), read at columns
// offset .. offset + heads * head_dim, or (batch, heads, time, head_dim). With key_state and value_state, new keys and
// values are appended to the states first and queries see everything kept.
#include "kernels/attention/attention.h"

#include <cstring>

#include "core/checked.h"
#include "program/describe.h"
#include "program/op.h"
#include "program/program.h"

namespace anyon {
namespace {

class Attention : public Op {
 public:
  explicit Attention(AttrReader& attrs)
      : heads_(attrs.integer("heads", 1, 1 << 16)),
        head_dim_(attrs.integer("head_dim", 1, 1 << 16)),
        scale_(attrs.number("scale")),
        causal_(attrs.boolean_or("causal", false)),
        offsets_{attrs.integer_or("q_offset", 0, AttrReader::kMaxSize, 0),
                 attrs.integer_or("k_offset", 0, AttrReader::kMaxSize, 0),
                 attrs.integer_or("v_offset", 0, AttrReader::kMaxSize, 0)},
        key_state_(attrs.append_state_or_none("key_state")),
        value_state_(attrs.append_state_or_none("value_state")) {
    if ((key_state_ < 0) != (value_state_ < 0)) attrs.fail("has only one of 'key_state' and 'value_state'");
    if (key_state_ < 0) return;
    if (key_state_ == value_state_) attrs.fail("'key_state' and 'value_state' are the same");
    for (const int index : {key_state_, value_state_}) {
      const ProgramState& state = attrs.state(index);
      if (state.dtype != DType::kF32 || state.dims.size() != 4 || state.axis != 2 || state.dims[1].size != heads_ ||
          state.dims[3].size != head_dim_) {
        attrs.fail("state '" + state.name +
                   "' is not f32 of (batch, heads, positions, head_dim), growing along axis 2");
      }
    }
    capacity_ = std::min(attrs.state(key_state_).capacity, attrs.state(value_state_).capacity);
  }

  void infer(InferContext& context) const override {
    for (int input = 0; input < 3; ++input) check_input(context, input);
    const int64_t batch = context.shape(kQ)[0], kv_batch = context.shape(kK)[0];
    const int64_t q_len = time_of(context.shape(kQ)), kv_len = time_of(context.shape(kK));
    if (context.shape(kV)[0] != kv_batch || time_of(context.shape(kV)) != kv_len) {
      context.fail("k " + shape_text(context.shape(kK)) + " and v " + shape_text(context.shape(kV)) +
                   " have different batches or lengths");
    }
    AttentionArgs args = args_for(context.shape(kQ), context.shape(kK), context.shape(kV));
    if (key_state_ >= 0) {
      if (kv_batch != batch) context.fail("with states, q, k and v need the same batch");
      context.append(key_state_, batch, kv_len);
      context.append(value_state_, batch, kv_len);
      args.kv_len = capacity_;
      args.past = std::max<int64_t>(0, capacity_ - q_len);
    } else if (kv_batch == 0 ? batch != 0 : batch % kv_batch != 0) {
      context.fail("the batch of k, " + std::to_string(kv_batch) + ", does not divide that of q, " +
                   std::to_string(batch));
    }
    context.output(0, DType::kF32, {batch, q_len, heads_ * head_dim_});
    context.workspace(attention_workspace_bytes(args, context.threads()));
  }

  void run(const RunContext& context) const override {
    AttentionArgs args = args_for(context.input(kQ).shape, context.input(kK).shape, context.input(kV).shape);
    args.q = start(context, kQ);
    args.k = start(context, kK);
    args.v = start(context, kV);
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
  static constexpr const char* kInputNames[] = {"q", "k", "v"};

  void check_input(const InferContext& context, int input) const {
    context.expect(input, DType::kF32);
    const Shape& shape = context.shape(input);
    const auto name = [&] { return std::string(kInputNames[input]).append(" ").append(shape_text(shape)); };
    if (shape.rank() == 3) {
      if (offsets_[input] + heads_ * head_dim_ > shape[2]) {
        context.fail(name() + " has no " + std::to_string(heads_) + " heads of " + std::to_string(head_dim_) +
                     " at column " + std::to_string(offsets_[input]));
      }
    } else if (shape.rank() != 4 || shape[1] != heads_ || shape[3] != head_dim_ || offsets_[input] != 0) {
      context.fail(name() + " is neither (batch, time, width) nor (batch, " + std::to_string(heads_) + ", time, " +
                   std::to_string(head_dim_) + ") without an offset");
    }
  }

  static int64_t time_of(const Shape& shape) { return shape.rank() == 3 ? shape[1] : shape[2]; }

  // Elements between neighbours of a value of either rank.
  AttentionStrides strides_for(const Shape& shape) const {
    AttentionStrides strides;
    if (shape.rank() == 3) {
      strides.batch = shape[1] * shape[2];
      strides.time = shape[2];
      strides.head = head_dim_;
    } else {
      strides.batch = heads_ * shape[2] * head_dim_;
      strides.time = head_dim_;
      strides.head = shape[2] * head_dim_;
    }
    return strides;
  }

  static AttentionStrides strides_of(const AppendState& state) {
    AttentionStrides strides;
    strides.batch = state.outer * state.capacity * state.inner;
    strides.time = state.inner;
    strides.head = state.capacity * state.inner;
    return strides;
  }

  AttentionArgs args_for(const Shape& q, const Shape& k, const Shape& v) const {
    AttentionArgs args;
    args.batch = q[0];
    args.kv_batch = k[0];
    args.heads = heads_;
    args.q_len = time_of(q);
    args.kv_len = time_of(k);
    args.head_dim = head_dim_;
    args.scale = scale_;
    args.causal = causal_;
    args.q_strides = strides_for(q);
    args.k_strides = strides_for(k);
    args.v_strides = strides_for(v);
    args.y_strides.time = heads_ * head_dim_;
    args.y_strides.head = head_dim_;
    args.y_strides.batch = args.q_len * args.y_strides.time;
    return args;
  }

  const float* start(const RunContext& context, int input) const {
    return context.f32(input) + (context.input(input).shape.rank() == 3 ? offsets_[input] : 0);
  }

  void append(const AppendState& state, const float* from, const AttentionStrides& strides, int64_t length) const {
    const size_t bytes = static_cast<size_t>(head_dim_) * sizeof(float);
    float* data = reinterpret_cast<float*>(state.data);
    for (int64_t b = 0; b < state.batch; ++b) {
      const int64_t row = state.rows == nullptr ? b : state.rows[b];
      for (int64_t h = 0; h < heads_; ++h) {
        float* to = data + ((row * heads_ + h) * state.capacity + state.past) * head_dim_;
        const float* source = from + b * strides.batch + h * strides.head;
        for (int64_t t = 0; t < length; ++t) std::memcpy(to + t * head_dim_, source + t * strides.time, bytes);
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

  const int64_t heads_, head_dim_;
  const float scale_;
  const bool causal_;
  const int64_t offsets_[3];
  const int key_state_, value_state_;
  int64_t capacity_ = 0;
};

}  // namespace

extern const OpRow op_attention;
constinit const OpRow op_attention = {"attention", 3, 3, 1, make_op<Attention>};

}  // namespace anyon
