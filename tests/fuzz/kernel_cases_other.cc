// Attention, norms and what touches each element once.
#include "kernel_cases.h"
#include "kernels/attention/attention.h"
#include "kernels/attention_i8/attention_i8.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/half/half.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/softmax/softmax.h"

namespace anyon::fuzzing {
namespace {

struct AttentionCase {
  AttentionArgs args;
  std::vector<float> q, k, v;

  AttentionCase(Choices& choices, Numbers& numbers, bool quantised) {
    args.kv_batch = choices.between(1, 2);
    args.batch = args.kv_batch * choices.between(1, 3);
    args.heads = choices.between(1, 3);
    args.q_len = choices.between(1, 60);
    args.kv_len = choices.between(quantised ? 1 : 0, 400);
    args.head_dim = choices.between(1, quantised ? 100 : 140);
    args.scale = (choices.coin() && !quantised ? 8.0f : 1.0f) / std::sqrt(static_cast<float>(args.head_dim));
    args.causal = !quantised && choices.coin();
    args.past = choices.between(0, std::max<int64_t>(0, args.kv_len - args.q_len));
    const int64_t width = args.heads * args.head_dim + choices.between(0, 5);
    args.q_strides = args.y_strides = {args.q_len * width, width, args.head_dim};
    args.k_strides = args.v_strides = {args.kv_len * width, width, args.head_dim};
    q = numbers.floats(args.batch * args.q_len * width);
    k = numbers.floats(args.kv_batch * args.kv_len * width);
    v = numbers.floats(args.kv_batch * args.kv_len * width);
    args.q = q.data(), args.k = k.data(), args.v = v.data();
  }

