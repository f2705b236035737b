// The buffer keeps what is needed of a recording, wherever the pieces end and whatever is skipped.
#include "pipelines/audio_buffer.h"

#include <gtest/gtest.h>

#include "core/status.h"

namespace anyon {
namespace {

std::vector<float> ramp(int64_t begin, int64_t end) {
  std::vector<float> samples;
  for (int64_t i = begin; i < end; ++i) samples.push_back(static_cast<float>(i) * 1e-6f);
  return samples;
}

std::vector<float> copy(std::span<const float> samples) {
  return {samples.begin(), samples.end()};
}

TEST(AudioBuffer, ForgetsWhatLiesBeforeAndKeepsPositions) {
  AudioBuffer buffer(16000);
  for (int64_t i = 0; i < 100; ++i) {
    buffer.push(ramp(i * 997, (i + 1) * 997), 16000);
    buffer.discard_before(i * 900);
    EXPECT_EQ(buffer.begin(), i * 900);
    EXPECT_EQ(buffer.end(), (i + 1) * 997);
    EXPECT_EQ(copy(buffer.range(i * 900 + 3, i * 900 + 50)), ramp(i * 900 + 3, i * 900 + 50));
  }
}

TEST(AudioBuffer, RangesAreCutToWhatIsKept) {
  AudioBuffer buffer(16000);
  buffer.push(ramp(0, 100), 16000);
  buffer.discard_before(40);
  EXPECT_EQ(copy(buffer.range(-10, 60)), ramp(40, 60));
  EXPECT_EQ(copy(buffer.range(90, 500)), ramp(90, 100));
  EXPECT_TRUE(buffer.range(200, 300).empty());
}

TEST(AudioBuffer, SkipsSamplesThatAreStillToCome) {
  AudioBuffer buffer(16000);
  buffer.push(ramp(0, 10), 16000);
  buffer.discard_before(1000);
  buffer.push(ramp(10, 900), 16000);
  EXPECT_EQ(buffer.range(0, 2000).size(), 0u);
  buffer.push(ramp(900, 1100), 16000);
  EXPECT_EQ(copy(buffer.range(0, 2000)), ramp(1000, 1100));
}

TEST(AudioBuffer, ResamplesToItsRate) {
  AudioBuffer buffer(16000);
  buffer.push(std::vector<float>(48000, 0.25f), 48000);
  buffer.finish();
  EXPECT_EQ(buffer.end(), 16000);
  EXPECT_NEAR(buffer.range(8000, 8001)[0], 0.25f, 1e-4f);
}

TEST(AudioBuffer, RefusesAnotherRateDamagedSamplesAndSamplesAfterTheEnd) {
  AudioBuffer buffer(16000);
  buffer.push(ramp(0, 10), 16000);
  EXPECT_THROW(buffer.push(ramp(0, 10), 44100), Error);
  EXPECT_THROW(buffer.push(std::vector<float>{1.0f / 0.0f}, 16000), Error);
  EXPECT_EQ(buffer.end(), 10);
  buffer.finish();
  EXPECT_THROW(buffer.push(ramp(0, 10), 16000), Error);
}

}  // namespace
}  // namespace anyon
