// Whisper's log-mel spectrogram (Radford et al. 2022, section 2.2): 16 kHz, 25 ms Hann windows every 10 ms.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "core/isa.h"

namespace anyon {

namespace log_mel {
struct Tables;
using Compute = void (*)(const Tables&, const float*, int64_t, float*, int64_t, float*);
}  // namespace log_mel

class ThreadPool;

// What a frame sees where no samples are known.
enum class LogMelEdge { kReflect, kZero };

// The defaults give what openai-whisper and transformers' WhisperFeatureExtractor compute for one 30 s window.
struct LogMelOptions {
  // The audio (never the features) is padded with zeros to this many samples. Any length >= samples.size() is allowed.
  int64_t window_samples = 480000;
  // Real samples just before samples[0] (the last 200 are used), and just after the window's last sample (the first 200
  // are used; allowed only when samples.size() == window_samples). A window inside a recording should pass both.
  std::span<const float> left;
  std::span<const float> right;
  // What lies beyond `left` (the start of the recording) and beyond `right` (its end).
  LogMelEdge left_edge = LogMelEdge::kReflect;
  LogMelEdge right_edge = LogMelEdge::kReflect;
  // Values are floored at (max - 8) where max is the larger of this and the window's own maximum, in log10 of power.
  // Pass the maximum over a whole recording to normalise its windows alike.
  float reference_max = -std::numeric_limits<float>::infinity();
};

// Immutable after construction; any number of threads may call compute at once.
class LogMel {
 public:
  static constexpr int kSampleRate = 16000;
  static constexpr int kFftSize = 400;
  static constexpr int kHop = 160;
  static constexpr int kBins = kFftSize / 2 + 1;

  // n_mels is 80 or 128; anything else throws Error kInvalidArgument.
  explicit LogMel(int n_mels, Isa isa = selected_isa());
  ~LogMel();
  LogMel(LogMel&&) noexcept;
  LogMel& operator=(LogMel&&) noexcept;

  int n_mels() const { return n_mels_; }

  // Writes `frames` frames (at most window_samples / kHop) to out, float32 of shape (n_mels, frames), and returns the
  // largest log10 mel power of them, before flooring (-10 for silence). Frame f is centred on sample f * kHop.
  // Empty samples are silence. Results depend neither on the ISA nor on the number of threads. Single precision: values
  // are within 3e-5 of exact ones on speech (those of torch.stft within 5e-5).
  // Throws Error kBadAudio for NaN, infinite or absurd samples (the index counts from samples[0]; negative is `left`),
  // kInvalidArgument for lengths that do not fit together.
  float compute(std::span<const float> samples, int64_t frames, float* out, ThreadPool& pool,
                const LogMelOptions& options = {}) const;

  // The filter bank as librosa.filters.mel(sr=16000, n_fft=400, n_mels=n) gives it: shape (n_mels, kBins).
  std::vector<float> filters() const;

 private:
  // What log10 gives for the least power.
  static constexpr float kSilence = -10.0F;

  int n_mels_;
  log_mel::Compute compute_;
  std::unique_ptr<const log_mel::Tables> tables_;
};

}  // namespace anyon
