// Keeps the clock going when a model keeps writing tiny segments, or a rule sends a window back.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pipelines/window.h"

namespace anyon {

class SmallAdvances {
 public:
  // Where the next window really begins when the text of this one says `next`; frames.
  int64_t next(const Window& window, int64_t next) {
    count_ = next - window.seek < kSmall ? count_ + 1 : 0;
    const int64_t least = count_ >= kMost ? std::min(kSmall, window.size) : 1;
    return std::max(next, window.seek + least);
  }

 private:
  // Windows that move on by less than this, one after the other, are stuck.
  static constexpr int64_t kSmall = 100;
  static constexpr int kMost = 3;

  int count_ = 0;
};

}  // namespace anyon
