// The segments that are given out: numbered, inside the recording, and never going back in time.
#pragma once

#include <cstdint>
#include <vector>

#include "pipelines/transcript.h"

namespace anyon {

class FinalSegments {
 public:
  // Whether the segment says anything; others are left out.
  static bool says_something(const Segment& segment);

  // Settles the times of a segment that says something and appends it. `limit`: seconds of the recording so far.
  void add(Segment segment, double limit);

  // Those added since clear().
  const std::vector<Segment>& segments() const { return segments_; }
  void clear() { segments_.clear(); }

 private:
  std::vector<Segment> segments_;
  double last_word_end_ = 0.0;
  int64_t next_id_ = 0;
};

}  // namespace anyon
