// Where the next window lies: the clips asked for, what was heard of them, and what of the recording is here.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "pipelines/audio_buffer.h"
#include "pipelines/whisper_info.h"
#include "pipelines/window.h"

namespace anyon {

class WindowFinder {
 public:
  enum class Found { kWindow, kNeedAudio, kDone };

  // Later than any recording ends; frames.
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max() / 4;
  // Samples beyond a window that its first and last mel frames see.
  static constexpr int64_t kMelContext = 200;

  // `clip_times`: start, end, start, end, ... in seconds; none: the whole recording. All must outlive the finder.
  WindowFinder(const WhisperInfo& model, const AudioBuffer& audio, const std::vector<double>& clip_times);

  // Looks for a window at seek(), or at the beginning of the next clip.
  Found find();
  // What find() found: as long as the clip, the recording and the model allow.
  const Window& window() const { return window_; }
  int64_t clip_end() const { return clips_[clip_].end; }

  int64_t seek() const { return window_.seek; }
  // The next window begins here, which is not before the present one.
  void move_to(int64_t seek) { window_.seek = seek; }

  // Frames of the recording; a last frame may be partly filled. Unknown (kForever) before it is finished.
  int64_t content_frames() const;
  // Whether the samples of the window, with the context that mel frames need, are here.
  bool is_heard(const Window& window) const;

 private:
  struct Clip {
    int64_t begin = 0;  // frames
    int64_t end = kForever;
  };

  const WhisperInfo& model_;
  const AudioBuffer& audio_;
  std::vector<Clip> clips_;
  size_t clip_ = 0;
  Window window_;
};

}  // namespace anyon
