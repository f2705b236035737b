// With a draft the text is the same to the last token, whatever the draft says; where it is right, fewer runs are made.
#include <gtest/gtest.h>

#include <map>

#include "core/threads.h"
#include "pipelines/transcribe.h"
#include "scripted_sessions.h"

namespace anyon {
namespace {

using namespace anyon::testing;  // NOLINT(google-build-using-namespace): the script's vocabulary

using Tokens = std::vector<int32_t>;

class DraftTranscribeTest : public ::testing::Test {
 protected:
  DraftTranscribeTest() {
    options.speech_gate = false;
    options.beam_size = 1;
    options.temperatures = {0.0f};
    decoder.speak = recite(text);
  }

  std::vector<Segment> transcribe(double seconds = 20.0) {
    Transcriber transcriber(letter_model(), tokenizer, encoder, decoder, pool, options);
    const std::vector<float> samples(static_cast<size_t>(seconds * 16000), 0.1f);
    transcriber.push(samples, 16000);
    transcriber.finish();
    std::vector<Segment> all;
    decoder.runs = 0;
    while (transcriber.step() == StepResult::kSegments) {
      all.insert(all.end(), transcriber.segments().begin(), transcriber.segments().end());
    }
    runs = decoder.runs;
    drafted = transcriber.info().drafted;
    return all;
  }

  Tokens with_draft(std::optional<Prompt> draft) {
    options.draft = std::move(draft);
    Tokens tokens;
    for (const Segment& segment : transcribe())
      tokens.insert(tokens.end(), segment.tokens.begin(), segment.tokens.end());
    return tokens;
  }

  // 26 tokens.
  const Tokens text = join({{at(0.0)}, letters(" hello there, who is it?"), {at(18.0)}});
  TranscribeOptions options;
  BpeTokenizer tokenizer = letter_tokenizer();
  ScriptedEncoder encoder;
  ScriptedDecoder decoder;
  ThreadPool pool{1};
  int runs = 0;
  int64_t drafted = 0;
};

TEST_F(DraftTranscribeTest, ARightDraftIsWrittenInAFewRuns) {
  EXPECT_EQ(with_draft(std::nullopt), text);
  EXPECT_EQ(runs, 1 + 26);  // the prompt, and every token; the last run writes the end of text
  EXPECT_EQ(drafted, 0);
  EXPECT_EQ(with_draft(text), text);
  EXPECT_EQ(runs, 1 + 2);  // at most 15 proposed tokens in a run
  EXPECT_EQ(drafted, 24);  // all but the first, which the prompt's logits give, and the one after 15 of a run
}

TEST_F(DraftTranscribeTest, TextIsADraftToo) {
  EXPECT_EQ(with_draft(std::string("hello there, who is it?")), text);
  EXPECT_LE(runs, 1 + 4);
}

TEST_F(DraftTranscribeTest, NoDraftChangesTheText) {
  const Tokens half(text.begin(), text.begin() + 13);
  const Tokens replaced = join({{at(0.0)}, letters(" hello where, who is it?"), {at(18.0)}});
  const Tokens left_out = join({{at(0.0)}, letters(" hello, who it?"), {at(18.0)}});
  const Tokens too_long = join({text, letters(" and nothing else"), {at(29.0)}, text, text});
  const Tokens wrong = letters("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
  const Tokens special = {kSot, kEot, kEnglish, kNoSpeech, at(30.0), at(0.0)};
  for (const Tokens& draft : {Tokens(), half, replaced, left_out, too_long, wrong, special}) {
    EXPECT_EQ(with_draft(draft), text);
    EXPECT_LE(runs, 1 + 26);
  }
}

TEST_F(DraftTranscribeTest, TheTextEndsWhereItWouldWithoutADraft) {
  options.max_new_tokens = 9;
  const Tokens first(text.begin(), text.begin() + 9);
  EXPECT_EQ(with_draft(std::nullopt), first);
  EXPECT_EQ(with_draft(text), first);
  // The context is full: 64 tokens, the start of transcript among them.
  options.max_new_tokens = 64;
  const Tokens endless = join({{at(0.0)}, Tokens(200, 4)});
  decoder.speak = recite(endless);
  const Tokens full = with_draft(std::nullopt);
  EXPECT_EQ(full.size(), 63u);
  EXPECT_EQ(with_draft(endless), full);
}

TEST_F(DraftTranscribeTest, ADraftGoesOnFromWindowToWindow) {
  const Tokens second = join({{at(0.0)}, letters(" second window."), {at(20.0)}});
  decoder.speak = [&](std::span<const int32_t> history, std::span<float> logits) {
    recite(decoder.hearing == 1 ? text : second)(history, logits);
  };
  options.condition_on_previous_text = false;
  options.draft = join({text, second});
  encoder.runs = 0;
  const std::vector<Segment> segments = transcribe(50.0);
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(segments[1].tokens, second);
  EXPECT_EQ(runs, (1 + 2) + (1 + 2));
}

TEST_F(DraftTranscribeTest, AFallbackLeavesTheDraft) {
  options.temperatures = {0.0f, 0.2f};
  options.compression_ratio_threshold = 2.4f;
  const Tokens again = join({{at(0.0)}, Tokens(60, 4)});
  int attempts = 0;
  decoder.speak = [&](std::span<const int32_t> history, std::span<float> logits) {
    const size_t position = history.size() - text_begin(history);
    if (position == 1 && history.back() == at(0.0)) ++attempts;
    recite(attempts <= 1 ? again : text)(history, logits);
  };
  options.best_of = 2;
  options.draft = again;
  const std::vector<Segment> segments = transcribe();
  ASSERT_EQ(segments.size(), 1u);
  EXPECT_EQ(segments[0].tokens, text);
  EXPECT_NEAR(segments[0].temperature, 0.2, 1e-6);
}

TEST_F(DraftTranscribeTest, RefusesWhatIsNotGreedy) {
  const auto refused = [&](const std::string& words) {
    try {
      transcribe();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kUnsupportedOption);
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  options.draft = text;
  options.beam_size = 5;
  refused("beam_size: use 1");
  options.beam_size = 1;
  options.temperatures = {0.4f};
  refused("temperatures: use 0");
  options.temperatures = {0.0f};
  options.batch_size = 2;
  refused("batch_size: use 1");
}

}  // namespace
}  // namespace anyon
