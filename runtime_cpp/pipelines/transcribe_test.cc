// The transcriber's rules, one by one, on a model whose logits the test writes.
#include "pipelines/transcribe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "core/threads.h"
#include "scripted_sessions.h"

namespace anyon {
namespace {

using namespace anyon::testing;  // NOLINT(google-build-using-namespace): the script's vocabulary

constexpr int kRate = 16000;

std::vector<float> noise(double seconds) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  std::vector<float> samples(static_cast<size_t>(seconds * kRate));
  for (float& sample : samples) sample = normal(generator);
  return samples;
}

// What the speech gate takes for speech: noise that changes its colour ten times a second.
std::vector<float> babble(double seconds) {
  std::vector<float> samples = noise(seconds);
  float dull = 0.0f;
  for (size_t i = 0; i < samples.size(); ++i) {
    dull = 0.9f * dull + samples[i];
    if ((i / (kRate / 10)) % 2 == 1) samples[i] = dull;
  }
  return samples;
}

class TranscribeTest : public ::testing::Test {
 protected:
  TranscribeTest() { options.speech_gate = false; }

  std::vector<Segment> transcribe(std::span<const float> samples, int chunk = 0) {
    start();
    std::vector<Segment> all;
    if (chunk == 0) {
      transcriber->push(samples, kRate);
      transcriber->finish();
    }
    for (size_t pushed = 0;;) {
      const StepResult result = transcriber->step();
      if (result == StepResult::kDone) return all;
      if (result == StepResult::kSegments) {
        all.insert(all.end(), transcriber->segments().begin(), transcriber->segments().end());
      }
      if (result == StepResult::kNeedAudio) {
        const size_t size = std::min<size_t>(chunk, samples.size() - pushed);
        transcriber->push(samples.subspan(pushed, size), kRate);
        pushed += size;
        if (pushed == samples.size()) transcriber->finish();
      }
    }
  }

  void start() {
    transcriber = std::make_unique<Transcriber>(letter_model(multilingual), tokenizer, encoder, decoder, pool, options);
  }

  // Records what stands before the text of each window, then speaks.
  void remember_prompts() {
    decoder.speak = [this, inner = decoder.speak](std::span<const int32_t> history, std::span<float> logits) {
      const size_t begin = text_begin(history);
      if (begin > 0 && begin == history.size()) prompts.emplace_back(history.begin(), history.end());
      inner(history, logits);
    };
  }

