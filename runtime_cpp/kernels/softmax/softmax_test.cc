// Every softmax kernel against reference.cc.
#include "kernels/softmax/softmax.h"

#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::Random;

TEST(Softmax, EveryKernelAgreesWithTheReference) {
  ANYON_TRACE_SEED();
  for (const auto& row : testing::runnable(softmax_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed());
    for (int i = 0; i < 60; ++i) {
      const int64_t rows = random.between(0, 9), width = random.between(1, i % 5 == 0 ? 3000 : 100);
      SCOPED_TRACE("rows " + std::to_string(rows) + " width " + std::to_string(width));
      std::vector<float> x = random.floats(rows * width, -20.0f, 20.0f);
      if (width > 1 && rows > 0) x[0] = -INFINITY;
      std::vector<float> y(x.size() + 4, kCanary), expected(x.size());
      row.function(x.data(), y.data(), rows, width);
      reference::softmax_rows(x.data(), expected.data(), rows, width);
      for (size_t j = 0; j < x.size(); ++j) {
        // exp is good to 2e-7 of itself, x - max is rounded at up to 40 (40 eps), the sum to a few eps.
        ASSERT_NEAR(y[j], expected[j], 4e-6 * double{expected[j]} + 1e-36) << "at " << j;
      }
      for (size_t j = x.size(); j < y.size(); ++j) ASSERT_EQ(y[j], kCanary) << "wrote past the end";
    }
  }
}

TEST(Softmax, WorksInPlaceAndOnThreads) {
  ANYON_TRACE_SEED();
  ThreadPool one(1), three(3);
  for (const auto& row : testing::runnable(softmax_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 1);
    const int64_t rows = 300, width = 203;
    const std::vector<float> x = random.floats(rows * width);
    std::vector<float> y(x.size()), in_place = x;
    softmax_rows(row.isa, x.data(), y.data(), rows, width, one);
    softmax_rows(row.isa, in_place.data(), in_place.data(), rows, width, three);
    EXPECT_TRUE(testing::same_bits(y, in_place));
  }
}

}  // namespace
}  // namespace anyon
