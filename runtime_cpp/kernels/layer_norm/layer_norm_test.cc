// Every layer_norm kernel against reference.cc.
#include "kernels/layer_norm/layer_norm.h"

#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::kEps;
using testing::Random;

// What a row is divided by.
double deviation(std::span<const float> row) {
  double mean = 0.0, variance = 0.0;
  for (const float x : row) mean += x / static_cast<double>(row.size());
  for (const float x : row) variance += (x - mean) * (x - mean) / static_cast<double>(row.size());
  return std::sqrt(variance + 1e-5);
}

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
      for (size_t start = 0; start < x.size(); start += static_cast<size_t>(width)) {
        // The mean is off by a few eps of |offset| + 1, divided by a deviation of about 0.577 (less for tiny widths,
        // bounded by epsilon); the result itself is rounded about four times.
        const double spread =
            (std::fabs(offset) + 1.0) / deviation(std::span(x).subspan(start, static_cast<size_t>(width)));
        for (size_t j = start; j < start + static_cast<size_t>(width); ++j) {
          ASSERT_NEAR(y[j], expected[j], 8 * kEps * (spread + std::fabs(double{expected[j]}) + 1.0)) << "at " << j;
        }
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
