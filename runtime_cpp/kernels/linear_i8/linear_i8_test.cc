// Every linear_i8 kernel: rounding within half a step, integer sums exact to the last one, the driver against the
// reference, and the same bits whatever m, threads and ISA.
#include "kernels/linear_i8/linear_i8.h"

#include "kernels/conv1d_i8/conv1d_i8.h"
#include "kernels/embedding/embedding.h"
#include "kernels/reference_math.h"
#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::Random;

// A product with its operands; rows of x, residual and y are padded, and the padding of y must stay untouched.
struct Product {
  int64_t m, n, k, x_stride, y_stride, residual_stride;
  Activation activation;
  int input_bits;
  std::vector<float> x, scale, bias, residual, y;
  std::vector<int8_t> rows, packed;
  std::vector<int32_t> sum;
  std::vector<std::byte> workspace;

  Product(Random& random, int64_t m_, int64_t n_, int64_t k_) : m(m_), n(n_), k(k_) {
    activation = static_cast<Activation>(random.between(0, 4));
    input_bits = random.coin() ? 8 : 16;
    x_stride = k + random.between(0, 3);
    y_stride = n + random.between(1, 5);
    residual_stride = n + random.between(0, 5);
    x = random.floats(m * x_stride, random.coin() ? -1.0f : -0.1f, 1.0f);
    rows.resize(static_cast<size_t>(n * k));
    for (int8_t& value : rows) value = static_cast<int8_t>(random.between(-127, 127));
    finish_weight();
    scale = random.floats(n, 0.001f, 0.02f);
    if (random.coin()) bias = random.floats(n);
    if (random.coin()) residual = random.floats(m * residual_stride);
    y.assign(static_cast<size_t>(m * y_stride), kCanary);
  }

  void finish_weight() {
    packed.assign(static_cast<size_t>(panel16x4_bytes(n, k)), 99);
    pack_panel16x4(rows.data(), k, n, k, packed.data());
    sum.assign(static_cast<size_t>(n), 0);
    for (int64_t i = 0; i < n * k; ++i) sum[static_cast<size_t>(i / k)] += rows[static_cast<size_t>(i)];
  }

