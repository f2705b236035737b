// Cuts the tokens of a window into segments by their timestamps and says where the next window begins.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace anyon {

// Timestamps count from the start of the window, in timestamp tokens (0.02 s for Whisper).
struct TokenSegment {
  std::span<const int32_t> tokens;
  int64_t start = 0;
  int64_t end = 0;
};

struct Segmentation {
  std::vector<TokenSegment> segments;
  // The last segment ended with one timestamp: nothing is said in the rest of the window.
  bool ends_with_single_timestamp = false;
  // Where the next window begins; equal to `window` when all of it was heard.
  int64_t advance = 0;
};

// `window` is the length of the window in timestamp tokens. Two timestamps next to each other end a segment and begin
// the next; what follows the last such pair is unfinished and is heard again by the next window. Without a pair,
// everything is one segment up to the last timestamp, or to the end of the window.
Segmentation split_by_timestamps(std::span<const int32_t> tokens, int32_t timestamp_begin, int64_t window);

}  // namespace anyon
