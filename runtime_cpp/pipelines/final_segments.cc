// The segments that are given out: numbered, inside the recording, and never going back in time.
#include "pipelines/final_segments.h"

#include <algorithm>
#include <cmath>

#include "pipelines/text.h"

namespace anyon {

namespace {

double round_to_milliseconds(double seconds) {
  return std::round(seconds * 1000.0) / 1000.0;
}

}  // namespace

bool FinalSegments::says_something(const Segment& segment) {
  return segment.start != segment.end && !trim(segment.text).empty();
}

void FinalSegments::add(Segment segment, double limit) {
  for (Word& word : segment.words) {
    word.start = round_to_milliseconds(std::clamp(word.start, last_word_end_, std::max(last_word_end_, limit)));
    word.end = round_to_milliseconds(std::clamp(word.end, word.start, std::max(word.start, limit)));
    last_word_end_ = word.end;
  }
  if (!segment.words.empty()) {
    segment.start = segment.words.front().start;
    segment.end = segment.words.back().end;
  }
  segment.start = round_to_milliseconds(std::min(segment.start, limit));
  segment.end = round_to_milliseconds(std::clamp(segment.end, segment.start, std::max(segment.start, limit)));
  segment.id = next_id_++;
  segments_.push_back(std::move(segment));
}

}  // namespace anyon
