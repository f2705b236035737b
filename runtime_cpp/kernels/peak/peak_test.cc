// The yardstick measures what it says: every float is read once, every operation counted.
#include "kernels/peak/peak.h"

#include "kernels/testing.h"

namespace anyon {
namespace {

TEST(Peak, EveryKernelReadsAllAndCountsItsOperations) {
  const std::vector<float> ones(1000, 1.0f);
  for (const auto& row : testing::runnable(peak_kernels())) {
    SCOPED_TRACE(row.name);
    const PeakKernels kernels = row.function();
    for (const int64_t count : {0, 1, 7, 128, 513, 1000}) {
      EXPECT_EQ(kernels.read_sum(ones.data(), count), static_cast<float>(count));
    }
    EXPECT_EQ(kernels.multiply_add(0), 0);
    EXPECT_EQ(kernels.multiply_add(20), 2 * kernels.multiply_add(10));
    EXPECT_GT(kernels.multiply_add(1), 0);
  }
}

}  // namespace
}  // namespace anyon
