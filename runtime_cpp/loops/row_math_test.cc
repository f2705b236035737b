// Every build of the row arithmetic against plain double arithmetic, and against each other bit for bit.
#include "loops/row_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace anyon {
namespace {

constexpr uint32_t kSeed = 20240611;

std::vector<float> logits(int64_t n, uint32_t seed = kSeed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, 6.0f);
  std::vector<float> x(n);
  for (float& value : x) value = normal(generator);
  return x;
}

class RowMathOnEveryIsa : public testing::TestWithParam<Isa> {
 protected:
  const RowMath& math = row_math(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Isas, RowMathOnEveryIsa, testing::ValuesIn(supported_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

TEST_P(RowMathOnEveryIsa, PeakIsTheFirstOfTheLargestValues) {
  for (const int64_t n : {1, 15, 16, 17, 127, 128, 129, 51864}) {
    std::vector<float> x = logits(n);
    const auto expected = std::max_element(x.begin(), x.end());
    Peak peak = math.peak(x.data(), n);
    EXPECT_EQ(peak.index, expected - x.begin()) << n;
    EXPECT_EQ(peak.value, *expected) << n;
    x.back() = *expected;  // the same value again, later
    EXPECT_EQ(math.peak(x.data(), n).index, expected - x.begin()) << n;
  }
}

TEST_P(RowMathOnEveryIsa, PeakOfNothingIsNone) {
  const std::vector<float> nothing(40, kNegativeInfinity);
  const std::vector<float> not_numbers(40, NAN);
  EXPECT_EQ(math.peak(nothing.data(), 0).index, -1);
  EXPECT_EQ(math.peak(nothing.data(), 40).index, -1);
  EXPECT_EQ(math.peak(not_numbers.data(), 40).index, -1);
}

TEST_P(RowMathOnEveryIsa, PeakSkipsNaN) {
  std::vector<float> x = {NAN, 1.0f, NAN, 3.0f, NAN, 2.0f};
  EXPECT_EQ(math.peak(x.data(), 6).index, 3);
}

TEST_P(RowMathOnEveryIsa, SumExpAgreesWithDoublePrecision) {
  for (const int64_t n : {1, 15, 16, 17, 4095, 4097, 51864}) {
    const std::vector<float> x = logits(n);
    const float shift = *std::max_element(x.begin(), x.end());
    double expected = 0.0;
    for (const float value : x) expected += std::exp(static_cast<double>(value) - shift);
    EXPECT_NEAR(math.sum_exp(x.data(), n, shift) / expected, 1.0, 1e-6) << n;
  }
}

TEST_P(RowMathOnEveryIsa, ForbiddenTokensAddNothing) {
  std::vector<float> x(100, kNegativeInfinity);
  x[57] = 4.0f;
  EXPECT_EQ(math.sum_exp(x.data(), 100, 4.0f), 1.0);
}

TEST_P(RowMathOnEveryIsa, TopKIsTheHeadOfAStableSort) {
  for (const int64_t n : {1, 6, 129, 51864}) {
    std::vector<float> x = logits(n);
    for (int64_t i = 0; i < n; i += 7) x[i] = std::round(x[i]);  // many equal values
    std::vector<int32_t> order(n);
    for (int64_t i = 0; i < n; ++i) order[i] = static_cast<int32_t>(i);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return x[a] > x[b]; });
    std::vector<Scored> top(6);
    const int count = math.top_k(x.data(), n, 6, top.data());
    ASSERT_EQ(count, std::min<int64_t>(n, 6));
    for (int i = 0; i < count; ++i) EXPECT_EQ(top[i].index, order[i]) << "n " << n << ", place " << i;
  }
}

TEST_P(RowMathOnEveryIsa, TopKLeavesForbiddenTokensOut) {
  const std::vector<float> x = {kNegativeInfinity, 1.0f, NAN, 2.0f, kNegativeInfinity};
  std::vector<Scored> top(4);
  ASSERT_EQ(math.top_k(x.data(), 5, 4, top.data()), 2);
  EXPECT_EQ(top[0].index, 3);
  EXPECT_EQ(top[1].index, 1);
}

TEST_P(RowMathOnEveryIsa, ExpRowIsWithinTwoUlps) {
  std::vector<float> x = logits(1003);
  const float shift = *std::max_element(x.begin(), x.end());
  std::vector<float> y(x.size());
  for (const float scale : {1.0f, 0.5f, 2.5f}) {
    math.exp_row(x.data(), static_cast<int64_t>(x.size()), shift, scale, y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      const double exponent = static_cast<double>((x[i] - shift) * scale);
      if (exponent < -87.0) {
        EXPECT_EQ(y[i], 0.0f);
      } else {
        EXPECT_NEAR(y[i] / std::exp(exponent), 1.0, 2.5e-7) << exponent;
      }
    }
  }
}

TEST_P(RowMathOnEveryIsa, DotRowsAgreesWithDoublePrecision) {
  for (const int64_t width : {1, 16, 60, 64, 80}) {
    const std::vector<float> a = logits(width, 1);
    const std::vector<float> rows = logits(5 * (width + 3), 2);
    std::vector<float> y(5);
    math.dot_rows(a.data(), rows.data(), width + 3, 5, width, y.data());
    for (int64_t row = 0; row < 5; ++row) {
      double expected = 0.0;
      double magnitude = 0.0;
      for (int64_t d = 0; d < width; ++d) {
        const double product = static_cast<double>(a[d]) * rows[row * (width + 3) + d];
        expected += product;
        magnitude += std::abs(product);
      }
      EXPECT_NEAR(y[row], expected, magnitude * 1e-6) << width;
    }
  }
}

TEST_P(RowMathOnEveryIsa, GivesTheSameBitsAsTheBaseline) {
  const RowMath& baseline = row_math(Isa::kScalar);
  const std::vector<float> x = logits(51864);
  const float shift = *std::max_element(x.begin(), x.end());
  EXPECT_EQ(math.sum_exp(x.data(), 51864, shift), baseline.sum_exp(x.data(), 51864, shift));
  std::vector<float> a(1001);
  std::vector<float> b(1001);
  math.exp_row(x.data(), 1001, shift, 0.7f, a.data());
  baseline.exp_row(x.data(), 1001, shift, 0.7f, b.data());
  EXPECT_EQ(a, b);
  math.dot_rows(x.data(), x.data() + 100, 64, 700, 64, a.data());
  baseline.dot_rows(x.data(), x.data() + 100, 64, 700, 64, b.data());
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace anyon
