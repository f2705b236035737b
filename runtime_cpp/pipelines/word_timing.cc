// From token times to words: grouping, punctuation, and the corrections openai-whisper applies to long words.
#include "pipelines/word_timing.h"

#include <algorithm>
#include <cmath>

#include "pipelines/text.h"

namespace anyon {

namespace {

constexpr std::string_view kSentenceEnds = ".。!！?？";

// Whether the word is one or several of `marks`, as they stand there.
bool is_mark(std::string_view word, std::string_view marks) {
  return marks.find(word) != std::string_view::npos;
}

double round_to_hundredths(double seconds) {
  return std::round(seconds * 100.0) / 100.0;
}

// The first word after a pause is too long: what it has too much is the pause.
void shorten_after_pause(std::vector<Word>& words, const WordLengths& lengths, double last_speech) {
  Word& first = words.front();
  const double longest = lengths.longest();
  if (first.end - last_speech <= lengths.median * 4.0) return;
  const bool first_long = first.end - first.start > longest;
  const bool pair_long = words.size() > 1 && words[1].end - first.start > longest * 2.0;
  if (!first_long && !pair_long) return;
  if (words.size() > 1 && words[1].end - words[1].start > longest) {
    first.end = words[1].start = std::max(words[1].end / 2.0, words[1].end - longest);
  }
  first.start = std::max(0.0, first.end - longest);
}

// Where the model's own timestamps and the words differ by more than this, a word was stretched over a pause.
constexpr double kStretched = 0.5;

void settle_segment_times(Segment& segment, const WordLengths& lengths) {
  Word& first = segment.words.front();
  if (segment.start < first.end && segment.start - kStretched > first.start) {
    first.start = std::max(0.0, std::min(first.end - lengths.median, segment.start));
  } else {
    segment.start = first.start;
  }
  Word& last = segment.words.back();
  if (segment.end > last.start && segment.end + kStretched < last.end) {
    last.end = std::max(last.start + lengths.median, segment.end);
  } else {
    segment.end = last.end;
  }
}

}  // namespace

std::vector<AlignedWord> group_words(const BpeTokenizer& tokenizer, std::string_view language,
                                     std::span<const int32_t> text, int32_t eot, const TokenAlignment& alignment,
                                     double seconds_per_frame) {
  std::vector<int32_t> tokens(text.begin(), text.end());
  tokens.push_back(eot);
  const WordSplit split = tokenizer.split_to_word_tokens(tokens, language);
  std::vector<AlignedWord> words;
  size_t position = 0;
  for (size_t i = 0; i < split.words.size() && position < text.size(); ++i) {
    const size_t next = std::min(position + split.tokens[i].size(), text.size());
    double probability = 0.0;
    for (size_t t = position; t < next; ++t) probability += alignment.probabilities[t];
    words.push_back({split.words[i], next - position, alignment.frames[position] * seconds_per_frame,
                     alignment.frames[next] * seconds_per_frame, probability / static_cast<double>(next - position)});
    position = next;
  }
  return words;
}

void merge_punctuations(std::vector<AlignedWord>& words, std::string_view prepended, std::string_view appended) {
  if (words.size() < 2) return;
  size_t following = words.size() - 1;
  for (size_t i = words.size() - 1; i-- > 0;) {
    AlignedWord& previous = words[i];
    if (previous.text.starts_with(' ') && is_mark(trim(previous.text), prepended)) {
      words[following].text = previous.text + words[following].text;
      words[following].n_tokens += previous.n_tokens;
      previous.text.clear();
      previous.n_tokens = 0;
    } else {
      following = i;
    }
  }
  size_t previous = 0;
  for (size_t i = 1; i < words.size(); ++i) {
    if (!words[previous].text.ends_with(' ') && is_mark(words[i].text, appended)) {
      words[previous].text += words[i].text;
      words[previous].n_tokens += words[i].n_tokens;
      words[i].text.clear();
      words[i].n_tokens = 0;
    } else {
      previous = i;
    }
  }
}

WordLengths measure_words(std::span<const AlignedWord> words) {
  std::vector<double> lengths;
  for (const AlignedWord& word : words) {
    if (word.end != word.start) lengths.push_back(word.end - word.start);
  }
  if (lengths.empty()) return {};
  std::sort(lengths.begin(), lengths.end());
  const size_t half = lengths.size() / 2;
  const double median = lengths.size() % 2 == 1 ? lengths[half] : 0.5 * (lengths[half - 1] + lengths[half]);
  return {std::min(0.7, median)};
}

void shorten_at_sentence_ends(std::vector<AlignedWord>& words, const WordLengths& lengths) {
  const double longest = lengths.longest();
  if (longest <= 0.0) return;
  for (size_t i = 1; i < words.size(); ++i) {
    AlignedWord& word = words[i];
    if (word.end - word.start <= longest) continue;
    if (is_mark(word.text, kSentenceEnds)) {
      word.end = word.start + longest;
    } else if (is_mark(words[i - 1].text, kSentenceEnds)) {
      word.start = word.end - longest;
    }
  }
}

double assign_words(std::span<const AlignedWord> words, std::span<const size_t> n_text_tokens,
                    const WordLengths& lengths, double offset, double last_speech, std::span<Segment> segments) {
  size_t next = 0;
  for (size_t s = 0; s < segments.size(); ++s) {
    Segment& segment = segments[s];
    segment.words.clear();
    for (size_t taken = 0; next < words.size() && taken < n_text_tokens[s]; ++next) {
      const AlignedWord& word = words[next];
      taken += word.n_tokens;
      if (word.text.empty()) continue;
      segment.words.push_back({round_to_hundredths(offset + word.start), round_to_hundredths(offset + word.end),
                               word.text, word.probability});
    }
    if (segment.words.empty()) continue;
    shorten_after_pause(segment.words, lengths, last_speech);
    settle_segment_times(segment, lengths);
    last_speech = segment.end;
  }
  return last_speech;
}

}  // namespace anyon
