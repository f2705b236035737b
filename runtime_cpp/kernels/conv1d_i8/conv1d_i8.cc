// Hands the windows of a signal to linear_i8.
#include "kernels/conv1d_i8/conv1d_i8.h"

#include "kernels/conv1d/windows.h"

namespace anyon {
namespace {

int64_t padded_bytes(const Conv1dArgs& args) {
  return (conv1d_workspace_bytes(args) + 63) / 64 * 64;
}

}  // namespace

int64_t conv1d_i8_workspace_bytes(const Conv1dArgs& args, int threads) {
  const int64_t time_out = conv1d_time_out(args.time, args.kernel, args.stride, args.padding);
  return padded_bytes(args) + linear_i8_workspace_bytes(time_out, args.kernel * args.cin, 8, false, threads);
}

void conv1d_i8(Isa isa, const Conv1dArgs& args, const Conv1dI8Weight& weight, void* workspace, ThreadPool& pool) {
  const int64_t time_out = conv1d_time_out(args.time, args.kernel, args.stride, args.padding);
  if (args.batch <= 0 || time_out <= 0 || args.cout <= 0) return;
  const ConvWindows windows(args, workspace);
  LinearI8Args product;
  product.weight = weight.packed;
  product.scale = weight.scale;
  product.sum = weight.sum;
  product.bias = args.bias;
  product.residual = args.residual;
  product.residual_stride = args.cout;
  product.y_stride = args.cout;
  product.m = time_out;
  product.n = args.cout;
  product.k = args.kernel * args.cin;
  product.activation = args.activation;
  for (int64_t batch = 0; batch < args.batch; ++batch) {
    product.y = args.y + batch * time_out * args.cout;
    linear_i8(
        isa, product, [&](int64_t t) { return windows.at(batch, t); },
        static_cast<std::byte*>(workspace) + padded_bytes(args), pool);
  }
}

}  // namespace anyon
