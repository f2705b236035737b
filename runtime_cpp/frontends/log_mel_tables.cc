#include "frontends/log_mel_tables.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace anyon::log_mel {
namespace {

// Slaney's scale: linear to 1 kHz (200 / 3 Hz a mel), then 27 mels for every factor of 6.4.
constexpr double kHzPerMel = 200.0 / 3.0;
constexpr double kKneeHz = 1000.0;
constexpr double kKneeMel = kKneeHz / kHzPerMel;
constexpr double kTopHz = 8000.0;
const double kLogStep = std::log(6.4) / 27.0;

double hz_of(double mel) {
  return mel < kKneeMel ? mel * kHzPerMel : kKneeHz * std::exp((mel - kKneeMel) * kLogStep);
}

}  // namespace

std::vector<double> slaney_filters(int n_mels) {
  const double top_mel = kKneeMel + std::log(kTopHz / kKneeHz) / kLogStep;
  const auto corner = [&](int i) { return hz_of(top_mel * i / (n_mels + 1)); };
  std::vector<double> filters(static_cast<size_t>(n_mels) * kBins);
  for (int m = 0; m < n_mels; ++m) {
    const double low = corner(m), centre = corner(m + 1), high = corner(m + 2);
    for (int k = 0; k < kBins; ++k) {
      const double hz = 16000.0 * k / kFftSize;
      const double weight = std::min((hz - low) / (centre - low), (high - hz) / (high - centre));
      filters[static_cast<size_t>(m) * kBins + k] = std::max(0.0, weight) * 2.0 / (high - low);
    }
  }
  return filters;
}

Tables::Tables(int bands) : n_mels(bands) {
  constexpr double kTurn = 2.0 * std::numbers::pi;
  for (int n = 0; n < kFftSize; ++n) window[n] = static_cast<float>(0.25 * (1.0 - std::cos(kTurn * n / kFftSize)));
  for (int k = 0; k <= kPoints / 2; ++k) {
    post_cos[k] = static_cast<float>(std::cos(kTurn * k / kFftSize));
    post_sin[k] = static_cast<float>(std::sin(kTurn * k / kFftSize));
  }
  for (int b = 0; b < 5; ++b) {
    for (int c = 0; c < 5; ++c) {
      cos25[b][c] = static_cast<float>(std::cos(kTurn * b * c / 25));
      sin25[b][c] = static_cast<float>(std::sin(kTurn * b * c / 25));
    }
  }
  for (int k = 0; k < kPoints; ++k) place[k] = static_cast<uint8_t>((25 * (k % 8) + 8 * (k % 25)) % kPoints);

  int32_t used = 0;
  const std::vector<double> dense = slaney_filters(n_mels);
  for (int m = 0; m < n_mels; ++m) {
    const double* const row = dense.data() + static_cast<size_t>(m) * kBins;
    int first = 0, last = kBins;
    while (first < last && row[first] <= 0.0) ++first;
    while (last > first && row[last - 1] <= 0.0) --last;
    filters[m] = {first, used, last - first};
    for (int k = first; k < last; ++k) weights[used++] = static_cast<float>(row[k]);
  }
}

}  // namespace anyon::log_mel