  bool multilingual = false;
  TranscribeOptions options;
  BpeTokenizer tokenizer = letter_tokenizer();
  ScriptedEncoder encoder;
  ScriptedDecoder decoder;
  ThreadPool pool{1};
  std::unique_ptr<Transcriber> transcriber;
  std::vector<std::vector<int32_t>> prompts;
};

std::vector<int32_t> sentence(double start, const std::string& text, double end) {
  return join({{at(start)}, letters(text), {at(end)}});
}

TEST_F(TranscribeTest, ReturnsSegmentsOnTheClockOfTheRecording) {
  decoder.speak = recite(join({sentence(0.5, " hello.", 1.5), sentence(2.0, " you.", 3.0)}));
  const std::vector<Segment> segments = transcribe(noise(4.0));
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(segments[0].text, " hello.");
  EXPECT_DOUBLE_EQ(segments[0].start, 0.5);
  EXPECT_DOUBLE_EQ(segments[0].end, 1.5);
  EXPECT_EQ(segments[1].id, 1);
  EXPECT_DOUBLE_EQ(segments[1].start, 2.0);
  EXPECT_EQ(segments[1].tokens, sentence(2.0, " you.", 3.0));
  EXPECT_NEAR(segments[0].avg_logprob, 0.0, 1e-3);
  EXPECT_EQ(segments[0].temperature, 0.0);
  EXPECT_EQ(transcriber->language(), "en");
  EXPECT_DOUBLE_EQ(transcriber->progress(), 4.0);
}

TEST_F(TranscribeTest, GreedyBeamAndSampledSearchAgreeWhenTheModelIsSure) {
  decoder.speak = recite(sentence(0.0, " hello.", 2.0));
  for (const int beam_size : {1, 2, 5}) {
    options.beam_size = beam_size;
    EXPECT_EQ(transcribe(noise(3.0)).at(0).text, " hello.") << beam_size;
  }
  options.temperatures = {0.2f};
  EXPECT_EQ(transcribe(noise(3.0)).at(0).text, " hello.");
  EXPECT_EQ(decoder.largest_batch, 5);
}

TEST_F(TranscribeTest, SeeksToTheLastTimestampAndHearsTheRestAgain) {
  // The second sentence is not finished in the first window.
  std::map<int, std::vector<int32_t>> windows = {{0, join({sentence(0.0, " one.", 20.0), {at(20.0)}, letters(" tw")})},
                                                 {1, sentence(0.0, " two.", 12.0)}};
  int window = -1;
  decoder.speak = [&](std::span<const int32_t> history, std::span<float> logits) {
    if (history.size() == text_begin(history)) ++window;
    recite(windows[window])(history, logits);
  };
  options.beam_size = 1;
  const std::vector<Segment> segments = transcribe(noise(40.0));
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(segments[0].text, " one.");
  EXPECT_EQ(segments[1].seek, 2000);
  EXPECT_DOUBLE_EQ(segments[1].start, 20.0);
  EXPECT_DOUBLE_EQ(segments[1].end, 32.0);
  EXPECT_EQ(transcriber->info().windows, 2);
}

TEST_F(TranscribeTest, SpeechAfterTheLastTimestampIsHeardAgain) {
  std::map<int, std::vector<int32_t>> windows = {{0, sentence(0.0, " one.", 10.0)}, {1, sentence(0.0, " two.", 20.0)}};
  int window = -1;
  decoder.speak = [&](std::span<const int32_t> history, std::span<float> logits) {
    if (history.size() == text_begin(history)) ++window;
    recite(windows[window])(history, logits);
  };
  options.speech_gate = true;
  options.beam_size = 1;
  const std::vector<Segment> segments = transcribe(babble(30.0));
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_EQ(segments[1].seek, 1000);
  EXPECT_DOUBLE_EQ(segments[1].end, 30.0);
}

TEST_F(TranscribeTest, NoiseAfterTheLastTimestampIsNot) {
  decoder.speak = recite(sentence(0.0, " one.", 10.0));
  options.speech_gate = true;
  std::vector<float> samples = noise(30.0);
  const std::vector<float> speech = babble(10.0);
  std::copy(speech.begin(), speech.end(), samples.begin());
  EXPECT_EQ(transcribe(samples).size(), 1u);
  EXPECT_EQ(transcriber->info().windows, 1);
}

TEST_F(TranscribeTest, AudioInPiecesGivesTheSameAsAtOnce) {
  decoder.speak = recite(sentence(0.0, " hello.", 9.0));
  const std::vector<float> samples = noise(70.0);
  const std::vector<Segment> whole = transcribe(samples);
  const std::vector<float> mel = encoder.last_mel;
  const std::vector<Segment> pieces = transcribe(samples, 3777);
  ASSERT_EQ(whole.size(), 3u);
  ASSERT_EQ(pieces.size(), whole.size());
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_DOUBLE_EQ(pieces[i].start, whole[i].start);
  EXPECT_EQ(encoder.last_mel, mel);  // the windows heard the same, real samples beside them included
}

TEST_F(TranscribeTest, AWindowInsideTheRecordingSeesTheSamplesBesideIt) {
  decoder.speak = recite({at(0.0), kEot});
  std::vector<float> samples(static_cast<size_t>(45 * kRate), 0.0f);
  samples[30 * kRate - 1] = 1.0f;  // the last sample before the second window
  transcribe(samples);
  EXPECT_GT(encoder.last_mel[0], encoder.last_mel[5]);  // its first frame is louder than those after it
}

TEST_F(TranscribeTest, AModelThatStandsStillIsMovedOn) {
  decoder.speak = recite(join({sentence(0.0, " a", 0.02), sentence(0.02, " b", 0.04), {at(0.04)}, letters(" c")}));
  transcribe(noise(20.0));
  EXPECT_LE(transcriber->info().windows, 22);
}

TEST_F(TranscribeTest, EmptyAndTinyRecordingsAreDone) {
  decoder.speak = recite({at(0.0)});
  EXPECT_TRUE(transcribe({}).empty());
  EXPECT_EQ(transcriber->info().windows, 0);
  EXPECT_TRUE(transcribe(noise(1.0 / kRate)).empty());
}

TEST_F(TranscribeTest, SilenceByTheModelsOwnWordIsSkipped) {
  decoder.speak = [](std::span<const int32_t> history, std::span<float> logits) {
    if (history.back() == kSot) {
      logits[kNoSpeech] = 20.0f;
      logits[at(0.0)] = 19.0f;
      return;
    }
    // Unlikely text: all letters the same.
    for (int32_t id = 0; id < kSpace; ++id) logits[id] = 20.0f;
    logits[at(1.0)] = history.size() > 6 ? 30.0f : 0.0f;
  };
  EXPECT_TRUE(transcribe(noise(3.0)).empty());
  EXPECT_EQ(transcriber->info().fallbacks, 0);  // silence needs no second try
  options.no_speech_threshold.reset();
  EXPECT_FALSE(transcribe(noise(3.0)).empty());
}

TEST_F(TranscribeTest, ATextThatRepeatsItselfFallsBackToSampling) {
  int attempt = 0;
  decoder.speak = [&](std::span<const int32_t> history, std::span<float> logits) {
    const size_t position = history.size() - text_begin(history);
    if (position == 1) ++attempt;  // the first token of an attempt comes from the logits kept of the prompt
    recite(attempt <= 1 ? join({{at(0.0)}, std::vector<int32_t>(100, 4)}) : sentence(0.0, " hello.", 2.0))(history,
                                                                                                           logits);
  };
  options.beam_size = 1;
  options.best_of = 2;
  const std::vector<Segment> segments = transcribe(noise(3.0));
  ASSERT_EQ(segments.size(), 1u);
  EXPECT_EQ(segments[0].text, " hello.");
  EXPECT_NEAR(segments[0].temperature, 0.2, 1e-6);
  EXPECT_EQ(transcriber->info().fallbacks, 1);
}

TEST_F(TranscribeTest, ThePromptHoldsTheTextSoFar) {
  decoder.speak = recite(sentence(0.0, " hi.", 9.0));
  remember_prompts();
  transcribe(noise(70.0));
  ASSERT_EQ(prompts.size(), 3u);
  EXPECT_EQ(prompts[0], (std::vector<int32_t>{kSot}));
  EXPECT_EQ(prompts[1], join({{kSotPrev}, sentence(0.0, " hi.", 9.0), {kSot}}));
  // At most half of the 64 tokens of context, less one, before the start of transcript.
  EXPECT_EQ(prompts[2].size(), 2 + 2 * sentence(0.0, " hi.", 9.0).size());

  prompts.clear();
  options.condition_on_previous_text = false;
  transcribe(noise(70.0));
  EXPECT_EQ(prompts[2], (std::vector<int32_t>{kSot}));
}

TEST_F(TranscribeTest, AHighTemperatureResetsThePrompt) {
  decoder.speak = recite(sentence(0.0, " hi.", 9.0));
  remember_prompts();
  options.temperatures = {0.6f};
  transcribe(noise(40.0));
  EXPECT_EQ(prompts.at(1), (std::vector<int32_t>{kSot}));
}

TEST_F(TranscribeTest, InitialPromptIsForTheFirstWindowUnlessCarried) {
  decoder.speak = recite(sentence(0.0, " hi.", 9.0));
  remember_prompts();
  options.initial_prompt = Prompt(std::string("  abc "));
  options.condition_on_previous_text = false;
  transcribe(noise(40.0));
  EXPECT_EQ(prompts.at(0), join({{kSotPrev}, letters(" abc"), {kSot}}));
  EXPECT_EQ(prompts.at(1), (std::vector<int32_t>{kSot}));

  prompts.clear();
  options.carry_initial_prompt = true;
  transcribe(noise(40.0));
  EXPECT_EQ(prompts.at(1), join({{kSotPrev}, letters(" abc"), {kSot}}));
}

TEST_F(TranscribeTest, InitialPromptMayBeTokens) {
  decoder.speak = recite(sentence(0.0, " hi.", 9.0));
  remember_prompts();
  options.initial_prompt = Prompt(std::vector<int32_t>(100, 7));
  transcribe(noise(3.0));
  EXPECT_EQ(prompts.at(0), join({{kSotPrev}, std::vector<int32_t>(31, 7), {kSot}}));  // 64 / 2 - 1
}

TEST_F(TranscribeTest, HotwordsStandBeforeEveryWindow) {
  decoder.speak = recite(sentence(0.0, " hi.", 9.0));
  remember_prompts();
  options.hotwords = "abc";
  transcribe(noise(40.0));
  EXPECT_EQ(prompts.at(1), join({{kSotPrev}, letters(" abc"), sentence(0.0, " hi.", 9.0), {kSot}}));
}

TEST_F(TranscribeTest, APrefixBeginsTheTextOfTheFirstWindow) {
  decoder.speak = recite(join({{at(0.0)}, letters(" ab cd."), {at(9.0)}}));
  options.prefix = Prompt(std::string("ab"));
  const std::vector<Segment> segments = transcribe(noise(40.0));
  EXPECT_EQ(segments.at(0).text, " cd.");
  EXPECT_EQ(segments.at(1).text, " ab cd.");
}

TEST_F(TranscribeTest, WithoutTimestampsTheWindowIsOneSegment) {
  decoder.speak = [](std::span<const int32_t> history, std::span<float> logits) {
    logits[at(1.0)] = 30.0f;  // not allowed
    recite(letters("hello."))(history, logits);
  };
  options.without_timestamps = true;
  const std::vector<Segment> segments = transcribe(noise(4.0));
  ASSERT_EQ(segments.size(), 1u);
  EXPECT_EQ(segments[0].text, "hello.");
  EXPECT_DOUBLE_EQ(segments[0].end, 4.0);
}

TEST_F(TranscribeTest, SuppressedTokensAreTheBundlesUnlessNamed) {
  decoder.speak = [](std::span<const int32_t> history, std::span<float> logits) {
    recite(join({{at(0.0)}, letters(" a-b"), {at(2.0)}}))(history, logits);
    logits[letters("z")[0]] = 10.0f;
  };
  EXPECT_EQ(transcribe(noise(3.0)).at(0).text, " azb");
  options.suppress_tokens = {};
  EXPECT_EQ(transcribe(noise(3.0)).at(0).text, " a-b");
  options.suppress_tokens = {letters("b")[0]};
  EXPECT_EQ(transcribe(noise(3.0)).at(0).text, " a-z");
}

TEST_F(TranscribeTest, OnlyClipsAreHeard) {
  decoder.speak = recite(sentence(0.0, " hi.", 30.0));
  options.clip_timestamps = {2.0, 5.0, 40.0};
  const std::vector<Segment> segments = transcribe(noise(50.0), 1000);
  ASSERT_EQ(segments.size(), 2u);
  EXPECT_DOUBLE_EQ(segments[0].start, 2.0);
  EXPECT_DOUBLE_EQ(segments[0].end, 5.0);
  EXPECT_DOUBLE_EQ(segments[1].start, 40.0);
  EXPECT_DOUBLE_EQ(segments[1].end, 50.0);
}

TEST_F(TranscribeTest, DetectsTheLanguageOfTheFirstWindow) {
  multilingual = true;
  decoder.speak = [](std::span<const int32_t> history, std::span<float> logits) {
    logits[kFrench] = 5.0f;
    logits[kEnglish] = 4.0f;
    if (history.back() == kSot) return;
    recite(sentence(0.0, " oui.", 2.0))(history, logits);
  };
  remember_prompts();
  transcribe(noise(3.0));
  EXPECT_EQ(transcriber->language(), "fr");
  EXPECT_NEAR(transcriber->language_probability(), std::exp(1.0) / (1.0 + std::exp(1.0)), 1e-6);
  ASSERT_EQ(transcriber->language_probabilities().size(), 2u);
  EXPECT_EQ(transcriber->language_probabilities()[1].first, "en");
  EXPECT_EQ(prompts.back(), (std::vector<int32_t>{kSot, kFrench, kTranscribe}));
  EXPECT_EQ(encoder.runs, 1);  // the first window is not encoded again

  options.language = "en";
  options.task = Task::kTranslate;
  prompts.clear();
  transcribe(noise(3.0));
  EXPECT_EQ(prompts.back(), (std::vector<int32_t>{kSot, kEnglish, kTranslate}));
}

TEST_F(TranscribeTest, UnsureOfTheLanguageItHearsMoreWindows) {
  multilingual = true;
  options.language_detection_segments = 3;
  options.language_detection_threshold = 0.9f;
  int windows = 0;
  decoder.speak = [&](std::span<const int32_t> history, std::span<float> logits) {
    if (history.back() == kSot && history.size() == 1) logits[++windows == 1 ? kEnglish : kFrench] = 1.0f;
    if (history.back() != kSot) recite(sentence(0.0, " oui.", 30.0))(history, logits);
  };
  transcribe(noise(100.0), 5000);
  EXPECT_EQ(transcriber->language(), "fr");  // two of three
}

TEST_F(TranscribeTest, WordTimesAreWhereTheHeadsLook) {
  decoder.speak = [](std::span<const int32_t> history, std::span<float> logits) {
    const bool aligning = std::find(history.begin(), history.end(), kNoTimestamps) != history.end();
    recite(aligning ? letters(" ab cd.") : sentence(0.0, " ab cd.", 4.0))(history, logits);
  };
  // Token i of the text is spoken from 1 s + 0.2 s * i on; the token before it looks there.
  decoder.look = [](std::span<const int32_t> history) {
    return 50.0 + 10.0 * static_cast<double>(history.size() - text_begin(history));
  };
  options.word_timestamps = true;
  const std::vector<Segment> segments = transcribe(noise(5.0));
  ASSERT_EQ(segments.size(), 1u);
  ASSERT_EQ(segments[0].words.size(), 2u);
  EXPECT_EQ(segments[0].words[0].word, " ab");
  EXPECT_EQ(segments[0].words[1].word, " cd.");
  // Between two frames the path may change rows anywhere, so half a token's length is allowed.
  EXPECT_NEAR(segments[0].words[0].end, 1.6, 0.11);
  EXPECT_NEAR(segments[0].words[1].start, 1.6, 0.11);
  EXPECT_NEAR(segments[0].words[1].end, 2.2, 0.11);
  EXPECT_GT(segments[0].words[0].probability, 0.9);
  EXPECT_DOUBLE_EQ(segments[0].end, segments[0].words[1].end);
}

TEST_F(TranscribeTest, WordTimesNeverRunBackwardsOrOutOfTheRecording) {
  decoder.speak = recite(join({sentence(0.0, " ab cd.", 4.0), sentence(4.0, " ef gh", 30.0)}));
  std::mt19937 generator(9);
  decoder.look = [&](std::span<const int32_t>) { return static_cast<double>(generator() % 1500); };
  options.word_timestamps = true;
  double last = 0.0;
  int words = 0;
  for (const Segment& segment : transcribe(noise(65.0))) {
    for (const Word& word : segment.words) {
      EXPECT_GE(word.start, last);
      EXPECT_GE(word.end, word.start);
      EXPECT_LE(word.end, 65.0);
      last = word.end;
      ++words;
    }
  }
  EXPECT_GT(words, 4);
}

// The last word of the first window is said to end at `last_word` seconds; its timestamp says 20. Where the next
// begins.
class SeekByWordsTest : public TranscribeTest {
 protected:
  int64_t second_seek(double last_word) {
    decoder.speak = [](std::span<const int32_t> history, std::span<float> logits) {
      const bool aligning = std::find(history.begin(), history.end(), kNoTimestamps) != history.end();
      const std::vector<int32_t> text = join({sentence(0.0, " ab cd", 20.0), {at(20.0)}, letters(" ef")});
      recite(aligning ? letters(" ab cd") : text)(history, logits);
    };
    decoder.look = [last_word](std::span<const int32_t> history) {
      const auto token = static_cast<double>(history.size() - text_begin(history));
      return token < 3.0 ? 50.0 + 10.0 * token : 50.0 * last_word - 10.0 * (6.0 - token);
    };
    options.word_timestamps = true;
    options.beam_size = 1;
    segments = transcribe(noise(40.0));
    return segments.at(1).seek;
  }

