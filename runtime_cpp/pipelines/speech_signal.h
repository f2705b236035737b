// What the signal itself says for or against speech: how its spectrum moves, measured on the log-mel features.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loops/row_math.h"

namespace anyon {

// Largest values within a stretch of time, each averaged over kContext frames around; 0 for silence.
struct SignalEvidence {
  // How much the shape of the spectrum (its level taken out) changes within 0.1 s, in dB, mean over the bands. Speech
  // moves between sounds several times a second; noise, hum and tones only jitter, whatever their loudness.
  double change = 0.0;
  // Root mean square of the level's changes at 1 to 10 Hz, in dB, median over the bands: syllables, but also music.
  double modulation = 0.0;
};

// One window at a time; not thread-safe. Memory is allocated for the first window only.
class SpeechSignal {
 public:
  static constexpr int kBands = 10;    // groups of mel channels, about 100 to 7000 Hz
  static constexpr int kContext = 61;  // frames of 10 ms

  SpeechSignal(int n_mels, const RowMath& math);

  // mel: (n_mels, frames) as Whisper normalises it, (log10(power) + 4) / 4; the first `heard` frames hold audio.
  void hear(const float* mel, int64_t frames, int64_t heard);

  // The loudest band of each frame heard, in dB below the loudest.
  std::span<const float> loudness();

  // Evidence in the frames [begin, end), clamped to those heard.
  SignalEvidence between(int64_t begin, int64_t end) const;

 private:
  void measure_levels(const float* mel, int64_t frames);
  void measure_change();
  void measure_modulation();

  int n_mels_;
  const RowMath& math_;
  int64_t heard_ = 0;
  std::vector<float> level_;       // (kBands, heard) dB, smoothed
  std::vector<float> change_;      // (heard)
  std::vector<float> modulation_;  // (heard)
  std::vector<float> scratch_;
  std::vector<float> squares_;   // (kBands, heard)
  std::vector<float> loudness_;  // (heard)
};

}  // namespace anyon