  template <class Run>
  void compare(const char* kernel, double bound, Run run) {
    std::vector<float> expected;
    for (const Isa isa : supported_isas()) {  // scalar comes first
      std::vector<float> y(q.size(), kCanary);
      args.y = y.data();
      run(isa);
      if (expected.empty()) expected = y;
      for (size_t i = 0; i < y.size(); ++i) expect_near(kernel, i, y[i], expected[i], bound);
    }
  }
};

double unary_bound(UnaryOp op, double expected) {
  switch (op) {
    case UnaryOp::kRelu:
      return 0.0;
    case UnaryOp::kGelu:
      return 1.5e-7 + 2 * kEps * std::fabs(expected);
    case UnaryOp::kGeluTanh:
    case UnaryOp::kSilu:
      return 5e-7 * std::max(1.0, std::fabs(expected));
    case UnaryOp::kSigmoid:
      return 3e-7;
    case UnaryOp::kTanh:
      return 6 * kEps * std::fabs(expected);
    case UnaryOp::kExp:
      return 4 * kEps * expected + 2e-38;
  }
  return 0.0;
}

}  // namespace

void attention_case(Choices& choices, ThreadPool& pool) {
  Numbers numbers(choices.raw<uint32_t>());
  AttentionCase c(choices, numbers, false);
  const auto dim = static_cast<double>(c.args.head_dim);
  const double terms = 4.0 * std::sqrt(dim) + 4.0, score = static_cast<double>(c.args.scale) * dim * 0.5;
  const double bound = 2.0 * terms * kEps * score + 1e-6 + 4.0 * kEps * std::sqrt(static_cast<double>(c.args.kv_len));
  const Arena workspace(attention_workspace_bytes(c.args, pool.size()));
  c.compare("attention", 2 * bound, [&](Isa isa) { attention(isa, c.args, workspace.data(), pool); });
}

void attention_i8_case(Choices& choices, ThreadPool& pool) {
  Numbers numbers(choices.raw<uint32_t>());
  AttentionCase c(choices, numbers, true);
  const Arena packed(c.args.kv_batch * c.args.heads * PackedHead(c.args.kv_len, c.args.head_dim).bytes);
  const Arena workspace(attention_i8_workspace_bytes(c.args, pool.size()));
  c.compare("attention_i8", 0.2, [&](Isa isa) {
    pack_attention_i8(isa, c.args, packed.data(), pool);
    attention_i8(isa, c.args, packed.data(), workspace.data(), pool);
  });
}

void softmax_case(Choices& choices, ThreadPool& pool) {
  Numbers numbers(choices.raw<uint32_t>());
  const int64_t rows = choices.between(0, 9), width = choices.between(1, 600);
  std::vector<float> x = numbers.floats(rows * width, -20.0f, 20.0f), expected;
  if (width > 1 && rows > 0 && choices.coin()) x[0] = -INFINITY;
  for (const Isa isa : supported_isas()) {
    std::vector<float> y(x.size() + 4, kCanary);
    softmax_rows(isa, x.data(), y.data(), rows, width, pool);
    if (expected.empty()) expected = y;
    for (size_t i = 0; i < y.size(); ++i) {
      expect_near("softmax", i, y[i], expected[i], i < x.size() ? 8e-6 * double{expected[i]} + 2e-36 : 0.0);
    }
  }
}

void layer_norm_case(Choices& choices, ThreadPool& pool) {
  Numbers numbers(choices.raw<uint32_t>());
  LayerNormArgs args;
  args.rows = choices.between(0, 9), args.width = choices.between(1, 600);
  const float offset = choices.coin() ? 10.0f : 0.0f;
  const std::vector<float> x = numbers.floats(args.rows * args.width, offset - 1.0f, offset + 1.0f);
  const std::vector<float> scale = numbers.floats(args.width), bias = numbers.floats(args.width);
  args.x = x.data();
  args.scale = choices.coin() ? scale.data() : nullptr;
  args.bias = choices.coin() ? bias.data() : nullptr;
  std::vector<float> expected;
  const auto width = static_cast<size_t>(args.width);
  for (const Isa isa : supported_isas()) {
    std::vector<float> y(x.size() + 4, kCanary);
    args.y = y.data();
    layer_norm(isa, args, pool);
    if (expected.empty()) expected = y;
    for (size_t i = 0; i < y.size(); ++i) {
      if (i >= x.size()) {
        expect_near("layer_norm", i, y[i], kCanary, 0.0);
        continue;
      }
      double mean = 0.0, variance = 0.0;
      const std::span row = std::span(x).subspan(i / width * width, width);
      for (const float value : row) mean += value / static_cast<double>(width);
      for (const float value : row) variance += (value - mean) * (value - mean) / static_cast<double>(width);
      const double spread = (std::fabs(offset) + 1.0) / std::sqrt(variance + 1e-5);
      expect_near("layer_norm", i, y[i], expected[i], 16 * kEps * (spread + std::fabs(double{expected[i]}) + 1.0));
    }
  }
}

// Any finite floats, as the bits lie in the input; the smallest sizes are left out, where only relative errors are
// promised.
void unary_case(Choices& choices, ThreadPool& pool) {
  const auto op = static_cast<UnaryOp>(choices.between(0, 6));
  std::vector<float> x, expected;
  while (!choices.empty()) {
    const auto value = choices.raw<float>();
    x.push_back(std::isfinite(value) && std::fabs(value) >= 1e-30f ? value : 0.0f);
  }
  for (const Isa isa : supported_isas()) {
    std::vector<float> y(x.size() + 4, kCanary);
    unary(isa, op, x.data(), y.data(), static_cast<int64_t>(x.size()), pool);
    if (expected.empty()) expected = y;
    for (size_t i = 0; i < y.size(); ++i) {
      expect_near("unary", i, y[i], expected[i], i < x.size() ? 2 * unary_bound(op, expected[i]) : 0.0);
    }
  }
}

// Exact, whatever the floats are.
void binary_case(Choices& choices, ThreadPool& pool) {
  const auto op = static_cast<BinaryOp>(choices.between(0, 3));
  std::vector<int64_t> a_dims(static_cast<size_t>(choices.between(0, 4))), b_dims;
  for (int64_t& dim : a_dims) {
    dim = choices.between(0, 9);
    b_dims.push_back(choices.coin() ? dim : 1);
    if (choices.coin() && choices.coin()) dim = 1;
  }
  b_dims.erase(b_dims.begin(), b_dims.begin() + choices.between(0, static_cast<int64_t>(b_dims.size())));
  const Shape a_shape{std::span<const int64_t>(a_dims)}, b_shape{std::span<const int64_t>(b_dims)};
  Shape shape;
  try {
    shape = broadcast_shape(a_shape, b_shape);
  } catch (const Error&) {
    return;
  }
  std::vector<float> a(static_cast<size_t>(a_shape.elements())), b(static_cast<size_t>(b_shape.elements())), expected;
  for (float& value : a) value = choices.raw<float>();
  for (float& value : b) value = choices.raw<float>();
  for (const Isa isa : supported_isas()) {
    std::vector<float> y(static_cast<size_t>(shape.elements()) + 4, kCanary);
    binary(isa, op, a.data(), a_shape, b.data(), b_shape, y.data(), pool);
    if (expected.empty()) expected = y;
    for (size_t i = 0; i < y.size(); ++i) expect_near("binary", i, y[i], expected[i], 0.0);
  }
}

void half_case(Choices& choices, ThreadPool&) {
  std::vector<uint16_t> x;
  while (!choices.empty()) x.push_back(choices.raw<uint16_t>());
  std::vector<float> expected;
  for (const Isa isa : supported_isas()) {
    std::vector<float> y(x.size() + 4, kCanary);
    half_to_float(isa, x.data(), static_cast<int64_t>(x.size()), y.data());
    if (expected.empty()) expected = y;
    for (size_t i = 0; i < y.size(); ++i) expect_near("half_to_float", i, y[i], expected[i], 0.0);
  }
}

}  // namespace anyon::fuzzing
