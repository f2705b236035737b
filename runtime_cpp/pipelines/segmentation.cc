// Cuts the tokens of a window into segments by their timestamps and says where the next window begins.
#include "pipelines/segmentation.h"

#include <algorithm>

namespace anyon {

Segmentation split_by_timestamps(std::span<const int32_t> tokens, int32_t timestamp_begin, int64_t window) {
  const auto is_timestamp = [&](size_t i) { return tokens[i] >= timestamp_begin; };
  const auto time_at = [&](size_t i, int64_t otherwise) {
    return is_timestamp(i) ? std::min<int64_t>(tokens[i] - timestamp_begin, window) : otherwise;
  };
  Segmentation result;
  result.advance = window;
  const size_t n = tokens.size();
  if (n == 0) return result;
  result.ends_with_single_timestamp = n >= 2 && !is_timestamp(n - 2) && is_timestamp(n - 1);

  size_t begin = 0;
  for (size_t i = 1; i < n; ++i) {
    if (!is_timestamp(i) || !is_timestamp(i - 1)) continue;
    result.segments.push_back({tokens.subspan(begin, i - begin), time_at(begin, 0), time_at(i - 1, 0)});
    begin = i;
  }
  if (result.segments.empty()) {
    int64_t end = window;
    for (size_t i = n; i-- > 0;) {
      if (!is_timestamp(i)) continue;
      if (tokens[i] != timestamp_begin) end = time_at(i, window);
      break;
    }
    result.segments.push_back({tokens, std::min(time_at(0, 0), end), end});
  } else if (result.ends_with_single_timestamp) {
    result.segments.push_back({tokens.subspan(begin), time_at(begin, 0), time_at(n - 1, window)});
  } else {
    result.advance = time_at(begin - 1, window);
  }
  return result;
}

}  // namespace anyon
