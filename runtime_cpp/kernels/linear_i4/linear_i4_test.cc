// Every linear_i4 kernel: the driver against the reference, exact zeros, and the same bits whatever m and threads.
#include "kernels/linear_i4/linear_i4.h"

#include "core/arena.h"
#include "kernels/embedding/embedding.h"
#include "kernels/half/half.h"
#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::Random;

struct Product {
  int64_t m, n, k, group, x_stride, y_stride, residual_stride;
  Activation activation;
  int input_bits;
  std::vector<float> x, bias, residual, y;
  std::vector<uint16_t> scale;  // 16-bit floats
  std::vector<uint8_t> q, packed, zero;

  Product(Random& random, int64_t m_, int64_t n_, int64_t k_) : m(m_), n(n_), k(k_) {
    group = random.one_of({32, 64, 128});
    activation = static_cast<Activation>(random.between(0, 4));
    input_bits = random.coin() ? 8 : 16;
    x_stride = k + random.between(0, 3);
    y_stride = n + random.between(1, 5);
    residual_stride = n + random.between(0, 5);
    x = random.floats(m * x_stride);
    q.resize(static_cast<size_t>(n * k));
    for (uint8_t& value : q) value = static_cast<uint8_t>(random.between(0, 15));
    packed.resize(static_cast<size_t>(panel16x8_bytes(n, k, group)));
    pack_panel16x8(q.data(), k, n, k, group, packed.data());
    const int64_t scales = (n + 15) / 16 * 16 * ((k + group - 1) / group);
    scale.resize(static_cast<size_t>(scales));
    // From 2^-10 to just below 2^-5.
    for (uint16_t& value : scale) value = static_cast<uint16_t>(random.between(5 << 10, (10 << 10) - 1));
    zero.resize(static_cast<size_t>(scales));
    for (uint8_t& value : zero) value = static_cast<uint8_t>(random.between(0, 15));
    if (random.coin()) bias = random.floats(n);
    if (random.coin()) residual = random.floats(m * residual_stride);
    y.assign(static_cast<size_t>(m * y_stride), kCanary);
  }

  LinearI4Args args() {
    LinearI4Args a;
    a.x = x.data();
    a.x_stride = x_stride;
    a.weight = packed.data();
    a.scale = scale.data();
    a.zero = zero.data();
    a.group = group;
    a.input_bits = input_bits;
    a.bias = bias.empty() ? nullptr : bias.data();
    a.residual = residual.empty() ? nullptr : residual.data();
    a.residual_stride = residual_stride;
    a.y = y.data();
    a.y_stride = y_stride;
    a.m = m;
    a.n = n;
    a.k = k;
    a.activation = activation;
    return a;
  }

  void run(Isa isa, const LinearI4Args& a, ThreadPool& pool) {
    const Arena workspace(linear_i4_workspace_bytes(a.m, k, group, input_bits, pool.size()));
    linear_i4(isa, a, workspace.data(), pool);
  }

  std::string describe() const {
    return "m " + std::to_string(m) + " n " + std::to_string(n) + " k " + std::to_string(k) + " group " +
           std::to_string(group) + " activation " + std::to_string(static_cast<int>(activation)) + " input bits " +
           std::to_string(input_bits);
  }
};

TEST(LinearI4, EveryKernelAgreesWithTheReference) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  for (const auto& row : testing::runnable(linear_i4_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed());
    for (int i = 0; i < 30; ++i) {
      Product product(random, random.coin() ? random.between(0, 17) : random.between(18, 60), random.between(1, 90),
                      random.coin() ? random.between(1, 70) : random.between(71, 500));
      SCOPED_TRACE(product.describe());
      product.run(row.isa, product.args(), pool);
      Product expected = product;
      reference::linear_i4(expected.args());
      for (size_t j = 0; j < product.y.size(); ++j) {
        if (static_cast<int64_t>(j) % product.y_stride >= product.n) {
          ASSERT_EQ(product.y[j], kCanary) << "wrote past the end of a row at " << j;
          continue;
        }
        // An input half way between two steps (of at most 2 / 127, in 16 bits 257 times less, but there any number may
        // be) may be rounded either way: up to two in a row, each times a weight of at most 15 scales of 0.031,
        // stretched by no activation more than 1.13.
        const double bound = 4 * 1.13 * 15 * 0.02 / 127 + 1e-5 * std::max(1.0, std::fabs(double{expected.y[j]}));
        ASSERT_NEAR(product.y[j], expected.y[j], bound) << "at " << j;
      }
    }
  }
}

