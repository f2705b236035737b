// Matrix products and convolution: f32 by the rounding of their sums, 8 bits exactly, 4 bits by one step of the input.
#include "kernel_cases.h"
#include "kernels/conv1d/conv1d.h"
#include "kernels/linear/linear.h"
#include "kernels/linear_i4/linear_i4.h"
#include "kernels/linear_i8/linear_i8.h"

namespace anyon::fuzzing {
namespace {

struct Dense {
  int64_t m, n, k, x_stride, y_stride;
  Activation activation;
  std::vector<float> x, bias, residual;

  Dense(Choices& choices, Numbers& numbers, int64_t most_k) {
    m = choices.between(0, 40), n = choices.between(1, 80), k = choices.between(1, most_k);
    x_stride = k + choices.between(0, 3);
    y_stride = n + choices.between(1, 4);
    activation = static_cast<Activation>(choices.between(0, 4));
    x = numbers.floats(m * x_stride);
    if (choices.coin()) bias = numbers.floats(n);
    if (choices.coin()) residual = numbers.floats(m * y_stride);
  }

  template <class Args>
  Args args(float* y) const {
    Args a;
    a.x = x.data();
    a.x_stride = x_stride;
    a.bias = bias.empty() ? nullptr : bias.data();
    a.residual = residual.empty() ? nullptr : residual.data();
    a.residual_stride = y_stride;
    a.y = y;
    a.y_stride = y_stride;
    a.m = m, a.n = n, a.k = k;
    a.activation = activation;
    return a;
  }
  std::vector<float> canaries() const { return std::vector<float>(static_cast<size_t>(m * y_stride), kCanary); }

