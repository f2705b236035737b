// How the tokens of a window become segments. Timestamps are 100 (0.00 s) and up.
#include "pipelines/segmentation.h"

#include <gtest/gtest.h>

namespace anyon {
namespace {

constexpr int32_t kTime = 100;

struct Expected {
  std::vector<int32_t> tokens;
  int64_t start;
  int64_t end;
};

void expect_segments(const Segmentation& split, const std::vector<Expected>& expected) {
  ASSERT_EQ(split.segments.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const TokenSegment& segment = split.segments[i];
    EXPECT_EQ(std::vector<int32_t>(segment.tokens.begin(), segment.tokens.end()), expected[i].tokens) << i;
    EXPECT_EQ(segment.start, expected[i].start) << i;
    EXPECT_EQ(segment.end, expected[i].end) << i;
  }
}

TEST(Segmentation, APairOfTimestampsEndsASegmentAndTheUnfinishedRestIsHeardAgain) {
  const std::vector<int32_t> tokens = {kTime, 1, 2, kTime + 10, kTime + 12, 3, kTime + 30, kTime + 30, 4, 5};
  const Segmentation split = split_by_timestamps(tokens, kTime, 1500);
  expect_segments(split, {{{kTime, 1, 2, kTime + 10}, 0, 10}, {{kTime + 12, 3, kTime + 30}, 12, 30}});
  EXPECT_FALSE(split.ends_with_single_timestamp);
  EXPECT_EQ(split.advance, 30);
}

TEST(Segmentation, ASingleTimestampAtTheEndMeansTheRestIsSilent) {
  const std::vector<int32_t> tokens = {kTime, 1, kTime + 10, kTime + 10, 2, kTime + 20};
  const Segmentation split = split_by_timestamps(tokens, kTime, 1500);
  expect_segments(split, {{{kTime, 1, kTime + 10}, 0, 10}, {{kTime + 10, 2, kTime + 20}, 10, 20}});
  EXPECT_TRUE(split.ends_with_single_timestamp);
  EXPECT_EQ(split.advance, 1500);
}

TEST(Segmentation, WithoutAPairAllIsOneSegmentUpToTheLastTimestamp) {
  const std::vector<int32_t> tokens = {kTime + 5, 1, 2, kTime + 40};
  const Segmentation split = split_by_timestamps(tokens, kTime, 1500);
  expect_segments(split, {{tokens, 5, 40}});
  EXPECT_EQ(split.advance, 1500);
}

TEST(Segmentation, ATextThatDoesNotEndFillsTheWindow) {
  const std::vector<int32_t> tokens = {kTime, 1, 2};
  expect_segments(split_by_timestamps(tokens, kTime, 600), {{tokens, 0, 600}});
}

TEST(Segmentation, TextWithoutTimestampsFillsTheWindow) {
  const std::vector<int32_t> tokens = {1, 2, 3};
  expect_segments(split_by_timestamps(tokens, kTime, 1500), {{tokens, 0, 1500}});
}

TEST(Segmentation, TimesBeyondTheAudioAreCut) {
  const std::vector<int32_t> tokens = {kTime, 1, kTime + 90, kTime + 90, 2, kTime + 200};
  const Segmentation split = split_by_timestamps(tokens, kTime, 80);
  expect_segments(split, {{{kTime, 1, kTime + 90}, 0, 80}, {{kTime + 90, 2, kTime + 200}, 80, 80}});
}

TEST(Segmentation, NothingSaidIsNoSegment) {
  const Segmentation split = split_by_timestamps({}, kTime, 1500);
  EXPECT_TRUE(split.segments.empty());
  EXPECT_EQ(split.advance, 1500);
}

}  // namespace
}  // namespace anyon
