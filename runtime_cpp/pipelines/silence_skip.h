// hallucination_silence_threshold: text that looks made up and stands beside a long silence is not believed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "pipelines/transcript.h"

namespace anyon {

// Where a window lies and what surrounds it; seconds on the clock of the recording.
struct WindowTimes {
  double start = 0.0;
  double full_end = 0.0;                // of 30 s, whether the recording goes on or not
  double heard = 0.0;                   // seconds of the window that hold audio
  double last_speech = 0.0;             // end of the last word before
  std::optional<double> recording_end;  // once it is known
};

struct SilenceSkip {
  size_t keep = 0;             // segments that stay
  std::optional<double> seek;  // where to listen next instead of after the window; infinity: the end of the recording
  bool repeat_window = false;  // nothing is kept and `seek` skips the silence before the first segment
};

// A word is odd when it is unlikely, very short or very long; a segment when its words are. `punctuation` does not
// count as words.
bool is_odd_segment(const Segment& segment, std::string_view punctuation);

SilenceSkip skip_silence(std::span<const Segment> segments, const WindowTimes& window, double threshold,
                         std::string_view punctuation);

}  // namespace anyon
