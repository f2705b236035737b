// A stretch of the recording that the model hears at once.
#pragma once

#include <cstdint>

namespace anyon {

// Frames of 10 ms, counted from the start of the recording; at most WhisperInfo::chunk_frames() of them.
struct Window {
  int64_t seek = 0;
  int64_t size = 0;

  int64_t end() const { return seek + size; }
};

}  // namespace anyon