  LinearI8Args args() {
    LinearI8Args a;
    a.x = x.data();
    a.x_stride = x_stride;
    a.weight = packed.data();
    a.scale = scale.data();
    a.sum = sum.data();
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

  void run(Isa isa, ThreadPool& pool) { run(isa, args(), pool); }
  void run(Isa isa, const LinearI8Args& a, ThreadPool& pool) {
    workspace.resize(static_cast<size_t>(linear_i8_workspace_bytes(a.m, k, input_bits, false, pool.size())) + 64);
    linear_i8(isa, a, aligned(), pool);
  }
  void* aligned() { return workspace.data() + (64 - reinterpret_cast<uintptr_t>(workspace.data()) % 64) % 64; }

  std::string describe() const {
    return "m " + std::to_string(m) + " n " + std::to_string(n) + " k " + std::to_string(k) + " activation " +
           std::to_string(static_cast<int>(activation)) + " input bits " + std::to_string(input_bits);
  }
};

int64_t some_rows(Random& random) {
  return random.coin() ? random.between(0, 17) : random.between(18, 120);
}
int64_t some_depth(Random& random) {
  return random.coin() ? random.between(1, 70) : random.between(71, 900);
}

TEST(LinearI8, EveryIsaRoundsRowsToWithinHalfAStep) {
  ANYON_TRACE_SEED();
  for (const auto& row : testing::runnable(linear_i8_kernels())) {
    SCOPED_TRACE(row.name);
    const LinearI8Kernels kernels = row.function();
    Random random(testing::test_seed());
    for (int i = 0; i < 60; ++i) {
      const int64_t count = random.between(1, 200);
      const float size = std::pow(10.0f, static_cast<float>(random.between(-20, 20)));
      std::vector<float> x = random.floats(count, random.coin() ? -size : 0.0f, size);
      const Range range = kernels.range(x.data(), count);
      EXPECT_EQ(range.low, std::min(0.0f, *std::min_element(x.begin(), x.end())));
      EXPECT_EQ(range.high, std::max(0.0f, *std::max_element(x.begin(), x.end())));
      const InputScale scale = kernels.input_scale(range, 1);
      std::vector<uint8_t> q(static_cast<size_t>(count) + 8, 77);
      kernels.quantize(x.data(), count, scale, q.data());
      const bool is_signed = kernels.input_scale({0.0f, 0.0f}, 1).zero < 0;
      for (int64_t j = 0; j < count; ++j) {
        const int value = is_signed ? static_cast<int8_t>(q[static_cast<size_t>(j)]) : q[static_cast<size_t>(j)];
        const double back = double{scale.scale} * (value - scale.zero);
        // Half a step of the value and half of the zero point, which is rounded too where it bounds the range.
        ASSERT_NEAR(back, x[static_cast<size_t>(j)], double{scale.scale} * 1.001) << j;
      }
      // In 16 bits the zero point is exact, and half a step is all that is lost.
      const InputScale fine = kernels.input_scale(range, 2);
      std::vector<uint8_t> low(q.size(), 77);
      kernels.quantize16(x.data(), count, fine, q.data(), low.data());
      for (int64_t j = 0; j < count; ++j) {
        const auto byte = [&](const std::vector<uint8_t>& bytes) {
          const uint8_t value = bytes[static_cast<size_t>(j)];
          return is_signed ? static_cast<int8_t>(value) + 128 : value;
        };
        const int zero = is_signed ? fine.zero + 128 : fine.zero;
        const double back = double{fine.scale} * (256 * (byte(q) - zero) + byte(low));
        ASSERT_NEAR(back, x[static_cast<size_t>(j)], double{fine.scale} * 0.51) << j;
      }
      for (int64_t j = count; j < count + 8; ++j) {
        ASSERT_EQ(q[static_cast<size_t>(j)], 77);
        ASSERT_EQ(low[static_cast<size_t>(j)], 77);
      }
    }
  }
}

TEST(LinearI8, SixteenBitInputsAreExactForEveryInteger) {
  for (const auto& row : testing::runnable(linear_i8_kernels())) {
    SCOPED_TRACE(row.name);
    const LinearI8Kernels kernels = row.function();
    std::vector<float> x;
    for (int value = 0; value <= 65280; ++value) x.push_back(static_cast<float>(value));
    std::vector<uint8_t> high(x.size()), low(x.size());
    const InputScale scale = kernels.input_scale(kernels.range(x.data(), static_cast<int64_t>(x.size())), 2);
    kernels.quantize16(x.data(), static_cast<int64_t>(x.size()), scale, high.data(), low.data());
    for (size_t i = 0; i < x.size(); ++i) {
      const auto byte = [&](uint8_t value) { return scale.zero < 0 ? static_cast<int8_t>(value) + 128 : value; };
      ASSERT_EQ(256 * byte(high[i]) + byte(low[i]), static_cast<int>(i));
    }
  }
}

TEST(LinearI8, ZeroStaysExactAndConstantsOfNothingAreNothing) {
  for (const auto& row : testing::runnable(linear_i8_kernels())) {
    SCOPED_TRACE(row.name);
    const LinearI8Kernels kernels = row.function();
    for (const float high : {0.0f, 1e-42f, 3.0f, std::numeric_limits<float>::infinity()}) {
      const std::vector<float> x = {0.0f, high, 0.0f};
      const InputScale scale = kernels.input_scale(kernels.range(x.data(), 3), 1);
      uint8_t q[3];
      kernels.quantize(x.data(), 3, scale, q);
      EXPECT_EQ(static_cast<uint8_t>(scale.zero), q[0]);
      EXPECT_TRUE(std::isfinite(scale.scale));
    }
  }
}

TEST(LinearI8, SumsAreExactIntegers) {
  ANYON_TRACE_SEED();
  for (const auto& row : testing::runnable(linear_i8_kernels())) {
    SCOPED_TRACE(row.name);
    const LinearI8Kernels kernels = row.function();
    const int low = kernels.input_scale({0.0f, 0.0f}, 1).zero;  // the smallest input of this ISA
    Random random(testing::test_seed());
    for (int i = 0; i < 40; ++i) {
      Product product(random, std::max<int64_t>(1, some_rows(random)), random.between(1, 110), some_depth(random));
      if (i < 4) {  // the extremes, where 16-bit steps would saturate
        const int8_t extreme = i % 2 == 0 ? 127 : -127;
        std::fill(product.rows.begin(), product.rows.end(), extreme);
        product.finish_weight();
      }
      SCOPED_TRACE(product.describe());
      const int64_t stride = product.k + random.between(4, 40);
      std::vector<uint8_t> q(static_cast<size_t>(product.m * stride));
      for (uint8_t& value : q) {
        value = static_cast<uint8_t>(low + (i < 2 ? 255 : i < 4 ? 0 : random.between(0, 255)));
      }
      std::vector<float> x_scale = random.floats(product.m, 0.001f, 0.1f);
      std::vector<int32_t> zero(static_cast<size_t>(product.m));
      for (int32_t& value : zero) value = static_cast<int32_t>(low + random.between(0, 255));
      LinearI8Block block;
      block.x = {q.data(), stride, x_scale.data(), zero.data(), 1};
      block.rows = product.m;
      block.weight = product.packed.data();
      block.scale = product.scale.data();
      block.sum = product.sum.data();
      block.y = product.y.data();
      block.y_stride = product.y_stride;
      block.n = product.n;
      block.k = product.k;
      kernels.multiply(block);
      for (int64_t r = 0; r < product.m; ++r) {
        for (int64_t c = 0; c < product.y_stride; ++c) {
          const float y = product.y[static_cast<size_t>(r * product.y_stride + c)];
          if (c >= product.n) {
            ASSERT_EQ(y, kCanary) << "wrote past the end of row " << r;
            continue;
          }
          int64_t sum = 0;
          for (int64_t j = 0; j < product.k; ++j) {
            const uint8_t byte = q[static_cast<size_t>(r * stride + j)];
            const int value = low < 0 ? static_cast<int8_t>(byte) : byte;
            sum += (value - zero[static_cast<size_t>(r)]) * product.rows[static_cast<size_t>(c * product.k + j)];
          }
          // One rounding to float, one for the product of the scales, one for the result.
          const double expected = static_cast<double>(sum) * double{x_scale[static_cast<size_t>(r)]} *
                                  double{product.scale[static_cast<size_t>(c)]};
          ASSERT_NEAR(y, expected, 4 * testing::kEps * std::fabs(expected)) << "row " << r << " column " << c;
        }
      }
    }
  }
}

TEST(LinearI8, AgreesWithTheReference) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  for (const auto& row : testing::runnable(linear_i8_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 1);
    for (int i = 0; i < 25; ++i) {
      Product product(random, some_rows(random), random.between(1, 110), some_depth(random));
      SCOPED_TRACE(product.describe());
      product.run(row.isa, pool);
      Product expected = product;
      reference::linear_i8(expected.args());
      for (size_t j = 0; j < product.y.size(); ++j) {
        // An input that lies half way between two steps may be rounded either way: up to two such in a row, each worth
        // a step (at most 4 / 255, in 16 bits 256 times less, but there any number may) times a weight of 127 scales,
        // stretched by no activation more than 1.13.
        const int64_t column = static_cast<int64_t>(j) % product.y_stride;
        const double step = column < product.n ? 4.0 / 255 * 127 * product.scale[static_cast<size_t>(column)] : 0.0;
        const double bound = 2 * 1.13 * step + 1e-5 * std::max(1.0, std::fabs(double{expected.y[j]}));
        ASSERT_NEAR(product.y[j], expected.y[j], bound) << "at " << j;
      }
    }
  }
}

