// The part of a recording that is still needed, at the model's sample rate.
#include "pipelines/audio_buffer.h"

#include <algorithm>
#include <string>

#include "core/status.h"
#include "frontends/audio_check.h"

namespace anyon {

void AudioBuffer::push(std::span<const float> mono, int rate) {
  if (finished_) throw_error(Status::kInvalidArgument, {"push: the recording was finished; start a new transcription"});
  require_sample_rate(rate);
  if (input_rate_ != 0 && rate != input_rate_) {
    throw_error(Status::kInvalidArgument,
                {"push: sample_rate changed from ", input_rate_, " to ", rate, ": resample to one rate first"});
  }
  if (rate == sample_rate_) {
    require_audio(mono, pushed_);
    samples_.insert(samples_.end(), mono.begin(), mono.end());
  } else {
    if (!resampler_) resampler_.emplace(rate, sample_rate_, isa_);
    resampler_->push(mono, samples_);
  }
  input_rate_ = rate;
  pushed_ += static_cast<int64_t>(mono.size());
  discard_before(first_ + skip_);
}

void AudioBuffer::finish() {
  if (finished_) return;
  if (resampler_) resampler_->finish(samples_);
  resampler_.reset();
  finished_ = true;
  discard_before(first_ + skip_);
}

std::span<const float> AudioBuffer::range(int64_t from, int64_t to) const {
  from = std::clamp(from, begin(), end());
  to = std::clamp(to, from, end());
  return {samples_.data() + offset_ + (from - first_), static_cast<size_t>(to - from)};
}

void AudioBuffer::discard_before(int64_t position) {
  const int64_t known = std::clamp(position, first_, end());
  skip_ = std::max<int64_t>(0, position - known);
  offset_ += static_cast<size_t>(known - first_);
  first_ = known;
  // Moving the rest only when as much is forgotten keeps the work per sample constant.
  if (offset_ < samples_.size() - offset_) return;
  samples_.erase(samples_.begin(), samples_.begin() + static_cast<int64_t>(offset_));
  offset_ = 0;
  if (samples_.capacity() > 4 * (samples_.size() + (size_t{1} << 20))) samples_.shrink_to_fit();
}

}  // namespace anyon
