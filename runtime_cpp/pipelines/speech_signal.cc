// What the signal itself says for or against speech: how its spectrum moves, measured on the log-mel features.
#include "pipelines/speech_signal.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace anyon {

namespace {

// Mel channels of an 80-channel bank that the bands cover; other banks in proportion.
constexpr double kFirstChannel = 3.0 / 80.0;
constexpr double kLastChannel = 73.0 / 80.0;
constexpr float kLeastLevel = 90.0f;  // dB below the loudest, where levels end
constexpr int64_t kSmooth = 5;        // frames: what the change of single frames jitters in noise is averaged away
constexpr int64_t kStep = 10;         // frames between the spectra compared
constexpr int64_t kSlow = 51;         // frames: slower changes of level are not syllables

// y[i] = mean of the `width` values around x[i]; beyond the ends the nearest value counts.
void moving_mean(const float* x, int64_t n, int64_t width, float* y) {
  const int64_t half = width / 2;
  double sum = 0.0;
  const auto at = [&](int64_t i) { return static_cast<double>(x[std::clamp<int64_t>(i, 0, n - 1)]); };
  for (int64_t i = -half; i < width - half; ++i) sum += at(i);
  for (int64_t i = 0; i < n; ++i) {
    y[i] = static_cast<float>(sum / static_cast<double>(width));
    sum += at(i + width - half) - at(i - half);
  }
}

// Mean over the context around each frame, or over everything heard where that is shorter.
void average_over_context(std::vector<float>& track, std::vector<float>& scratch) {
  const int64_t n = static_cast<int64_t>(track.size());
  const int64_t width = std::min<int64_t>(n, SpeechSignal::kContext);
  scratch.assign(track.size(), 0.0f);
  double sum = 0.0;
  const int64_t half = width / 2;
  for (int64_t i = -half; i < n; ++i) {
    if (i + width - half - 1 < n && i + width - half - 1 >= 0) sum += track[i + width - half - 1];
    if (i - half - 1 >= 0) sum -= track[i - half - 1];
    if (i >= 0) scratch[i] = static_cast<float>(sum / static_cast<double>(width));
  }
  track.swap(scratch);
}

}  // namespace

SpeechSignal::SpeechSignal(int n_mels, const RowMath& math) : n_mels_(n_mels), math_(math) {}

void SpeechSignal::hear(const float* mel, int64_t frames, int64_t heard) {
  heard_ = std::clamp<int64_t>(heard, 0, frames);
  change_.assign(heard_, 0.0f);
  modulation_.assign(heard_, 0.0f);
  if (heard_ <= kStep) return;
  measure_levels(mel, frames);
  measure_change();
  measure_modulation();
}

void SpeechSignal::measure_levels(const float* mel, int64_t frames) {
  constexpr float kToNaturalLog = 4.0f * 2.302585093f;
  level_.resize(kBands * heard_);
  squares_.resize(kBands * heard_);
  scratch_.resize(heard_);
  float loudest = kNegativeInfinity;
  for (int64_t c = 0; c < n_mels_; ++c) loudest = std::max(loudest, math_.peak(mel + c * frames, heard_).value);
  const double first = kFirstChannel * n_mels_;
  const double per_band = (kLastChannel * n_mels_ - first) / kBands;
  for (int band = 0; band < kBands; ++band) {
    float* power = squares_.data() + band * heard_;
    std::fill_n(power, heard_, 0.0f);
    const int64_t begin = std::llround(first + band * per_band);
    const int64_t end = std::llround(first + (band + 1) * per_band);
    for (int64_t c = begin; c < end; ++c) {
      math_.exp_row(mel + c * frames, heard_, loudest, kToNaturalLog, scratch_.data());
      for (int64_t t = 0; t < heard_; ++t) power[t] += scratch_[t];
    }
    float* level = level_.data() + band * heard_;
    moving_mean(power, heard_, kSmooth, level);
    // The features themselves end 80 dB below the loudest.
    for (int64_t t = 0; t < heard_; ++t) level[t] = 10.0f * std::log10(std::max(level[t], 1e-9f));
  }
}

void SpeechSignal::measure_change() {
  std::vector<float>& mean = scratch_;
  mean.assign(heard_, 0.0f);
  for (int band = 0; band < kBands; ++band) {
    const float* level = level_.data() + band * heard_;
    for (int64_t t = 0; t < heard_; ++t) mean[t] += level[t] / kBands;
  }
  for (int band = 0; band < kBands; ++band) {
    const float* level = level_.data() + band * heard_;
    for (int64_t t = kStep / 2; t + kStep / 2 < heard_; ++t) {
      const int64_t a = t - kStep / 2;
      const int64_t b = t + kStep / 2;
      change_[t] += std::abs((level[b] - mean[b]) - (level[a] - mean[a])) / kBands;
    }
  }
  average_over_context(change_, scratch_);
}

void SpeechSignal::measure_modulation() {
  std::vector<float> smooth(heard_);
  std::vector<float> square(heard_);
  for (int band = 0; band < kBands; ++band) {
    const float* level = level_.data() + band * heard_;
    moving_mean(level, heard_, kSmooth, smooth.data());
    moving_mean(level, heard_, kSlow, square.data());
    for (int64_t t = 0; t < heard_; ++t) {
      const float d = smooth[t] - square[t];
      square[t] = d * d;
    }
    average_over_context(square, scratch_);
    std::copy(square.begin(), square.end(), squares_.begin() + band * heard_);
  }
  for (int64_t t = 0; t < heard_; ++t) {
    std::array<float, kBands> values;
    for (int band = 0; band < kBands; ++band) values[band] = squares_[band * heard_ + t];
    std::nth_element(values.begin(), values.begin() + kBands / 2, values.end());
    modulation_[t] = std::sqrt(values[kBands / 2]);
  }
}

std::span<const float> SpeechSignal::loudness() {
  loudness_.assign(static_cast<size_t>(heard_), -kLeastLevel);
  if (level_.size() < kBands * loudness_.size()) return loudness_;  // too short to have been measured
  for (int band = 0; band < kBands; ++band) {
    for (int64_t t = 0; t < heard_; ++t) loudness_[t] = std::max(loudness_[t], level_[band * heard_ + t]);
  }
  return loudness_;
}

SignalEvidence SpeechSignal::between(int64_t begin, int64_t end) const {
  begin = std::clamp<int64_t>(begin, 0, heard_);
  end = std::clamp<int64_t>(end, begin, heard_);
  SignalEvidence evidence;
  for (int64_t t = begin; t < end; ++t) {
    evidence.change = std::max<double>(evidence.change, change_[t]);
    evidence.modulation = std::max<double>(evidence.modulation, modulation_[t]);
  }
  return evidence;
}

}  // namespace anyon
