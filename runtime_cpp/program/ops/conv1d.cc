// conv1d: inputs [x (batch, time, cin), weight panel16 (cout, kernel*cin) in f32 or f16, bias (cout)?,
// residual (>= time_out, cout)?] -> (batch, time_out, cout).
#include "kernels/conv1d/conv1d.h"

#include "core/checked.h"
#include "program/ops/weights.h"
#include "program/ops/widened.h"

namespace anyon {
namespace {

constexpr int64_t kMaxKernel = 1 << 20;

class Conv1d : public Op {
 public:
  explicit Conv1d(AttrReader& attrs)
      : cin_(attrs.integer("cin", 1, 1 << 30)),
        cout_(attrs.integer("cout", 1, 1 << 30)),
        kernel_(attrs.integer("kernel", 1, kMaxKernel)),
        stride_(attrs.integer("stride", 1, kMaxKernel)),
        padding_(attrs.integer("padding", 0, kMaxKernel)),
        activation_(attrs.choice_or<Activation>("activation", kActivations, Activation::kNone)) {
    if (padding_ >= kernel_) attrs.fail({"'padding' is not smaller than 'kernel'"});
  }

  void infer(InferContext& context) const override {
    context.expect(kX, DType::kF32, 3);
    const Shape& x = context.shape(kX);
    if (x[2] != cin_) context.fail({"x ", shape_text(x), " does not end in cin = ", cin_});
    expect_panel16(context, kWeight, cout_, kernel_ * cin_, true);
    expect_vector_or_none(context, kBias, cout_);
    const int64_t time_out = conv1d_time_out(x[1], kernel_, stride_, padding_);
    if (time_out < 1) context.fail({"x ", shape_text(x), " is shorter than the kernel"});
    if (context.has(kResidual)) {
      if (context.dtype(kResidual) != DType::kF16) context.expect(kResidual, DType::kF32, 2);
      const Shape& residual = context.shape(kResidual);
      if (residual.rank() != 2 || residual[0] < time_out || residual[1] != cout_) {
        context.fail({"residual ", shape_text(residual), " does not cover (", time_out, ", ", cout_, ")"});
      }
    }
    context.output(0, DType::kF32, {x[0], time_out, cout_});
    context.workspace(conv1d_workspace_bytes(args_for(x)) + widened_bytes(context, kResidual, time_out * cout_) +
                      widened_bytes(context, kWeight, panel16_elements(cout_, kernel_ * cin_)));
  }

  void run(const RunContext& context) const override {
    Conv1dArgs args = args_for(context.input(kX).shape);
    args.x = context.f32(kX);
    args.bias = context.f32(kBias);
    const int64_t time_out = conv1d_time_out(args.time, kernel_, stride_, padding_);
    auto* workspace = static_cast<std::byte*>(context.workspace());
    args.residual = widened(context, kResidual, time_out * cout_, &workspace);
    args.weight = widened(context, kWeight, panel16_elements(cout_, kernel_ * cin_), &workspace);
    args.y = context.output(0).as<float>();
    conv1d(context.isa(), args, workspace, context.pool());
  }

 private:
  static constexpr int kX = 0, kWeight = 1, kBias = 2, kResidual = 3;

  Conv1dArgs args_for(const Shape& x) const {
    Conv1dArgs args;
    args.batch = x[0];
    args.time = x[1];
    args.cin = cin_;
    args.cout = cout_;
    args.kernel = kernel_;
    args.stride = stride_;
    args.padding = padding_;
    args.activation = activation_;
    return args;
  }

  const int64_t cin_, cout_, kernel_, stride_, padding_;
  const Activation activation_;
};

}  // namespace

extern const OpRow op_conv1d;
constinit const OpRow op_conv1d = {"conv1d", 2, 4, 1, make_op<Conv1d>};

}  // namespace anyon
