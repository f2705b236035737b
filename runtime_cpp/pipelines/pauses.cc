// Where a stretch of speech can be cut.
#include "pipelines/pauses.h"

#include <algorithm>
#include <vector>

namespace anyon {

namespace {

// Silence before a plosive lasts up to 0.15 s inside a word; a pause is longer.
constexpr int64_t kShortestPause = 20;
// A pause as long as this is the end of a sentence or a turn; longer ones are no better.
constexpr int64_t kLongPause = 80;
// Seconds of window that a cut gives up for a second of pause: lost window is paid for by more windows, a cut inside a
// sentence by errors. Eight recordings of 30 files each, tiny.en in 8 bits and in f32, words wrong of 4,270: 587 and
// 604 with 8, 491 and 475 with 20, 552 and 538 with 30 (one window after the other: 533 and 519).
constexpr int64_t kWorth = 20;
// Pauses are quieter than this part of the way from the quietest to the loud parts, or this much quieter than those
// (dB), where something quieter than the room, such as digital silence, stands beside them.
constexpr float kQuiet = 0.3f;
constexpr float kRoom = 35.0f;
constexpr double kQuietest = 0.01;  // as little as a pause of 0.3 s
constexpr double kLoud = 0.8;
constexpr int64_t kNarrow = 15;  // frames: without a pause, the quietest stretch of this length

float quantile(std::vector<float> values, double part) {
  const auto at = values.begin() + static_cast<int64_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

int64_t quietest(std::span<const float> loudness) {
  const int64_t n = static_cast<int64_t>(loudness.size());
  const int64_t width = std::min(kNarrow, n);
  double sum = 0.0;
  double least = 0.0;
  int64_t best = -1;
  for (int64_t i = 0; i < n; ++i) {
    sum += loudness[i];
    if (i >= width) sum -= loudness[i - width];
    const int64_t begin = i - width + 1;
    if (begin < n * 2 / 3 && begin < n - width) continue;
    if (best < 0 || sum < least) {
      least = sum;
      best = begin + width / 2;
    }
  }
  return best;
}

}  // namespace

int64_t find_cut(std::span<const float> loudness) {
  const int64_t n = static_cast<int64_t>(loudness.size());
  const std::vector<float> values(loudness.begin(), loudness.end());
  const float floor = quantile(values, kQuietest);
  const float loud = quantile(values, kLoud);
  const float limit = std::max(floor + kQuiet * (loud - floor), loud - kRoom);
  int64_t best = -1;
  int64_t best_score = 0;
  for (int64_t begin = 0; begin < n; ++begin) {
    if (loudness[begin] > limit) continue;
    int64_t end = begin;
    while (end < n && loudness[end] <= limit) ++end;
    const int64_t length = end - begin;
    const int64_t middle = (begin + end) / 2;
    const int64_t score = middle + kWorth * std::min(length, kLongPause);
    if (length >= kShortestPause && middle > 0 && score > best_score) {
      best = middle;
      best_score = score;
    }
    begin = end;
  }
  return std::clamp<int64_t>(best < 0 ? quietest(loudness) : best, 1, n - 1);
}

}  // namespace anyon
