// Which language is spoken: from the logits after the start of transcript, over one or several windows.
#include "pipelines/language_detection.h"

#include <algorithm>
#include <cmath>

namespace anyon {

LanguageDetector::LanguageDetector(const WhisperInfo& model, float threshold, int max_windows)
    : model_(model), threshold_(threshold), max_windows_(max_windows) {}

void LanguageDetector::hear(std::span<const float> logits) {
  probabilities_.clear();
  float largest = -std::numeric_limits<float>::infinity();
  for (const auto& [code, token] : model_.languages) largest = std::max(largest, logits[token]);
  double sum = 0.0;
  for (const auto& [code, token] : model_.languages) {
    const float weight = std::exp(logits[token] - largest);
    probabilities_.emplace_back(code, weight);
    sum += weight;
  }
  for (auto& [code, probability] : probabilities_) probability = static_cast<float>(probability / sum);
  std::stable_sort(probabilities_.begin(), probabilities_.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  ++heard_;

  const std::string& code = probabilities_.front().first;
  const float probability = probabilities_.front().second;
  if (probability > threshold_) {
    decided_ = true;
    language_ = code;
    probability_ = probability;
    return;
  }
  auto vote = std::find_if(votes_.begin(), votes_.end(), [&](const Vote& v) { return v.language == code; });
  if (vote == votes_.end()) vote = votes_.insert(votes_.end(), Vote{code});
  ++vote->windows;
  vote->probability = std::max<double>(vote->probability, probability);
  const Vote& leader = *std::max_element(votes_.begin(), votes_.end(),
                                         [](const Vote& a, const Vote& b) { return a.windows < b.windows; });
  language_ = leader.language;
  probability_ = leader.probability;
}

}  // namespace anyon
