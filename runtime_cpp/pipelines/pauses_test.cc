// Cuts fall into pauses: the late and long ones first, and never at the ends.
#include "pipelines/pauses.h"

#include <gtest/gtest.h>

#include <vector>

namespace anyon {
namespace {

// Speech at -10 dB that wavers, with pauses at -60 dB.
class Loudness {
 public:
  explicit Loudness(int64_t frames) : values_(static_cast<size_t>(frames)) {
    for (int64_t t = 0; t < frames; ++t) values_[t] = -10.0f - static_cast<float>(t % 7);
  }
  Loudness& pause(int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) values_[t] = -60.0f;
    return *this;
  }
  int64_t cut() const { return find_cut(values_); }

 private:
  std::vector<float> values_;
};

TEST(Pauses, TheCutIsTheMiddleOfTheLatestOfEqualPauses) {
  EXPECT_EQ(Loudness(3000).pause(500, 600).pause(2000, 2100).pause(2600, 2700).cut(), 2650);
}

TEST(Pauses, ALongPauseIsWorthSomeSecondsOfWindow) {
  // 0.8 s against 0.2 s: worth 12 s of window.
  EXPECT_EQ(Loudness(3000).pause(1600, 1680).pause(2700, 2720).cut(), 1640);
  EXPECT_EQ(Loudness(3000).pause(1400, 1480).pause(2700, 2720).cut(), 2710);
}

TEST(Pauses, AnEarlyPauseIsBetterThanTheInsideOfAWord) {
  EXPECT_EQ(Loudness(3000).pause(210, 240).cut(), 225);
}

TEST(Pauses, TheSilenceBeforeAPlosiveIsNoPause) {
  EXPECT_EQ(Loudness(3000).pause(1000, 1030).pause(2900, 2915).cut(), 1015);
}

TEST(Pauses, WithoutAPauseTheQuietestPlaceOfTheLastThirdIsTaken) {
  const int64_t cut = Loudness(3000).pause(1000, 1014).pause(2500, 2512).cut();
  EXPECT_GE(cut, 2490);
  EXPECT_LE(cut, 2520);
}

TEST(Pauses, SilenceAtTheEndIsCutInside) {
  EXPECT_EQ(Loudness(3000).pause(2500, 3000).cut(), 2750);
}

TEST(Pauses, UniformSoundIsCutSomewhereInside) {
  for (const int64_t frames : {2, 3, 10, 3000}) {
    const std::vector<float> flat(static_cast<size_t>(frames), -90.0f);
    EXPECT_GT(find_cut(flat), 0) << frames;
    EXPECT_LT(find_cut(flat), frames) << frames;
  }
}

}  // namespace
}  // namespace anyon
