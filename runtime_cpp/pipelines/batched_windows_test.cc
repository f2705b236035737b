// Windows decoded together write what each would write alone, in the order of the recording.
#include "pipelines/batched_windows.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "core/threads.h"
#include "pipelines/transcribe.h"
#include "scripted_sessions.h"

namespace anyon {
namespace {

using namespace anyon::testing;  // NOLINT(google-build-using-namespace): the script's vocabulary

constexpr int kRate = 16000;
using Tokens = std::vector<int32_t>;

// Noise, with a silence of a second at each of these times (seconds of its middle).
std::vector<float> noise(double seconds, const std::vector<double>& pauses) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  std::vector<float> samples(static_cast<size_t>(seconds * kRate));
  for (float& sample : samples) sample = normal(generator);
  for (const double pause : pauses) {
    const auto middle = static_cast<int64_t>(pause * kRate);
    std::fill(samples.begin() + middle - kRate / 2, samples.begin() + middle + kRate / 2, 0.0f);
  }
  return samples;
}

Tokens sentence(double start, const std::string& text, double end) {
  return join({{at(start)}, letters(text), {at(end)}});
}

class BatchedWindowsTest : public ::testing::Test {
 protected:
  BatchedWindowsTest() {
    options.speech_gate = false;
    options.beam_size = 1;
    options.batch_size = 4;
    // A text for each window, in the order in which the encoder hears them.
    decoder.speak = [this](std::span<const int32_t> history, std::span<float> logits) {
      recite(texts.at(decoder.hearing))(history, logits);
    };
  }

  void start() {
    transcriber.reset();  // the sessions belong to one at a time
    encoder.runs = 0;
    transcriber = std::make_unique<Transcriber>(letter_model(), tokenizer, encoder, decoder, pool, options);
  }

  std::vector<Segment> finish() {
    std::vector<Segment> all;
    while (true) {
      const StepResult result = transcriber->step();
      if (result != StepResult::kSegments) {
        EXPECT_EQ(result, StepResult::kDone);
        return all;
      }
      all.insert(all.end(), transcriber->segments().begin(), transcriber->segments().end());
    }
  }

  std::vector<Segment> transcribe(std::span<const float> samples) {
    start();
    transcriber->push(samples, kRate);
    transcriber->finish();
    return finish();
  }

  // Five windows of 20 s with texts of different lengths.
  std::vector<float> five_windows() {
    texts = {{1, sentence(0.0, " one.", 19.0)},
             {2, sentence(1.0, " the second is longer.", 18.0)},
             {3, sentence(0.5, " c.", 3.0)},
             {4, join({sentence(0.0, " four.", 9.0), sentence(9.0, " four and a half.", 19.0)})},
             {5, sentence(1.0, " the end.", 18.0)}};
    return noise(100.0, {20.0, 40.0, 60.0, 80.0});
  }