TEST(LinearI4, GivesTheSameBitsWhateverTheThreadsAndTheOtherRows) {
  ANYON_TRACE_SEED();
  ThreadPool one(1), three(3);
  for (const auto& row : testing::runnable(linear_i4_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 1);
    for (int i = 0; i < 6; ++i) {
      Product product(random, random.between(1, 60), random.between(1, 400), random.between(1, 400));
      SCOPED_TRACE(product.describe());
      product.run(row.isa, product.args(), one);
      const std::vector<float> alone = product.y;
      std::fill(product.y.begin(), product.y.end(), kCanary);
      for (int64_t begin = 0; begin < product.m;) {
        LinearI4Args args = product.args();
        args.m = std::min(product.m - begin, random.between(1, 30));
        args.x += begin * args.x_stride;
        args.y += begin * args.y_stride;
        if (args.residual != nullptr) args.residual += begin * args.residual_stride;
        product.run(row.isa, args, three);
        begin += args.m;
      }
      ASSERT_TRUE(testing::same_bits(alone, product.y));
    }
  }
}

TEST(LinearI4, InputsWithoutARangeGiveTheBias) {
  ThreadPool pool(1);
  for (const auto& row : testing::runnable(linear_i4_kernels())) {
    SCOPED_TRACE(row.name);
    for (const float value : {0.0f, 1e-42f, std::numeric_limits<float>::infinity()}) {
      Random random(3);
      Product product(random, 2, 20, 50);
      product.activation = Activation::kNone;
      product.residual.clear();
      product.bias.assign(20, 0.75f);
      std::fill(product.x.begin(), product.x.end(), value);
      product.run(row.isa, product.args(), pool);
      for (int64_t i = 0; i < 20; ++i) EXPECT_EQ(product.y[static_cast<size_t>(i)], 0.75f);
    }
  }
}

TEST(LinearI4, SixteenBitInputsAreExactForEveryInteger) {
  for (const auto& row : testing::runnable(linear_i4_kernels())) {
    SCOPED_TRACE(row.name);
    const LinearI4Kernels kernels = row.function();
    std::vector<float> x;
    for (int value = -32639; value <= 32639; ++value) x.push_back(static_cast<float>(value));
    const auto count = static_cast<int64_t>(x.size()), groups = (count + 127) / 128, stride = groups * 128;
    std::vector<int8_t> q(static_cast<size_t>(2 * stride));
    std::vector<int32_t> sums(static_cast<size_t>(groups));
    const float scale = kernels.quantize(x.data(), count, 128, groups, 2, q.data(), stride, sums.data());
    EXPECT_NEAR(scale, 1.0f, 1e-6f);
    for (int64_t i = 0; i < count; ++i) {
      ASSERT_EQ(256 * q[static_cast<size_t>(i)] + q[static_cast<size_t>(stride + i)], x[static_cast<size_t>(i)]);
    }
    EXPECT_EQ(sums[0], -(32639 + 32512) * 128 / 2);
  }
}

TEST(EmbeddingI4, GivesTheRowsOfThePackedTable) {
  Random random(5);
  Product table(random, 1, 37, 90);
  const std::vector<int64_t> ids = {0, 36, 15, 16, 36};
  const EmbeddingI4Table stored = {table.packed.data(), table.scale.data(), table.zero.data(), table.group};
  std::vector<float> y(ids.size() * 90);
  embedding_i4(ids.data(), 5, stored, 37, 90, y.data());
  const int64_t groups = (90 + table.group - 1) / table.group;
  for (size_t i = 0; i < ids.size(); ++i) {
    for (int64_t j = 0; j < 90; ++j) {
      const auto g = static_cast<size_t>((ids[i] / 16 * groups + j / table.group) * 16 + ids[i] % 16);
      const auto q = table.q[static_cast<size_t>(ids[i] * 90 + j)];
      const float scale = reference::half_to_float(table.scale[g]);
      EXPECT_EQ(y[i * 90 + static_cast<size_t>(j)], scale * static_cast<float>(q - table.zero[g]));
    }
  }
  const int64_t outside = -1;
  EXPECT_THROW(embedding_i4(&outside, 1, stored, 37, 90, y.data()), Error);
}

}  // namespace
}  // namespace anyon
