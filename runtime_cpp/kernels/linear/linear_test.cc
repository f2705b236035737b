// Every linear kernel against reference.cc, and what linear promises beyond: same bits whatever m, threads and ISA.
#include "kernels/linear/linear.h"

#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::kEps;
using testing::Random;

// A product with its operands: rows of x, residual and y are padded, and the padding of y must stay untouched.
struct Product {
  int64_t m, n, k;
  Activation activation;
  std::vector<float> x, rows, weight, bias, residual, y;
  int64_t x_stride, y_stride, residual_stride;

  Product(Random& random, int64_t m_, int64_t n_, int64_t k_) : m(m_), n(n_), k(k_) {
    activation = static_cast<Activation>(random.between(0, 4));
    x_stride = k + random.between(0, 3);
    y_stride = n + random.between(1, 5);
    residual_stride = n + random.between(0, 5);
    x = random.floats(m * x_stride);
    rows = random.floats(n * k);
    weight.resize(static_cast<size_t>(panel16_elements(n, k)));
    pack_panel16(rows.data(), k, n, k, weight.data());
    if (random.coin()) bias = random.floats(n);
    if (random.coin()) residual = random.floats(m * residual_stride);
    y.assign(static_cast<size_t>(m * y_stride), kCanary);
  }

  LinearArgs args() {
    LinearArgs a;
    a.x = x.data();
    a.x_stride = x_stride;
    a.weight = weight.data();
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

  std::vector<float> expected() {
    std::vector<float> result(y.size(), kCanary);
    LinearArgs a = args();
    a.y = result.data();
    reference::linear(a);
    return result;
  }

  // Sum of the sizes of all terms of each output: what rounding errors scale with.
  std::vector<float> magnitudes() {
    Product sizes = *this;
    sizes.x = testing::absolute(x);
    sizes.weight = testing::absolute(weight);
    sizes.bias = testing::absolute(bias);
    sizes.residual = testing::absolute(residual);
    sizes.activation = Activation::kNone;
    return sizes.expected();
  }

  std::string describe() const {
    return "m " + std::to_string(m) + " n " + std::to_string(n) + " k " + std::to_string(k) + " activation " +
           std::to_string(static_cast<int>(activation));
  }
};

// The k roundings of a chain are independent, so their sum grows with sqrt(k) (8 deviations allowed); bias and
// residual add a few. No activation stretches an error by more than 1.13; gelu and silu add up to 5e-7 of their own,
// relative to results above 1.
void expect_close(Product& product, const std::vector<float>& y) {
  const std::vector<float> expected = product.expected(), sizes = product.magnitudes();
  const double terms = 4.0 + 4.0 * std::sqrt(static_cast<double>(product.k));
  for (size_t i = 0; i < y.size(); ++i) {
    if (static_cast<int64_t>(i) % product.y_stride >= product.n) {
      ASSERT_EQ(y[i], kCanary) << "wrote past the end of a row at " << i;
      continue;
    }
    double bound = terms * kEps * static_cast<double>(sizes[i]) * 1.13;
    if (product.activation != Activation::kNone) bound += 5e-7 * std::max(1.0, std::fabs(double{expected[i]}));
    ASSERT_NEAR(y[i], expected[i], bound) << "at row " << static_cast<int64_t>(i) / product.y_stride << " column "
                                          << static_cast<int64_t>(i) % product.y_stride;
  }
}

// Calls a kernel function itself, without the driver that splits the work.
void run_kernel(linear_kernel* kernel, const LinearArgs& args) {
  for (int64_t begin = 0; begin < args.m; begin += kLinearMaxRows) {
    const float* x_rows[kLinearMaxRows];
    LinearBlock block;
    block.rows = std::min(kLinearMaxRows, args.m - begin);
    for (int64_t r = 0; r < block.rows; ++r) x_rows[r] = args.x + (begin + r) * args.x_stride;
    block.x_rows = x_rows;
    block.weight = args.weight;
    block.bias = args.bias;
    block.residual = args.residual == nullptr ? nullptr : args.residual + begin * args.residual_stride;
    block.residual_stride = args.residual_stride;
    block.y = args.y + begin * args.y_stride;
    block.y_stride = args.y_stride;
    block.n = args.n;
    block.k = args.k;
    block.activation = args.activation;
    kernel(block);
  }
}

int64_t some_rows(Random& random) {
  return random.coin() ? random.between(0, 17) : random.between(18, 120);
}
int64_t some_depth(Random& random) {
  return random.coin() ? random.between(0, 70) : random.between(71, 900);
}

TEST(Linear, EveryKernelAgreesWithTheReference) {
  ANYON_TRACE_SEED();
  for (const auto& row : testing::runnable(linear_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed());
    for (int i = 0; i < 40; ++i) {
      Product product(random, some_rows(random), random.between(0, 110), some_depth(random));
      SCOPED_TRACE(product.describe());
      run_kernel(row.function, product.args());
      expect_close(product, product.y);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Linear, GivesTheSameBitsOnAnyNumberOfThreads) {
  ANYON_TRACE_SEED();
  ThreadPool one(1), three(3);
  for (const auto& row : testing::runnable(linear_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 1);
    for (int i = 0; i < 12; ++i) {
      Product product(random, some_rows(random), random.between(1, 900), some_depth(random));
      SCOPED_TRACE(product.describe());
      linear(row.isa, product.args(), one);
      const std::vector<float> alone = product.y;
      if (i < 2) expect_close(product, alone);
      std::fill(product.y.begin(), product.y.end(), kCanary);
      linear(row.isa, product.args(), three);
      ASSERT_TRUE(testing::same_bits(alone, product.y));
    }
  }
}

TEST(Linear, ARowHasTheSameBitsAloneAndAmongMany) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  for (const auto& row : testing::runnable(linear_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 2);
    for (int i = 0; i < 10; ++i) {
      Product product(random, random.between(2, 120), random.between(1, 300), some_depth(random));
      SCOPED_TRACE(product.describe());
      linear(row.isa, product.args(), pool);
      const std::vector<float> together = product.y;
      std::fill(product.y.begin(), product.y.end(), kCanary);
      for (int64_t begin = 0; begin < product.m;) {
        const int64_t taken = std::min(product.m - begin, random.between(1, 9));
        LinearArgs args = product.args();
        args.x += begin * args.x_stride;
        args.y += begin * args.y_stride;
        if (args.residual != nullptr) args.residual += begin * args.residual_stride;
        args.m = taken;
        linear(row.isa, args, pool);
        begin += taken;
      }
      ASSERT_TRUE(testing::same_bits(together, product.y));
    }
  }
}

TEST(Linear, FusingIsasGiveTheSameBitsWithoutActivation) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  Random random(testing::test_seed() + 3);
  for (int i = 0; i < 10; ++i) {
    Product product(random, some_rows(random), random.between(1, 150), some_depth(random));
    product.activation = Activation::kNone;
    SCOPED_TRACE(product.describe());
    std::vector<float> first;
    for (const auto& row : testing::runnable(linear_kernels())) {
      if (row.isa == Isa::kScalar) continue;
      linear(row.isa, product.args(), pool);
      if (first.empty()) first = product.y;
      ASSERT_TRUE(testing::same_bits(first, product.y)) << row.name;
    }
  }
}

TEST(Linear, AddsAResidualInPlace) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  for (const auto& row : testing::runnable(linear_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 4);
    Product product(random, 37, 53, 900);
    product.residual = random.floats(product.m * product.residual_stride);
    linear(row.isa, product.args(), pool);
    std::vector<float> in_place = product.residual;
    LinearArgs args = product.args();
    args.y = in_place.data();
    args.y_stride = product.residual_stride;
    args.residual = in_place.data();
    linear(row.isa, args, pool);
    for (int64_t r = 0; r < product.m; ++r) {
      for (int64_t c = 0; c < product.n; ++c) {
        ASSERT_EQ(in_place[static_cast<size_t>(r * product.residual_stride + c)],
                  product.y[static_cast<size_t>(r * product.y_stride + c)]);
      }
    }
  }
}

