// Words from token times: grouping, punctuation, and the corrections for words that a pause made long.
#include "pipelines/word_timing.h"

#include <gtest/gtest.h>

#include "scripted_sessions.h"

namespace anyon {
namespace {

AlignedWord word(const std::string& text, double start, double end, size_t tokens = 1) {
  return {text, tokens, start, end, 0.5};
}

std::vector<std::string> texts(const std::vector<AlignedWord>& words) {
  std::vector<std::string> result;
  for (const AlignedWord& w : words) result.push_back(w.text);
  return result;
}

TEST(GroupWords, TakesTimesAtTheWordsTokensAndTheMeanProbability) {
  const BpeTokenizer tokenizer = testing::letter_tokenizer();
  const std::vector<int32_t> text = testing::letters(" ab c.");
  TokenAlignment alignment;
  alignment.frames = {10, 12, 14, 20, 25, 30, 31};
  alignment.probabilities = {1.0f, 0.5f, 0.0f, 1.0f, 0.8f, 0.4f};
  const std::vector<AlignedWord> words = group_words(tokenizer, "en", text, testing::kEot, alignment, 0.02);
  ASSERT_EQ(texts(words), (std::vector<std::string>{" ab", " c", "."}));
  EXPECT_DOUBLE_EQ(words[0].start, 0.20);
  EXPECT_DOUBLE_EQ(words[0].end, 0.40);
  EXPECT_DOUBLE_EQ(words[0].probability, 0.5);
  EXPECT_DOUBLE_EQ(words[1].end, 0.60);
  EXPECT_EQ(words[1].n_tokens, 2u);
  EXPECT_DOUBLE_EQ(words[2].end, 0.62);
}

TEST(MergePunctuations, JoinsMarksWithTheWordTheyBelongTo) {
  std::vector<AlignedWord> words = {word(" \"", 0, 1), word("yes", 1, 2), word(",", 2, 3), word("\"", 3, 4),
                                    word(" he", 4, 5), word(" -", 5, 6),  word("no", 6, 7)};
  merge_punctuations(words, "\"-", "\",.");
  EXPECT_EQ(texts(words), (std::vector<std::string>{"", " \"yes,\"", "", "", " he", "", " -no"}));
  EXPECT_EQ(words[1].n_tokens, 4u);
  EXPECT_EQ(words[1].start, 1.0);  // times stay those of the word itself
  EXPECT_EQ(words[1].end, 2.0);
}

TEST(MergePunctuations, LeavesOtherMarksAlone) {
  std::vector<AlignedWord> words = {word(" a", 0, 1), word("%", 1, 2)};
  merge_punctuations(words, "(", ",.");
  EXPECT_EQ(texts(words), (std::vector<std::string>{" a", "%"}));
}

TEST(MeasureWords, IsTheMedianOfWordsThatHaveALengthUpToALimit) {
  EXPECT_DOUBLE_EQ(measure_words(std::vector{word("a", 0, 0.2), word("b", 1, 1), word("c", 1, 1.4)}).median, 0.3);
  EXPECT_DOUBLE_EQ(measure_words(std::vector{word("a", 0, 5.0)}).median, 0.7);
  EXPECT_DOUBLE_EQ(measure_words({}).median, 0.0);
}

TEST(ShortenAtSentenceEnds, CutsAMarkThatCoversAPauseAndTheWordAfterIt) {
  std::vector<AlignedWord> words = {word(" a", 0, 0.3), word(".", 0.3, 2.3), word(" b", 2.3, 2.6)};
  shorten_at_sentence_ends(words, {0.3});
  EXPECT_DOUBLE_EQ(words[1].end, 0.9);
  words = {word(" a", 0, 0.3), word(".", 0.3, 0.4), word(" b", 0.4, 2.4)};
  shorten_at_sentence_ends(words, {0.3});
  EXPECT_DOUBLE_EQ(words[2].start, 1.8);
}

Segment segment(double start, double end) {
  Segment s;
  s.start = start;
  s.end = end;
  return s;
}

TEST(AssignWords, GivesEachSegmentItsWordsOnTheClockOfTheRecording) {
  std::vector<Segment> segments = {segment(10.0, 11.0), segment(11.0, 12.0)};
  const std::vector<AlignedWord> words = {word(" a", 0.1, 0.4, 2), word("", 0.4, 0.4, 0), word(" b", 0.4, 0.9),
                                          word(" c", 1.1, 1.9)};
  const std::vector<size_t> tokens = {3, 1};
  EXPECT_DOUBLE_EQ(assign_words(words, tokens, {0.4}, 10.0, 9.9, segments), 11.9);
  ASSERT_EQ(segments[0].words.size(), 2u);
  ASSERT_EQ(segments[1].words.size(), 1u);
  EXPECT_DOUBLE_EQ(segments[0].words[0].start, 10.1);
  EXPECT_DOUBLE_EQ(segments[0].start, 10.1);  // the segment follows its words
  EXPECT_DOUBLE_EQ(segments[0].end, 10.9);
  EXPECT_DOUBLE_EQ(segments[1].start, 11.1);
}

TEST(AssignWords, AFirstWordStretchedOverAPauseIsShortened) {
  std::vector<Segment> segments = {segment(0.0, 5.0)};
  const std::vector<AlignedWord> words = {word(" a", 0.0, 4.0), word(" b", 4.0, 4.3)};
  assign_words(words, std::vector<size_t>{2}, {0.3}, 0.0, 0.0, segments);
  EXPECT_DOUBLE_EQ(segments[0].words[0].start, 3.4);  // twice the median before its end
  EXPECT_DOUBLE_EQ(segments[0].start, 3.4);
}

TEST(AssignWords, TheModelsOwnTimesWinWhereAWordIsStretched) {
  std::vector<Segment> segments = {segment(1.0, 2.0)};
  const std::vector<AlignedWord> words = {word(" a", 0.2, 1.2), word(" b", 1.2, 3.5)};
  assign_words(words, std::vector<size_t>{2}, {0.6}, 0.0, 0.2, segments);
  EXPECT_DOUBLE_EQ(segments[0].words[0].start, 0.6);  // its end less the median: before the segment's own start
  EXPECT_DOUBLE_EQ(segments[0].words[1].end, 2.0);
  EXPECT_DOUBLE_EQ(segments[0].end, 2.0);
}

}  // namespace
}  // namespace anyon