  std::map<int, Tokens> texts;
  TranscribeOptions options;
  BpeTokenizer tokenizer = letter_tokenizer();
  ScriptedEncoder encoder;
  ScriptedDecoder decoder;
  ThreadPool pool{2};
  std::unique_ptr<Transcriber> transcriber;
};

TEST_F(BatchedWindowsTest, EveryWindowWritesItsOwnTextWhateverTheirNumber) {
  const std::vector<float> samples = five_windows();
  for (const int batch_size : {2, 3, 4, 16}) {
    options.batch_size = batch_size;
    decoder.largest_batch = 0;
    const std::vector<Segment> segments = transcribe(samples);
    ASSERT_EQ(segments.size(), 6u) << batch_size;
    EXPECT_EQ(decoder.largest_batch, std::min(batch_size, 5));
    const char* const written[] = {" one.",  " the second is longer.", " c.",
                                   " four.", " four and a half.",      " the end."};
    // A cut lies in the middle of its pause; the mel frames around it see 20 ms of sound.
    const double starts[] = {0.0, 21.0, 40.5, 60.0, 69.0, 81.0};
    for (size_t i = 0; i < segments.size(); ++i) {
      EXPECT_EQ(segments[i].id, static_cast<int64_t>(i));
      EXPECT_EQ(segments[i].text, written[i]);
      EXPECT_NEAR(segments[i].start, starts[i], 0.1);
      EXPECT_NEAR(segments[i].avg_logprob, 0.0, 1e-3);
    }
    EXPECT_EQ(transcriber->info().windows, 5);
    EXPECT_DOUBLE_EQ(transcriber->progress(), 100.0);
  }
}

TEST_F(BatchedWindowsTest, AFreeSlotIsTakenByTheNextWindow) {
  const std::vector<float> samples = five_windows();
  options.batch_size = 2;
  decoder.runs = 0;
  transcribe(samples);
  // Tokens with the end of text, less the first of each, which comes with the prompt; two rows at most in each run.
  int tokens = 0, longest = 0;
  for (const auto& [window, text] : texts) {
    tokens += static_cast<int>(text.size());
    longest = std::max(longest, static_cast<int>(text.size()));
  }
  EXPECT_GE(decoder.runs - 5, tokens / 2);
  EXPECT_LE(decoder.runs - 5, tokens / 2 + longest);
}

TEST_F(BatchedWindowsTest, AudioInPiecesGivesTheSameAndWaitsForTheBatch) {
  const std::vector<float> samples = five_windows();
  const std::vector<Segment> whole = transcribe(samples);
  start();
  std::vector<Segment> pieces;
  size_t pushed = 0;
  bool first = true;
  for (StepResult result; (result = transcriber->step()) != StepResult::kDone;) {
    if (result == StepResult::kSegments) {
      // Each of four windows needs 30 s to look for its cut in.
      if (first) EXPECT_GE(transcriber->duration(), 90.0);
      first = false;
      pieces.insert(pieces.end(), transcriber->segments().begin(), transcriber->segments().end());
      continue;
    }
    const size_t size = std::min<size_t>(7777, samples.size() - pushed);
    transcriber->push(std::span(samples).subspan(pushed, size), kRate);
    pushed += size;
    if (pushed == samples.size()) transcriber->finish();
  }
  ASSERT_EQ(pieces.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    EXPECT_EQ(pieces[i].text, whole[i].text);
    EXPECT_DOUBLE_EQ(pieces[i].start, whole[i].start);
  }
}

TEST_F(BatchedWindowsTest, WhatATextLeavesUnfinishedIsHeardAgainInItsPlace) {
  five_windows();
  texts[2] = join({sentence(0.0, " two.", 12.0), {at(12.0)}});
  texts[6] = sentence(0.0, " and the rest.", 7.0);  // heard last, given out after the second
  const std::vector<Segment> segments = transcribe(noise(100.0, {20.0, 40.0, 60.0, 80.0}));
  ASSERT_EQ(segments.size(), 7u);
  EXPECT_EQ(segments[1].text, " two.");
  EXPECT_EQ(segments[2].text, " and the rest.");
  EXPECT_NEAR(segments[2].start, 32.0, 0.1);
  EXPECT_NEAR(segments[2].end, 39.0, 0.1);
  EXPECT_EQ(segments[3].text, " c.");
}

TEST_F(BatchedWindowsTest, ATextThatStopsWhileTheSignalSpeaksGoesOn) {
  five_windows();
  options.speech_gate = true;
  // Colour and loudness change ten times a second: clear speech, to the gate.
  std::vector<float> samples = noise(100.0, {20.0, 40.0, 60.0, 80.0});
  float dull = 0.0f, duller = 0.0f;
  for (size_t i = 0; i < samples.size(); ++i) {
    dull = 0.9f * dull + 0.1f * samples[i];
    duller = 0.9f * duller + 0.1f * dull;
    samples[i] = (i / (kRate / 10)) % 2 == 1 ? 4.0f * duller : 0.1f * samples[i];
  }
  texts[2] = sentence(0.0, " two.", 19.5);
  texts[5] = sentence(0.0, " five.", 19.5);
  decoder.speak = [this](std::span<const int32_t> history, std::span<float> logits) {
    recite(texts.at(decoder.hearing))(history, logits);
    // The third text could end with its first sentence; made to go on, the model writes another.
    const Tokens more = join({texts[3], sentence(3.0, " more.", 19.5)});
    const size_t position = history.size() - text_begin(history);
    if (decoder.hearing != 3 || position < texts[3].size() || position >= more.size()) return;
    logits[kEot] = position == texts[3].size() ? 20.0f : 0.0f;
    logits[more[position]] = 15.0f;
  };
  const std::vector<Segment> segments = transcribe(samples);
  ASSERT_EQ(segments.size(), 7u);
  EXPECT_EQ(segments[2].text, " c.");
  EXPECT_EQ(segments[3].text, " more.");
  EXPECT_EQ(transcriber->info().windows, 5);
}

TEST_F(BatchedWindowsTest, BeamsAndSamplesOfSeveralWindowsStayApart) {
  const std::vector<float> samples = five_windows();
  const std::vector<Segment> greedy = transcribe(samples);
  for (const auto& [beams, temperature] : {std::pair{5, 0.0f}, std::pair{20, 0.0f}, std::pair{1, 0.2f}}) {
    options.beam_size = beams;
    options.temperatures = {temperature};
    const std::vector<Segment> segments = transcribe(samples);
    ASSERT_EQ(segments.size(), greedy.size());
    for (size_t i = 0; i < greedy.size(); ++i) EXPECT_EQ(segments[i].tokens, greedy[i].tokens);
    EXPECT_LE(decoder.largest_batch, 64);  // 4 windows of 20 beams are more than one run takes
  }
}

TEST_F(BatchedWindowsTest, OnlyTheWindowThatRepeatsItselfFallsBack) {
  const std::vector<float> samples = five_windows();
  std::map<int, int> attempts;
  decoder.speak = [&](std::span<const int32_t> history, std::span<float> logits) {
    const size_t position = history.size() - text_begin(history);
    if (position == 1) ++attempts[decoder.hearing];
    const bool repeats = decoder.hearing == 2 && attempts[2] <= 1;
    recite(repeats ? join({{at(0.0)}, Tokens(100, 4)}) : texts.at(decoder.hearing))(history, logits);
  };
  options.best_of = 2;
  const std::vector<Segment> segments = transcribe(samples);
  ASSERT_EQ(segments.size(), 6u);
  EXPECT_EQ(segments[1].text, " the second is longer.");
  EXPECT_NEAR(segments[1].temperature, 0.2, 1e-6);
  EXPECT_EQ(segments[0].temperature, 0.0);
  EXPECT_EQ(segments[2].temperature, 0.0);
  EXPECT_EQ(transcriber->info().fallbacks, 1);
}

TEST_F(BatchedWindowsTest, WordTimesAreThoseOfTheirOwnWindow) {
  const std::vector<float> samples = five_windows();
  options.word_timestamps = true;
  // The n-th text token of every window looks n seconds into it.
  decoder.look = [](std::span<const int32_t> history) {
    return 50.0 * static_cast<double>(history.size() - text_begin(history));
  };
  options.batch_size = 1;
  options.clip_timestamps = {20.0, 40.0};
  texts[1] = texts[2];
  const std::vector<Segment> alone = transcribe(samples);
  ASSERT_EQ(alone.size(), 1u);
  options.batch_size = 3;
  options.clip_timestamps.clear();
  texts[1] = sentence(0.0, " one.", 19.0);
  const std::vector<Segment> together = transcribe(samples);
  ASSERT_EQ(together.size(), 6u);
  ASSERT_EQ(together[1].words.size(), alone[0].words.size());
  for (size_t i = 0; i < alone[0].words.size(); ++i) {
    EXPECT_EQ(together[1].words[i].word, alone[0].words[i].word);
    EXPECT_NEAR(together[1].words[i].start, alone[0].words[i].start, 0.1);
    EXPECT_NEAR(together[1].words[i].end, alone[0].words[i].end, 0.1);
  }
}

TEST_F(BatchedWindowsTest, AnInitialPromptIsForTheFirstWindowAlone) {
  const std::vector<float> samples = five_windows();
  std::map<int, size_t> lengths;
  decoder.speak = [&, inner = decoder.speak](std::span<const int32_t> history, std::span<float> logits) {
    if (text_begin(history) > 0 && text_begin(history) == history.size()) lengths[decoder.hearing] = history.size();
    inner(history, logits);
  };
  options.initial_prompt = Prompt(std::string("abc"));
  EXPECT_EQ(transcribe(samples).size(), 6u);
  EXPECT_EQ(lengths[1], 1 + letters(" abc").size() + 1);
  for (int window = 2; window <= 5; ++window) EXPECT_EQ(lengths[window], 1u);
}

TEST_F(BatchedWindowsTest, AStopAnywhereCanBeTakenBack) {
  const std::vector<float> samples = five_windows();
  const std::vector<Segment> whole = transcribe(samples);
  options.batch_size = 2;
  for (const int at_question : {1, 2, 3, 5, 9, 20, 40}) {
    start();
    transcriber->push(samples, kRate);
    transcriber->finish();
    int questions = 0;
    std::vector<Segment> all;
    const auto stop = [&] { return ++questions == at_question; };
    StepResult result = transcriber->step(stop);
    while (result == StepResult::kSegments) {
      all.insert(all.end(), transcriber->segments().begin(), transcriber->segments().end());
      result = transcriber->step(stop);
    }
    ASSERT_EQ(result, StepResult::kCancelled) << at_question;
    const std::vector<Segment> rest = finish();
    all.insert(all.end(), rest.begin(), rest.end());
    ASSERT_EQ(all.size(), whole.size()) << at_question;
    for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(all[i].text, whole[i].text);
  }
}

TEST_F(BatchedWindowsTest, RefusesWhatNeedsTheWindowBefore) {
  const auto refused = [&](const std::string& words) {
    try {
      start();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kUnsupportedOption);
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  options.condition_on_previous_text = true;
  refused("condition_on_previous_text");
  options.condition_on_previous_text = false;
  options.word_timestamps = true;
  options.hallucination_silence_threshold = 1.0f;
  refused("hallucination_silence_threshold");
  options.hallucination_silence_threshold.reset();
  decoder.slots_allowed = 1;
  refused("batch_size: 4");
  options.batch_size = 1;
  EXPECT_NO_THROW(start());
}

TEST_F(BatchedWindowsTest, TheSessionsAreLeftAsTheyWereFound) {
  const std::vector<float> samples = five_windows();
  transcribe(samples);
  transcriber.reset();
  EXPECT_EQ(decoder.state_length(), 0);
  options.batch_size = 1;
  texts = {{1, sentence(0.0, " one.", 30.0)}};
  EXPECT_EQ(transcribe(std::span(samples).first(30 * kRate)).size(), 1u);
}

}  // namespace
}  // namespace anyon