TEST(LinearI8, GivesTheSameBitsWhateverTheThreadsAndTheOtherRows) {
  ANYON_TRACE_SEED();
  ThreadPool one(1), three(3);
  for (const auto& row : testing::runnable(linear_i8_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 2);
    for (int i = 0; i < 10; ++i) {
      Product product(random, random.between(1, 120), random.between(1, 900), some_depth(random));
      SCOPED_TRACE(product.describe());
      product.run(row.isa, one);
      const std::vector<float> alone = product.y;
      std::fill(product.y.begin(), product.y.end(), kCanary);
      product.run(row.isa, three);
      ASSERT_TRUE(testing::same_bits(alone, product.y));
      std::fill(product.y.begin(), product.y.end(), kCanary);
      for (int64_t begin = 0; begin < product.m;) {
        LinearI8Args args = product.args();
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

TEST(LinearI8, FusingIsasGiveTheSameBitsWithoutActivation) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  Random random(testing::test_seed() + 3);
  for (int i = 0; i < 10; ++i) {
    Product product(random, some_rows(random), random.between(1, 150), some_depth(random));
    product.activation = Activation::kNone;
    SCOPED_TRACE(product.describe());
    std::vector<float> first;
    for (const auto& row : testing::runnable(linear_i8_kernels())) {
      if (row.isa == Isa::kScalar) continue;
      product.run(row.isa, pool);
      if (first.empty()) first = product.y;
      ASSERT_TRUE(testing::same_bits(first, product.y)) << row.name;
    }
  }
}

TEST(Conv1dI8, IsLinearOverZeroPaddedWindows) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  for (const auto& row : testing::runnable(linear_i8_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 4);
    for (int i = 0; i < 10; ++i) {
      Conv1dArgs args;
      args.batch = random.between(1, 3);
      args.time = random.between(1, 60);
      args.cin = random.between(1, 20);
      args.cout = random.between(1, 40);
      args.kernel = random.between(1, std::min<int64_t>(5, args.time));
      args.stride = random.between(1, 3);
      args.padding = random.between(0, args.kernel - 1);
      args.activation = Activation::kGelu;
      const int64_t time_out = conv1d_time_out(args.time, args.kernel, args.stride, args.padding);
      // One long signal with zeros around each batch row gives linear_i8 the same windows.
      const int64_t padded = args.time + 2 * args.padding;
      Product product(random, time_out, args.cout, args.kernel * args.cin);
      product.activation = args.activation;
      product.residual_stride = args.cout;
      product.residual = random.floats(time_out * args.cout);
      product.y_stride = args.cout;
      product.input_bits = 8;
      const std::vector<float> x = random.floats(args.batch * args.time * args.cin);
      std::vector<float> y(static_cast<size_t>(args.batch * time_out * args.cout), kCanary), workspace;
      args.x = x.data();
      args.y = y.data();
      args.bias = product.bias.empty() ? nullptr : product.bias.data();
      args.residual = product.residual.data();
      workspace.resize(static_cast<size_t>(conv1d_i8_workspace_bytes(args, pool.size()) / 4 + 16));
      const auto misaligned = reinterpret_cast<uintptr_t>(workspace.data()) % 64;
      conv1d_i8(row.isa, args, {product.packed.data(), product.scale.data(), product.sum.data()},
                workspace.data() + (misaligned == 0 ? 0 : (64 - misaligned) / 4), pool);
      for (int64_t batch = 0; batch < args.batch; ++batch) {
        product.x.assign(static_cast<size_t>(padded * args.cin), 0.0f);
        std::copy_n(x.begin() + batch * args.time * args.cin, args.time * args.cin,
                    product.x.begin() + args.padding * args.cin);
        product.x_stride = args.stride * args.cin;
        product.y.assign(static_cast<size_t>(time_out * args.cout), kCanary);
        product.run(row.isa, pool);
        ASSERT_TRUE(std::equal(product.y.begin(), product.y.end(), y.begin() + batch * time_out * args.cout));
      }
    }
  }
}

TEST(EmbeddingI8, GivesTheRowsOfThePackedTable) {
  ANYON_TRACE_SEED();
  Random random(testing::test_seed() + 5);
  Product table(random, 1, 37, 22);
  const std::vector<int64_t> ids = {0, 36, 15, 16, 36};
  std::vector<float> y(ids.size() * 22);
  embedding_i8(ids.data(), 5, table.packed.data(), table.scale.data(), 37, 22, y.data());
  for (size_t i = 0; i < ids.size(); ++i) {
    for (size_t j = 0; j < 22; ++j) {
      const auto id = static_cast<size_t>(ids[i]);
      EXPECT_EQ(y[i * 22 + j], table.scale[id] * static_cast<float>(table.rows[id * 22 + j]));
    }
  }
  const int64_t outside = 37;
  EXPECT_THROW(embedding_i8(&outside, 1, table.packed.data(), table.scale.data(), 37, 22, y.data()), Error);
}

}  // namespace
}  // namespace anyon
