// Every layer_norm kernel against reference.cc.
#include "kernels/layer_norm/layer_norm.h"

#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::kEps;
using testing::Random;

TEST(LayerNorm, EveryKernelAgreesWithTheReference) {
  ANYON_TRACE_SEED();
  for (const auto& row : testing::runnable(layer_norm_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed());
    for (int i = 0; i < 60; ++i) {
      const int64_t rows = random.between(0, 9), width = random.between(1, i % 5 == 0 ? 3000 : 100);
      SCOPED_TRACE("rows " + std::to_string(rows) + " width " + std::to_string(width));
      // A mean 10 times the deviation costs digits, as it does for real activations.
      const float offset = random.coin() ? 10.0f : 0.0f;
      const std::vector<float> x = random.floats(rows * width, offset - 1.0f, offset + 1.0f);
      const std::vector<float> scale = random.floats(width), bias = random.floats(width);
      std::vector<float> y(x.size() + 4, kCanary), expected(x.size());
      LayerNormArgs args;
      args.x = x.data();
      args.scale = random.coin() ? scale.data() : nullptr;
      args.bias = random.coin() ? bias.data() : nullptr;
      args.y = y.data();
      args.rows = rows;
      args.width = width;
      row.function(args);
      args.y = expected.data();
      reference::layer_norm(args);
      for (size_t j = 0; j < x.size(); ++j) {
        // The mean is off by a few eps of |offset| + 1, divided by a deviation of about 0.577 (less for tiny widths,
        // bounded by epsilon); the result itself is rounded about four times.
        double deviation = 0.0, mean = 0.0;
        const size_t start = j / static_cast<size_t>(width) * static_cast<size_t>(width);
        for (int64_t k = 0; k < width; ++k) mean += x[start + static_cast<size_t>(k)];
        mean /= static_cast<double>(width);
        for (int64_t k = 0; k < width; ++k) deviation += std::pow(x[start + static_cast<size_t>(k)] - mean, 2);
        deviation = std::sqrt(deviation / static_cast<double>(width) + 1e-5);
        const double bound = 8 * kEps * ((std::fabs(offset) + 1.0) / deviation + std::fabs(double{expected[j]}) + 1.0);
        ASSERT_NEAR(y[j], expected[j], bound) << "at " << j;
      }
      for (size_t j = x.size(); j < y.size(); ++j) ASSERT_EQ(y[j], kCanary) << "wrote past the end";
    }
  }
}

TEST(LayerNorm, WorksInPlaceAndOnThreads) {
  ANYON_TRACE_SEED();
  ThreadPool one(1), three(3);
  for (const auto& row : testing::runnable(layer_norm_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 1);
    const int64_t rows = 700, width = 131;
    const std::vector<float> x = random.floats(rows * width);
    std::vector<float> y(x.size()), in_place = x;
    LayerNormArgs args;
    args.x = x.data();
    args.y = y.data();
    args.rows = rows;
    args.width = width;
    layer_norm(row.isa, args, one);
    args.x = in_place.data();
    args.y = in_place.data();
    layer_norm(row.isa, args, three);
    EXPECT_TRUE(testing::same_bits(y, in_place));
  }
}

}  // namespace
}  // namespace anyon