TEST(Linear, AnEmptySumIsTheBias) {
  ThreadPool pool(2);
  for (const auto& row : testing::runnable(linear_kernels())) {
    SCOPED_TRACE(row.name);
    const std::vector<float> bias = {1.0f, -2.0f, 3.0f};
    std::vector<float> y(6, kCanary);
    LinearArgs args;
    args.bias = bias.data();
    args.y = y.data();
    args.y_stride = 3;
    args.m = 2;
    args.n = 3;
    linear(row.isa, args, pool);
    EXPECT_EQ(y, (std::vector<float>{1.0f, -2.0f, 3.0f, 1.0f, -2.0f, 3.0f}));
  }
}

TEST(Linear, RefusesAnIsaThatTheBuildLacks) {
  ThreadPool pool(1);
#if defined(__x86_64__)
  const Isa missing = Isa::kNeon;
#else
  const Isa missing = Isa::kAvx2;
#endif
  try {
    linear(missing, LinearArgs{}, pool);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kUnsupportedIsa);
  }
}

TEST(Linear, PanelsArePaddedWithZeros) {
  const std::vector<float> rows = {1, 2, 3, 4, 5, 6};  // (2, 3)
  std::vector<float> packed(static_cast<size_t>(panel16_elements(2, 3)), kCanary);
  pack_panel16(rows.data(), 3, 2, 3, packed.data());
  for (int64_t j = 0; j < 3; ++j) {
    for (int64_t i = 0; i < kPanel; ++i) {
      const float expected = i < 2 ? rows[static_cast<size_t>(i * 3 + j)] : 0.0f;
      EXPECT_EQ(packed[static_cast<size_t>(j * kPanel + i)], expected);
    }
  }
}

}  // namespace
}  // namespace anyon
