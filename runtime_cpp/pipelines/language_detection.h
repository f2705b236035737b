// Which language is spoken: from the logits after the start of transcript, over one or several windows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/whisper_info.h"

namespace anyon {

class LanguageDetector {
 public:
  // Hears up to `max_windows` windows; the first whose likeliest language is more probable than `threshold` decides,
  // else the language that most windows preferred (the first heard of equals).
  LanguageDetector(const WhisperInfo& model, float threshold, int max_windows);

  // Logits (n_vocab of them) after the start of transcript of the next window.
  void hear(std::span<const float> logits);

  int heard() const { return heard_; }
  bool done() const { return decided_ || heard_ >= max_windows_; }

  // Empty before anything was heard.
  const std::string& language() const { return language_; }
  double probability() const { return probability_; }
  // Of the window heard last, most probable first.
  const std::vector<std::pair<std::string, float>>& probabilities() const { return probabilities_; }

 private:
  struct Vote {
    std::string language;
    int windows = 0;
    double probability = 0.0;
  };

  const WhisperInfo& model_;
  float threshold_;
  int max_windows_;
  int heard_ = 0;
  bool decided_ = false;
  std::string language_;
  double probability_ = 0.0;
  std::vector<Vote> votes_;
  std::vector<std::pair<std::string, float>> probabilities_;
};

}  // namespace anyon
