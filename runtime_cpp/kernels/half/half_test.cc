// Every half_to_float kernel on every 16-bit number.
#include "kernels/half/half.h"

#include "kernels/testing.h"

namespace anyon {
namespace {

TEST(Half, EveryKernelIsExactForEveryNumber) {
  std::vector<uint16_t> x(65536 + 3);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(i);
  for (const auto& row : testing::runnable(half_to_float_kernels())) {
    SCOPED_TRACE(row.name);
    std::vector<float> y(x.size() + 1, testing::kCanary);
    row.function(x.data(), static_cast<int64_t>(x.size()), y.data());
    EXPECT_EQ(y.back(), testing::kCanary);
    for (size_t i = 0; i < x.size(); ++i) {
      const float expected = reference::half_to_float(x[i]);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(y[i])) << i;
      } else {
        ASSERT_EQ(y[i], expected) << i;
        ASSERT_EQ(std::signbit(y[i]), std::signbit(expected)) << i;
      }
    }
  }
}

}  // namespace
}  // namespace anyon
