// hallucination_silence_threshold: text that looks made up and stands beside a long silence is not believed.
#include "pipelines/silence_skip.h"

#include <algorithm>
#include <limits>

namespace anyon {

namespace {

// Bounds of a usual word, and how many words of a segment are judged (openai-whisper's).
constexpr double kUnlikely = 0.15;
constexpr double kShort = 0.133;
constexpr double kShortWeight = 15.0;
constexpr double kLong = 2.0;
constexpr int kJudgedWords = 8;
constexpr double kOddScore = 3.0;
constexpr double kWindowEdge = 2.0;  // seconds from the window's ends where silence is assumed beyond

double oddness(const Word& word) {
  const double length = word.end - word.start;
  double score = word.probability < kUnlikely ? 1.0 : 0.0;
  if (length < kShort) score += (kShort - length) * kShortWeight;
  if (length > kLong) score += length - kLong;
  return score;
}

const Segment* next_with_words(std::span<const Segment> segments) {
  for (const Segment& segment : segments) {
    if (!segment.words.empty()) return &segment;
  }
  return nullptr;
}

}  // namespace

bool is_odd_segment(const Segment& segment, std::string_view punctuation) {
  double score = 0.0;
  int judged = 0;
  for (const Word& word : segment.words) {
    if (judged == kJudgedWords) break;
    if (punctuation.find(word.word) != std::string_view::npos) continue;
    score += oddness(word);
    ++judged;
  }
  return !segment.words.empty() && (score >= kOddScore || score + 0.01 >= judged);
}

SilenceSkip skip_silence(std::span<const Segment> segments, const WindowTimes& window, double threshold,
                         std::string_view punctuation) {
  SilenceSkip result;
  result.keep = segments.size();
  const Segment* first = next_with_words(segments);
  if (first != nullptr && is_odd_segment(*first, punctuation)) {
    const double gap = first->start - window.start;
    if (gap > threshold) return {0, window.start + gap, true};
  }

  double last_end = window.last_speech;
  for (size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    if (segment.words.empty()) continue;
    if (is_odd_segment(segment, punctuation)) {
      const Segment* next = next_with_words(segments.subspan(i + 1));
      const double next_start = next != nullptr ? next->words.front().start : window.start + window.heard;
      const bool silence_before = segment.start - last_end > threshold || segment.start < threshold ||
                                  segment.start - window.start < kWindowEdge;
      const bool silence_after = next_start - segment.end > threshold ||
                                 (next != nullptr && is_odd_segment(*next, punctuation)) ||
                                 window.full_end - segment.end < kWindowEdge;
      if (silence_before && silence_after) {
        result.keep = i;
        result.seek = std::max(window.start + 1.0, segment.start);
        if (window.recording_end && *window.recording_end - segment.end < threshold) {
          result.seek = std::numeric_limits<double>::infinity();
        }
        return result;
      }
    }
    last_end = segment.end;
  }
  return result;
}

}  // namespace anyon