  // `run(isa, y)` on every ISA against scalar; bound(i, expected) for element i.
  template <class Run, class Bound>
  void compare(const char* kernel, Run run, Bound bound) const {
    std::vector<float> expected = canaries();
    run(Isa::kScalar, expected.data());
    for (const Isa isa : supported_isas()) {
      std::vector<float> y = canaries();
      run(isa, y.data());
      for (size_t i = 0; i < y.size(); ++i) {
        const bool gap = static_cast<int64_t>(i) % y_stride >= n;
        expect_near(kernel, i, y[i], expected[i], gap ? 0.0 : bound(i, expected[i]));
        if (gap && y[i] != kCanary) finding(kernel, i, y[i], kCanary, 0.0);
      }
    }
  }
};

// Activations stretch no error by more than 1.13 and add 5e-7 of their own.
double activated(double bound, Activation activation, float expected) {
  return 1.13 * bound + (activation == Activation::kNone ? 0.0 : 1e-6 * std::max(1.0, std::fabs(double{expected})));
}

}  // namespace

void linear_case(Choices& choices, ThreadPool& pool) {
  Numbers numbers(choices.raw<uint32_t>());
  const Dense dense(choices, numbers, 300);
  const std::vector<float> rows = numbers.floats(dense.n * dense.k);
  const auto packed = [&](const std::vector<float>& values) {
    std::vector<float> weight(static_cast<size_t>(panel16_elements(dense.n, dense.k)));
    pack_panel16(values.data(), dense.k, dense.n, dense.k, weight.data());
    return weight;
  };
  const std::vector<float> weight = packed(rows), sizes_weight = packed(magnitudes_of(rows));
  // Sum of the sizes of all terms of each output: what rounding errors scale with.
  std::vector<float> sizes = dense.canaries();
  Dense absolute = dense;
  absolute.x = magnitudes_of(dense.x), absolute.bias = magnitudes_of(dense.bias);
  absolute.residual = magnitudes_of(dense.residual), absolute.activation = Activation::kNone;
  auto sizes_args = absolute.args<LinearArgs>(sizes.data());
  sizes_args.weight = sizes_weight.data();
  reference::linear(sizes_args);
  const double terms = 4.0 + 4.0 * std::sqrt(static_cast<double>(dense.k));
  dense.compare(
      "linear",
      [&](Isa isa, float* y) {
        auto args = dense.args<LinearArgs>(y);
        args.weight = weight.data();
        linear(isa, args, pool);
      },
      [&](size_t i, float expected) {
        return activated(2 * terms * kEps * double{sizes[i]}, dense.activation, expected);
      });
}

// The integer sums of kernels that get the same bytes: equal to the last bit, since scales of 1 and sums below 2^24
// need no rounding.
void linear_i8_case(Choices& choices, ThreadPool& pool) {
  Numbers numbers(choices.raw<uint32_t>());
  const int64_t m = choices.between(1, 24), n = choices.between(1, 80), k = choices.between(1, 256);
  const auto rows = choices.coin() ? numbers.integers<int8_t>(n * k, -127, 127)
                                   : std::vector<int8_t>(static_cast<size_t>(n * k), choices.coin() ? 127 : -127);
  Arena packed(panel16x4_bytes(n, k));
  pack_panel16x4(rows.data(), k, n, k, reinterpret_cast<int8_t*>(packed.data()));
  std::vector<int32_t> sum(static_cast<size_t>(n));
  for (size_t i = 0; i < rows.size(); ++i) sum[i / static_cast<size_t>(k)] += rows[i];
  const std::vector<float> scale(static_cast<size_t>(n), 1.0f), x_scale(static_cast<size_t>(m), 1.0f);
  const int64_t stride = (k + 3) / 4 * 4 + choices.between(0, 9), y_stride = n + 3;
  const auto bytes = numbers.integers<uint8_t>(m * stride, 0, 255);
  const auto zeros = numbers.integers<uint8_t>(m, 0, 255);
  std::vector<float> expected;
  for (const auto& row : linear_i8_kernels()) {
    const std::vector<Isa> here = supported_isas();
    if (std::find(here.begin(), here.end(), row.isa) == here.end()) continue;
    const LinearI8Kernels kernels = row.function();
    const int low = kernels.input_scale({0.0f, 0.0f}, 1).zero;  // the smallest input: 0 or -128
    std::vector<uint8_t> q(bytes);
    for (uint8_t& value : q) value = static_cast<uint8_t>(value + low);
    std::vector<int32_t> zero(zeros.begin(), zeros.end());
    for (int32_t& value : zero) value += low;
    std::vector<float> y(static_cast<size_t>(m * y_stride), kCanary);
    LinearI8Block block;
    block.x = {q.data(), stride, x_scale.data(), zero.data(), 1};
    block.rows = m;
    block.weight = reinterpret_cast<const int8_t*>(packed.data());
    block.scale = scale.data();
    block.sum = sum.data();
    block.y = y.data();
    block.y_stride = y_stride;
    block.n = n, block.k = k;
    kernels.multiply(block);
    if (expected.empty()) expected = y;
    for (size_t i = 0; i < y.size(); ++i) expect_near(row.name, i, y[i], expected[i], 0.0);
  }
  // The whole op, with bits of its own: rounding may differ between fusing and scalar ISAs, by a step of each input.
  const Dense dense(choices, numbers, 256);
  const auto weight_rows = numbers.integers<int8_t>(dense.n * dense.k, -127, 127);
  Arena weight(panel16x4_bytes(dense.n, dense.k));
  pack_panel16x4(weight_rows.data(), dense.k, dense.n, dense.k, reinterpret_cast<int8_t*>(weight.data()));
  std::vector<int32_t> sums(static_cast<size_t>(dense.n)), sizes(static_cast<size_t>(dense.n));
  for (size_t i = 0; i < weight_rows.size(); ++i) {
    sums[i / static_cast<size_t>(dense.k)] += weight_rows[i];
    sizes[i / static_cast<size_t>(dense.k)] += std::abs(int{weight_rows[i]});
  }
  const std::vector<float> scales = numbers.floats(dense.n, 0.001f, 0.02f);
  const int input_bits = choices.coin() ? 8 : 16;
  dense.compare(
      "linear_i8",
      [&](Isa isa, float* y) {
        auto args = dense.args<LinearI8Args>(y);
        args.weight = reinterpret_cast<const int8_t*>(weight.data());
        args.scale = scales.data();
        args.sum = sums.data();
        args.input_bits = input_bits;
        const Arena workspace(linear_i8_workspace_bytes(dense.m, dense.k, input_bits, false, pool.size()));
        linear_i8(isa, args, workspace.data(), pool);
      },
      [&](size_t i, float expected) {
        const size_t column = i % static_cast<size_t>(dense.y_stride);
        const double step = 2.0 / 255 / (input_bits == 16 ? 255 : 1);
        return activated(step * double{scales[column]} * sizes[column] + 1e-5, dense.activation, expected);
      });
}

void linear_i4_case(Choices& choices, ThreadPool& pool) {
  Numbers numbers(choices.raw<uint32_t>());
  const Dense dense(choices, numbers, 300);
  const int64_t group = int64_t{32} << choices.between(0, 2);
  const int input_bits = choices.coin() ? 8 : 16;
  const auto q = numbers.integers<uint8_t>(dense.n * dense.k, 0, 15);
  Arena packed(panel16x8_bytes(dense.n, dense.k, group));
  pack_panel16x8(q.data(), dense.k, dense.n, dense.k, group, reinterpret_cast<uint8_t*>(packed.data()));
  const int64_t scales = (dense.n + 15) / 16 * 16 * ((dense.k + group - 1) / group);
  // From 2^-10 to just below 2^-5, as 16-bit floats.
  const auto scale = numbers.integers<uint16_t>(scales, 5 << 10, (10 << 10) - 1);
  const auto zero = numbers.integers<uint8_t>(scales, 0, 15);
  dense.compare(
      "linear_i4",
      [&](Isa isa, float* y) {
        auto args = dense.args<LinearI4Args>(y);
        args.weight = reinterpret_cast<const uint8_t*>(packed.data());
        args.scale = scale.data();
        args.zero = zero.data();
        args.group = group;
        args.input_bits = input_bits;
        const Arena workspace(linear_i4_workspace_bytes(dense.m, dense.k, group, input_bits, pool.size()));
        linear_i4(isa, args, workspace.data(), pool);
      },
      [&](size_t, float expected) {
        // Inputs half way between two steps may be rounded either way; see linear_i4_test.cc.
        return 2 * (4 * 1.13 * 15 * 0.02 / 127 + 1e-5 * std::max(1.0, std::fabs(double{expected})));
      });
}

void conv1d_case(Choices& choices, ThreadPool& pool) {
  Numbers numbers(choices.raw<uint32_t>());
  Conv1dArgs args;
  args.batch = choices.between(1, 3);
  args.kernel = choices.between(1, 7);
  args.stride = choices.between(1, 3);
  args.padding = choices.between(0, args.kernel + 2);
  args.cin = choices.between(1, 40), args.cout = choices.between(1, 50), args.time = choices.between(0, 60);
  args.activation = static_cast<Activation>(choices.between(0, 4));
  const int64_t time_out = conv1d_time_out(args.time, args.kernel, args.stride, args.padding);
  const int64_t width = args.kernel * args.cin;
  const std::vector<float> x = numbers.floats(args.batch * args.time * args.cin);
  const std::vector<float> rows = numbers.floats(args.cout * width), bias = numbers.floats(args.cout);
  std::vector<float> weight(static_cast<size_t>(panel16_elements(args.cout, width)));
  pack_panel16(rows.data(), width, args.cout, width, weight.data());
  args.x = x.data();
  args.weight = weight.data();
  args.bias = choices.coin() ? bias.data() : nullptr;
  const Arena workspace(conv1d_workspace_bytes(args));
  std::vector<float> expected;
  for (const Isa isa : supported_isas()) {  // scalar comes first
    std::vector<float> y(static_cast<size_t>(args.batch * time_out * args.cout) + 8, kCanary);
    args.y = y.data();
    conv1d(isa, args, workspace.data(), pool);
    if (expected.empty()) expected = y;
    // Every term is below 1 in size, so their sizes add up to less than their number.
    const double terms = 4.0 + 4.0 * std::sqrt(static_cast<double>(width));
    for (size_t i = 0; i < y.size(); ++i) {
      const double bound = activated(2 * terms * kEps * static_cast<double>(width + 1), args.activation, expected[i]);
      expect_near("conv1d", i, y[i], expected[i], i + 8 < y.size() ? bound : 0.0);
    }
  }
}

}  // namespace anyon::fuzzing
