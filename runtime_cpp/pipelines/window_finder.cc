// Where the next window lies.
#include "pipelines/window_finder.h"

#include <algorithm>
#include <cmath>

#include "frontends/log_mel.h"

namespace anyon {

static_assert(WindowFinder::kMelContext == LogMel::kFftSize / 2);

WindowFinder::WindowFinder(const WhisperInfo& model, const AudioBuffer& audio, const std::vector<double>& clip_times)
    : model_(model), audio_(audio) {
  for (size_t i = 0; i < clip_times.size(); i += 2) {
    Clip clip;
    clip.begin = std::llround(clip_times[i] * model.frames_per_second());
    if (i + 1 < clip_times.size()) clip.end = std::llround(clip_times[i + 1] * model.frames_per_second());
    clips_.push_back(clip);
  }
  if (clips_.empty()) clips_.emplace_back();
}

int64_t WindowFinder::content_frames() const {
  if (!audio_.finished()) return kForever;
  return (audio_.end() + model_.hop_length - 1) / model_.hop_length;
}

bool WindowFinder::is_heard(const Window& window) const {
  return audio_.finished() || audio_.end() >= window.end() * model_.hop_length + kMelContext;
}

WindowFinder::Found WindowFinder::find() {
  while (clip_ < clips_.size()) {
    const Clip& clip = clips_[clip_];
    window_.seek = std::max(window_.seek, clip.begin);
    const int64_t end = std::min(clip.end, content_frames());
    if (window_.seek >= end) {
      if (window_.seek < clip.end && !audio_.finished()) return Found::kNeedAudio;
      ++clip_;
      continue;
    }
    window_.size = std::min<int64_t>(model_.chunk_frames(), end - window_.seek);
    return is_heard(window_) ? Found::kWindow : Found::kNeedAudio;
  }
  return Found::kDone;
}

}  // namespace anyon
