// hallucination_silence_threshold: which segments are dropped and where the next window begins.
#include "pipelines/silence_skip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace anyon {
namespace {

constexpr std::string_view kMarks = ".,!?";

Segment spoken(double start, double end, double probability = 0.9, double word_length = 0.4) {
  Segment s;
  s.start = start;
  s.end = end;
  for (double t = start; t + word_length <= end + 1e-9; t += word_length) {
    s.words.push_back({t, t + word_length, " word", probability});
  }
  return s;
}

WindowTimes window(double start, double last_speech = 0.0) {
  WindowTimes times;
  times.start = start;
  times.full_end = start + 30.0;
  times.heard = 30.0;
  times.last_speech = last_speech;
  return times;
}

TEST(OddSegment, UnlikelyVeryShortOrVeryLongWordsMakeIt) {
  EXPECT_FALSE(is_odd_segment(spoken(0, 4), kMarks));
  EXPECT_TRUE(is_odd_segment(spoken(0, 4, 0.1), kMarks));
  EXPECT_TRUE(is_odd_segment(spoken(0, 3, 0.9, 3.0), kMarks));
  EXPECT_TRUE(is_odd_segment(spoken(0, 0.4, 0.9, 0.02), kMarks));
  EXPECT_FALSE(is_odd_segment(Segment{}, kMarks));
}

TEST(SkipSilence, KeepsWhatLooksSpoken) {
  const std::vector<Segment> segments = {spoken(0, 4), spoken(10, 14)};
  const SilenceSkip skip = skip_silence(segments, window(0), 2.0, kMarks);
  EXPECT_EQ(skip.keep, 2u);
  EXPECT_FALSE(skip.seek);
}

TEST(SkipSilence, SkipsTheSilenceBeforeAnOddFirstSegment) {
  const std::vector<Segment> segments = {spoken(105, 107, 0.05)};
  const SilenceSkip skip = skip_silence(segments, window(100), 2.0, kMarks);
  EXPECT_TRUE(skip.repeat_window);
  EXPECT_EQ(skip.keep, 0u);
  EXPECT_DOUBLE_EQ(*skip.seek, 105.0);
}

TEST(SkipSilence, DropsAnOddSegmentBetweenSilences) {
  const std::vector<Segment> segments = {spoken(0, 4), spoken(10, 11, 0.05), spoken(20, 24)};
  const SilenceSkip skip = skip_silence(segments, window(0), 2.0, kMarks);
  EXPECT_EQ(skip.keep, 1u);
  EXPECT_DOUBLE_EQ(*skip.seek, 10.0);
}

TEST(SkipSilence, KeepsAnOddSegmentThatSpeechSurrounds) {
  const std::vector<Segment> segments = {spoken(0, 4), spoken(4.5, 5.3, 0.05), spoken(5.5, 9)};
  EXPECT_EQ(skip_silence(segments, window(0), 2.0, kMarks).keep, 3u);
}

TEST(SkipSilence, AnOddSegmentBeforeTheEndOfTheRecordingEndsIt) {
  WindowTimes times = window(0);
  times.recording_end = 12.0;
  const std::vector<Segment> segments = {spoken(0, 4), spoken(10, 11.5, 0.05)};
  const SilenceSkip skip = skip_silence(segments, times, 2.0, kMarks);
  EXPECT_EQ(skip.keep, 1u);
  EXPECT_TRUE(std::isinf(*skip.seek));
}

}  // namespace
}  // namespace anyon