  std::vector<Segment> segments;
};

TEST_F(SeekByWordsTest, TheNextWindowBeginsWhereTheLastWordEnds) {
  EXPECT_NEAR(static_cast<double>(second_seek(18.0)), 1800.0, 15.0);
}

TEST_F(SeekByWordsTest, AWordAlignedLateSkipsNoSpeechAfterTheTimestamp) {
  EXPECT_EQ(second_seek(24.0), 2000);
}

TEST_F(SeekByWordsTest, AWordAlignedLateLeavesTheNextSegmentItsTime) {
  second_seek(24.0);
  EXPECT_EQ(segments[0].end, 20.0);
  EXPECT_LT(segments[1].start, segments[1].end);
  EXPECT_LT(segments[1].words[0].start, segments[1].words[0].end);
}

TEST_F(TranscribeTest, CancelEndsWithinOneToken) {
  int tokens = 0;
  decoder.speak = [&](std::span<const int32_t> history, std::span<float> logits) {
    if (++tokens == 5) transcriber->cancel();
    recite(sentence(0.0, " a long sentence.", 2.0))(history, logits);
  };
  options.beam_size = 1;
  start();
  transcriber->push(noise(3.0), kRate);
  transcriber->finish();
  EXPECT_EQ(transcriber->step(), StepResult::kCancelled);
  EXPECT_EQ(tokens, 5);
  EXPECT_TRUE(transcriber->segments().empty());
  EXPECT_EQ(transcriber->step(), StepResult::kCancelled);
}

TEST_F(TranscribeTest, AStopByTheCallerCanBeTakenBack) {
  decoder.speak = recite(sentence(0.0, " hello.", 2.0));
  start();
  transcriber->push(noise(3.0), kRate);
  transcriber->finish();
  EXPECT_EQ(transcriber->step([] { return true; }), StepResult::kCancelled);
  EXPECT_EQ(transcriber->step(), StepResult::kSegments);
  EXPECT_EQ(transcriber->segments().at(0).text, " hello.");
}

TEST_F(TranscribeTest, LogitsThatAreNotNumbersAreAnError) {
  decoder.speak = [](std::span<const int32_t>, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), std::nanf(""));
  };
  try {
    transcribe(noise(3.0));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kBackendFailed);
  }
}

