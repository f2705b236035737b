// conv1d against its reference on every ISA that linear has a kernel for: all edges, strides and short signals.
#include "kernels/conv1d/conv1d.h"

#include "core/arena.h"
#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::kEps;
using testing::Random;

struct Convolution {
  explicit Convolution(Random& random, bool large) {
    args.batch = random.between(1, 3);
    args.kernel = random.between(1, 7);
    args.stride = random.between(1, 3);
    args.padding = random.between(0, args.kernel + 2);
    args.cin = random.between(1, large ? 90 : 20);
    args.cout = random.between(1, large ? 100 : 40);
    args.time = random.between(0, large ? 260 : 12);
    args.activation = static_cast<Activation>(random.between(0, 4));
    time_out = conv1d_time_out(args.time, args.kernel, args.stride, args.padding);
    const int64_t width = args.kernel * args.cin;
    x = random.floats(args.batch * args.time * args.cin);
    const std::vector<float> rows = random.floats(args.cout * width);
    weight.resize(static_cast<size_t>(panel16_elements(args.cout, width)));
    pack_panel16(rows.data(), width, args.cout, width, weight.data());
    if (random.coin()) bias = random.floats(args.cout);
    if (random.coin()) residual = random.floats(time_out * args.cout);
    y.assign(static_cast<size_t>(args.batch * time_out * args.cout) + 8, kCanary);
    args.x = x.data();
    args.weight = weight.data();
    args.bias = bias.empty() ? nullptr : bias.data();
    args.residual = residual.empty() ? nullptr : residual.data();
    args.y = y.data();
  }

  std::vector<float> run(Isa isa, ThreadPool& pool) {
    std::fill(y.begin(), y.end(), kCanary);
    const Arena workspace(conv1d_workspace_bytes(args));
    conv1d(isa, args, workspace.data(), pool);
    return y;
  }

  std::vector<float> expected(Conv1dArgs a) const {
    std::vector<float> result(y.size(), kCanary);
    a.y = result.data();
    reference::conv1d(a);
    return result;
  }

  std::vector<float> magnitudes() const {
    const std::vector<float> xs = testing::absolute(x), ws = testing::absolute(weight), bs = testing::absolute(bias),
                             rs = testing::absolute(residual);
    Conv1dArgs a = args;
    a.x = xs.data();
    a.weight = ws.data();
    if (!bs.empty()) a.bias = bs.data();
    if (!rs.empty()) a.residual = rs.data();
    a.activation = Activation::kNone;
    return expected(a);
  }

  std::string describe() const {
    return "batch " + std::to_string(args.batch) + " time " + std::to_string(args.time) + " cin " +
           std::to_string(args.cin) + " cout " + std::to_string(args.cout) + " kernel " + std::to_string(args.kernel) +
           " stride " + std::to_string(args.stride) + " padding " + std::to_string(args.padding);
  }

  Conv1dArgs args;
  int64_t time_out;
  std::vector<float> x, weight, bias, residual, y;
};

TEST(Conv1d, AgreesWithTheReference) {
  ANYON_TRACE_SEED();
  ThreadPool one(1), three(3);
  for (const auto& row : testing::runnable(linear_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed());
    for (int i = 0; i < 80; ++i) {
      Convolution convolution(random, i % 4 == 0);
      SCOPED_TRACE(convolution.describe());
      const std::vector<float> y = convolution.run(row.isa, one);
      ASSERT_TRUE(testing::same_bits(y, convolution.run(row.isa, three))) << "threads changed the result";
      // As for linear: independent roundings of a chain of kernel * cin terms, and what the activation adds.
      const std::vector<float> expected = convolution.expected(convolution.args), sizes = convolution.magnitudes();
      const double terms = 4.0 + 4.0 * std::sqrt(static_cast<double>(convolution.args.kernel * convolution.args.cin));
      for (size_t j = 0; j + 8 < y.size(); ++j) {
        double bound = terms * kEps * static_cast<double>(sizes[j]) * 1.13;
        if (convolution.args.activation != Activation::kNone) {
          bound += 5e-7 * std::max(1.0, std::fabs(double{expected[j]}));
        }
        ASSERT_NEAR(y[j], expected[j], bound) << "at " << j;
      }
      for (size_t j = y.size() - 8; j < y.size(); ++j) ASSERT_EQ(y[j], kCanary) << "wrote past the end";
    }
  }
}

TEST(Conv1d, TimeOutCountsWindowsOfThePaddedSignal) {
  EXPECT_EQ(conv1d_time_out(3000, 3, 1, 1), 3000);
  EXPECT_EQ(conv1d_time_out(3000, 3, 2, 1), 1500);
  EXPECT_EQ(conv1d_time_out(2, 5, 1, 1), 0);
  EXPECT_EQ(conv1d_time_out(0, 2, 1, 1), 1);
}

}  // namespace
}  // namespace anyon
