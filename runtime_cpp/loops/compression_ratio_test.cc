// Sizes against Python's zlib (tests/cpp/data/zlib.tsv).
#include "loops/compression_ratio.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>

#include "test_data.h"

namespace anyon {
namespace {

int64_t size_of_text(const std::string& text) {
  return zlib_size({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

TEST(CompressionRatio, SizesAreZlibsWithinThreeBytesOrTwoPercent) {
  int compared = 0, exact = 0;
  for (const std::string& line : data_lines("zlib.tsv")) {
    const std::vector<std::string> fields = split(line, '\t');
    const std::string unit = from_hex(fields[0]);
    const int64_t expected = std::stoll(fields[2]);
    std::string text;
    for (int i = 0; i < std::stoi(fields[1]); ++i) text += unit;
    const int64_t ours = size_of_text(text);
    EXPECT_LE(std::abs(ours - expected), std::max<int64_t>(3, expected / 50))
        << ours << " against " << expected << " for " << fields[1] << " times " << unit;
    exact += ours == expected ? 1 : 0;
    ++compared;
  }
  EXPECT_GT(compared, 150);
  // Equal counts join in the order of the standard library's heap: 161 of 173 with libstdc++, 154 with libc++.
#ifdef _LIBCPP_VERSION
  EXPECT_GT(exact, compared * 17 / 20);
#else
  EXPECT_GT(exact, compared * 9 / 10);
#endif
}

TEST(CompressionRatio, IsWhatWhispersGuardCompares) {
  EXPECT_EQ(compression_ratio(""), 0.0);
  const std::string line = "Thank you. ";
  std::string repeated;
  for (int i = 0; i < 20; ++i) repeated += line;
  EXPECT_LT(compression_ratio("And so my fellow Americans ask not what your country can do for you."), 2.4);
  EXPECT_GT(compression_ratio(repeated), 2.4);
}

TEST(CompressionRatio, HostileTextTakesLinearTime) {
  // Long chains of near matches; a search without a bound would take minutes.
  std::mt19937 random(1);
  std::string text;
  while (text.size() < 1000000) {
    text += std::string(random() % 20, 'a');
    text.push_back(static_cast<char>(random()));
  }
  EXPECT_GT(size_of_text(text), 100000);
  EXPECT_LT(size_of_text(std::string(1000000, '\0')), 2000);
}

}  // namespace
}  // namespace anyon