TEST_F(TranscribeTest, DamagedSamplesAreNamed) {
  decoder.speak = recite({at(0.0)});
  start();
  std::vector<float> samples = noise(1.0);
  transcriber->push(samples, kRate);
  samples[7] = std::nanf("");
  try {
    transcriber->push(samples, kRate);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kBadAudio);
    EXPECT_NE(std::string(error.what()).find("16007"), std::string::npos) << error.what();
  }
}

TEST_F(TranscribeTest, SeedsDecideSampling) {
  decoder.speak = [](std::span<const int32_t> history, std::span<float> logits) {
    const size_t position = history.size() - text_begin(history);
    if (position == 0) {
      logits[at(0.0)] = 20.0f;
    } else if (position > 20) {
      logits[at(2.0)] = logits[kEot] = 30.0f;
    } else {
      for (int32_t id = 0; id < 26; ++id) logits[id] = 20.0f;
    }
  };
  options.temperatures = {1.0f};
  options.log_prob_threshold.reset();
  const std::string first = transcribe(noise(3.0)).at(0).text;
  EXPECT_EQ(transcribe(noise(3.0)).at(0).text, first);
  options.seed = 1;
  EXPECT_NE(transcribe(noise(3.0)).at(0).text, first);
}

}  // namespace
}  // namespace anyon
