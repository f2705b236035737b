// attention_i8: inputs [q, k, v, packed?] -> (batch, time, heads * head_dim), in 8 bits; every query sees all keys.
// With `packed`, keys and values come from there and k and v only tell their shape. pack_attention_i8: inputs [k, v] ->
// packed u8 (batch, heads, bytes of a head).
#include "kernels/attention_i8/attention_i8.h"

#include "program/ops/attention_inputs.h"

namespace anyon {
namespace {

constexpr int64_t kMaxHeadDim = 256;  // of the kernels

void check_head_dim(const AttentionInputs& inputs, AttrReader& attrs) {
  if (inputs.head_dim > kMaxHeadDim) attrs.fail({"'head_dim' is above 256, the most that 8-bit attention takes"});
}

int64_t packed_head_bytes(const AttentionArgs& args) {
  return PackedHead(args.kv_len, args.head_dim).bytes;
}

class AttentionI8 : public Op {
 public:
  explicit AttentionI8(AttrReader& attrs) : inputs_(attrs) {
    check_head_dim(inputs_, attrs);
    if (attrs.boolean_or("causal", false)) attrs.fail({"'causal' is not supported in 8 bits"});
  }

  void infer(InferContext& context) const override {
    for (int input = 0; input < 3; ++input) inputs_.check(context, input, input);
    AttentionInputs::check_batches(context, context.shape(kQ), context.shape(kK), context.shape(kV));
    const AttentionArgs args = inputs_.args_for(context.shape(kQ), context.shape(kK), context.shape(kV));
    int64_t bytes = attention_i8_workspace_bytes(args, context.threads());
    if (context.has(kPacked)) {
      context.expect(kPacked, DType::kU8, 3);
      context.expect_shape(kPacked, {args.kv_batch, args.heads, packed_head_bytes(args)});
    } else {
      bytes += args.kv_batch * args.heads * packed_head_bytes(args);
    }
    context.output(0, DType::kF32, {args.batch, args.q_len, inputs_.heads * inputs_.head_dim});
    context.workspace(bytes);
  }

  void run(const RunContext& context) const override {
    AttentionArgs args = inputs_.args_for(context.input(kQ).shape, context.input(kK).shape, context.input(kV).shape);
    args.q = inputs_.start(context, kQ, 0);
    args.y = context.output(0).as<float>();
    std::byte* workspace = static_cast<std::byte*>(context.workspace());
    const void* packed = context.has(kPacked) ? context.input(kPacked).data : nullptr;
    if (packed == nullptr) {
      args.k = inputs_.start(context, kK, 1);
      args.v = inputs_.start(context, kV, 2);
      pack_attention_i8(context.isa(), args, workspace, context.pool());
      packed = workspace;
      workspace += args.kv_batch * args.heads * packed_head_bytes(args);
    }
    attention_i8(context.isa(), args, packed, workspace, context.pool());
  }

  bool reads(int input, std::span<const int> inputs) const override {
    return (input != kK && input != kV) || inputs[kPacked] < 0;
  }

 private:
  static constexpr int kQ = 0, kK = 1, kV = 2, kPacked = 3;
  const AttentionInputs inputs_;
};

class PackAttentionI8 : public Op {
 public:
  explicit PackAttentionI8(AttrReader& attrs) : inputs_(attrs) { check_head_dim(inputs_, attrs); }

  void infer(InferContext& context) const override {
    inputs_.check(context, kK, 1);
    inputs_.check(context, kV, 2);
    AttentionInputs::check_batches(context, context.shape(kK), context.shape(kK), context.shape(kV));
    const AttentionArgs args = inputs_.args_for(context.shape(kK), context.shape(kK), context.shape(kV));
    context.output(0, DType::kU8, {args.kv_batch, args.heads, packed_head_bytes(args)});
  }

  void run(const RunContext& context) const override {
    AttentionArgs args = inputs_.args_for(context.input(kK).shape, context.input(kK).shape, context.input(kV).shape);
    args.k = inputs_.start(context, kK, 1);
    args.v = inputs_.start(context, kV, 2);
    pack_attention_i8(context.isa(), args, context.output(0).data, context.pool());
  }

 private:
  static constexpr int kK = 0, kV = 1;
  const AttentionInputs inputs_;
};

}  // namespace

extern const OpRow op_attention_i8, op_pack_attention_i8;
constinit const OpRow op_attention_i8 = {"attention_i8", 3, 4, 1, make_op<AttentionI8>};
constinit const OpRow op_pack_attention_i8 = {"pack_attention_i8", 2, 2, 1, make_op<PackAttentionI8>};

}  // namespace anyon
