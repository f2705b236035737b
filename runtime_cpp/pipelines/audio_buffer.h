// The part of a recording that is still needed, at the model's sample rate.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "frontends/resample.h"

namespace anyon {

// Positions are samples of the recording at `sample_rate`, counted from its start.
class AudioBuffer {
 public:
  explicit AudioBuffer(int sample_rate, Isa isa = selected_isa()) : sample_rate_(sample_rate), isa_(isa) {}

  // Appends mono samples at `rate` Hz, the same in every call. Throws Error kBadAudio for samples that are not finite,
  // kInvalidArgument for another rate than before, or after finish(); then nothing has changed.
  void push(std::span<const float> mono, int rate);
  void finish();
  bool finished() const { return finished_; }

  int64_t begin() const { return first_; }  // the first position that is kept
  int64_t end() const { return first_ + static_cast<int64_t>(samples_.size() - offset_); }

  // Samples in [from, to) that are kept.
  std::span<const float> range(int64_t from, int64_t to) const;

  // Forgets what lies before `position`.
  void discard_before(int64_t position);

 private:
  int sample_rate_;
  Isa isa_;
  int input_rate_ = 0;
  bool finished_ = false;
  std::optional<Resampler> resampler_;
  std::vector<float> samples_;
  size_t offset_ = 0;  // samples_[offset_] is at first_; what lies before is forgotten and will be removed
  int64_t first_ = 0;
  int64_t pushed_ = 0;  // input samples
  int64_t skip_ = 0;    // samples still to come that lie before first_
};

}  // namespace anyon
