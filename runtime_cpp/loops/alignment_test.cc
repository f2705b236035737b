// Dynamic time warping and the median filter against definitions that are too slow to use.
#include "loops/alignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "loops/dtw.h"

namespace anyon {
namespace {

TEST(DynamicTimeWarping, FollowsADiagonalOfLargeValues) {
  constexpr int64_t kRows = 4;
  constexpr int64_t kColumns = 12;
  std::vector<float> similarity(kRows * kColumns, -0.1f);
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t c = 3 * row; c < 3 * row + 3; ++c) similarity[row * kColumns + c] = 1.0f;
  }
  EXPECT_EQ(first_columns_of_best_path(similarity, kRows, kColumns), (std::vector<int32_t>{0, 3, 6, 9}));
}

// The largest sum over monotone paths, by trying all of them.
double best_sum(const std::vector<float>& m, int64_t rows, int64_t columns, int64_t i, int64_t j) {
  const double here = m[i * columns + j];
  if (i == 0 && j == 0) return here;
  double best = -1e30;
  if (i > 0) best = std::max(best, best_sum(m, rows, columns, i - 1, j));
  if (j > 0) best = std::max(best, best_sum(m, rows, columns, i, j - 1));
  if (i > 0 && j > 0) best = std::max(best, best_sum(m, rows, columns, i - 1, j - 1));
  return here + best;
}

// The largest sum over monotone paths that enter each row at the given column.
double sum_through(const std::vector<float>& m, int64_t rows, int64_t columns, const std::vector<int32_t>& first) {
  std::vector<double> reach(rows * columns, -1e30);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = first[i]; j < columns; ++j) {
      double before = i == 0 && j == 0 ? 0.0 : -1e30;
      if (j > first[i]) before = std::max(before, reach[i * columns + j - 1]);
      if (i > 0 && j == first[i]) {
        before = std::max(before, reach[(i - 1) * columns + j]);
        if (j > 0) before = std::max(before, reach[(i - 1) * columns + j - 1]);
      }
      if (before > -1e29) reach[i * columns + j] = before + m[i * columns + j];
    }
  }
  return reach.back();
}

TEST(DynamicTimeWarping, TakesAPathWithTheLargestSumOfAll) {
  std::mt19937 generator(3);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (int trial = 0; trial < 50; ++trial) {
    const int64_t rows = 1 + trial % 5;
    const int64_t columns = 1 + trial % 7;
    std::vector<float> m(rows * columns);
    for (float& value : m) value = uniform(generator);
    const std::vector<int32_t> first = first_columns_of_best_path(m, rows, columns);
    EXPECT_EQ(first[0], 0);
    EXPECT_TRUE(std::is_sorted(first.begin(), first.end()));
    EXPECT_NEAR(sum_through(m, rows, columns, first), best_sum(m, rows, columns, rows - 1, columns - 1), 1e-5)
        << "trial " << trial;
  }
}

TEST(DynamicTimeWarping, MoreTokensThanFramesStayInside) {
  const std::vector<float> similarity(6 * 2, 0.0f);
  for (const int32_t column : first_columns_of_best_path(similarity, 6, 2)) EXPECT_LT(column, 2);
}

std::vector<float> median_by_sorting(const std::vector<float>& x) {
  const int64_t n = static_cast<int64_t>(x.size());
  std::vector<float> y;
  for (int64_t i = 0; i < n; ++i) {
    std::vector<float> around;
    for (int64_t k = i - 3; k <= i + 3; ++k) around.push_back(x[k < 0 ? -k : k < n ? k : 2 * (n - 1) - k]);
    std::sort(around.begin(), around.end());
    y.push_back(around[3]);
  }
  return y;
}

TEST(MedianFilter, IsTheMedianOfSevenReflectedAtTheEnds) {
  std::mt19937 generator(5);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (const size_t n : {4, 5, 6, 7, 8, 13, 100}) {
    std::vector<float> x(n);
    for (float& value : x) value = uniform(generator);
    std::vector<float> y(n);
    median_filter_7(x, y.data());
    EXPECT_EQ(y, median_by_sorting(x)) << n;
  }
}

TEST(MedianFilter, ShortRowsStayAsTheyAre) {
  const std::vector<float> x = {3.0f, 1.0f, 2.0f};
  std::vector<float> y(3);
  median_filter_7(x, y.data());
  EXPECT_EQ(y, x);
}

}  // namespace
}  // namespace anyon
