// From token times to words: grouping, punctuation, and the corrections openai-whisper applies to long words.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/bpe_tokenizer.h"
#include "loops/alignment.h"
#include "pipelines/transcript.h"

namespace anyon {

struct AlignedWord {
  std::string text;  // empty once merged into a neighbour
  size_t n_tokens = 0;
  double start = 0.0;  // seconds from the start of the window
  double end = 0.0;
  double probability = 0.0;  // mean over its tokens
};

// `alignment` belongs to `text` (text tokens of one window); `eot` ends it for the splitter.
std::vector<AlignedWord> group_words(const BpeTokenizer& tokenizer, std::string_view language,
                                     std::span<const int32_t> text, int32_t eot, const TokenAlignment& alignment,
                                     double seconds_per_frame);

// Joins words that are only punctuation: those of `prepended`, when a space stands before them, with the next word,
// those of `appended` with the one before.
void merge_punctuations(std::vector<AlignedWord>& words, std::string_view prepended, std::string_view appended);

// Typical word length of a window: cross-attention leaves a pause with the word beside it, so longer ones are cut.
struct WordLengths {
  double median = 0.0;  // of words that have a length, at most 0.7 s
  double longest() const { return 2.0 * median; }
};
WordLengths measure_words(std::span<const AlignedWord> words);

// Cuts words longer than lengths.longest() at the ends of sentences; before punctuation is merged.
void shorten_at_sentence_ends(std::vector<AlignedWord>& words, const WordLengths& lengths);

// Hands the words of a window to its segments (text token counts in `n_text_tokens`), shortens those at a segment's
// ends, and moves the segments' times to their words. `offset` is the window's start, `last_speech` the end of the last
// word before it (seconds on the clock of the recording). Returns the new end of the last word.
double assign_words(std::span<const AlignedWord> words, std::span<const size_t> n_text_tokens,
                    const WordLengths& lengths, double offset, double last_speech, std::span<Segment> segments);

}  // namespace anyon
