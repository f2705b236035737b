// Every option out of its range, and every option a model cannot follow, is refused by name.
#include "pipelines/transcribe_options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "scripted_sessions.h"

namespace anyon {
namespace {

struct Refusal {
  const char* option;  // what the message must name
  std::function<void(TranscribeOptions&)> change;
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.option;
}

Status refused(const TranscribeOptions& options, bool multilingual, std::string* message) {
  try {
    options.validate(testing::letter_model(multilingual));
  } catch (const Error& error) {
    *message = error.what();
    return error.status();
  }
  return Status::kOk;
}

using O = TranscribeOptions;

class OutOfRange : public ::testing::TestWithParam<Refusal> {};

INSTANTIATE_TEST_SUITE_P(
    Options, OutOfRange,
    ::testing::Values(Refusal{"temperatures", [](O& o) { o.temperatures = {}; }},
                      Refusal{"temperatures",
                              [](O& o) {
                                o.temperatures = {0.0f, -0.2f};
                              }},
                      Refusal{"temperatures", [](O& o) { o.temperatures = {std::nanf("")}; }},
                      Refusal{"best_of", [](O& o) { o.best_of = 0; }}, Refusal{"best_of", [](O& o) { o.best_of = 65; }},
                      Refusal{"beam_size", [](O& o) { o.beam_size = 0; }},
                      Refusal{"patience", [](O& o) { o.patience = 0.0f; }},
                      Refusal{"length_penalty", [](O& o) { o.length_penalty = 1.5f; }},
                      Refusal{"repetition_penalty", [](O& o) { o.repetition_penalty = 0.0f; }},
                      Refusal{"no_repeat_ngram_size", [](O& o) { o.no_repeat_ngram_size = -1; }},
                      Refusal{"max_new_tokens", [](O& o) { o.max_new_tokens = 65; }},
                      Refusal{"compression_ratio_threshold", [](O& o) { o.compression_ratio_threshold = -1.0f; }},
                      Refusal{"log_prob_threshold", [](O& o) { o.log_prob_threshold = 0.5f; }},
                      Refusal{"no_speech_threshold", [](O& o) { o.no_speech_threshold = 1.5f; }},
                      Refusal{"prompt_reset_on_temperature", [](O& o) { o.prompt_reset_on_temperature = -1.0f; }},
                      Refusal{"max_initial_timestamp", [](O& o) { o.max_initial_timestamp = 31.0f; }},
                      Refusal{"hallucination_silence_threshold",
                              [](O& o) {
                                o.word_timestamps = true;
                                o.hallucination_silence_threshold = -1.0f;
                              }},
                      Refusal{"hallucination_silence_threshold",
                              [](O& o) { o.hallucination_silence_threshold = 2.0f; }},
                      Refusal{"language_detection_threshold", [](O& o) { o.language_detection_threshold = 2.0f; }},
                      Refusal{"language_detection_segments", [](O& o) { o.language_detection_segments = 0; }},
                      Refusal{"clip_timestamps",
                              [](O& o) {
                                o.clip_timestamps = {5.0, 3.0};
                              }},
                      Refusal{"clip_timestamps", [](O& o) { o.clip_timestamps = {-1.0}; }},
                      Refusal{"suppress_tokens", [](O& o) { o.suppress_tokens = {testing::kVocab}; }},
                      Refusal{"suppress_tokens", [](O& o) { o.suppress_tokens = {-2}; }},
                      Refusal{"initial_prompt", [](O& o) { o.initial_prompt = Prompt(std::vector<int32_t>{-1}); }},
                      Refusal{"prefix", [](O& o) { o.prefix = Prompt(std::vector<int32_t>{1 << 20}); }}));

TEST_P(OutOfRange, IsAnInvalidArgumentThatNamesTheOption) {
  TranscribeOptions options;
  GetParam().change(options);
  std::string message;
  EXPECT_EQ(refused(options, false, &message), Status::kInvalidArgument);
  EXPECT_EQ(message.rfind(std::string(GetParam().option) + ":", 0), 0u) << message;
}

TEST(TranscribeOptions, TheDefaultsSuitEveryModel) {
  std::string message;
  EXPECT_EQ(refused({}, false, &message), Status::kOk) << message;
  EXPECT_EQ(refused({}, true, &message), Status::kOk) << message;
}

TEST(TranscribeOptions, AnEnglishOnlyModelRefusesOtherLanguagesAndTranslation) {
  TranscribeOptions options;
  std::string message;
  options.language = "fr";
  EXPECT_EQ(refused(options, false, &message), Status::kUnsupportedOption);
  EXPECT_NE(message.find("'fr'"), std::string::npos) << message;
  EXPECT_EQ(refused(options, true, &message), Status::kOk);
  options.language = "en";
  EXPECT_EQ(refused(options, false, &message), Status::kOk);
  options.task = Task::kTranslate;
  EXPECT_EQ(refused(options, false, &message), Status::kUnsupportedOption);
  EXPECT_EQ(message.rfind("task:", 0), 0u) << message;
}

TEST(TranscribeOptions, AnUnknownLanguageIsRefusedWithThoseKnown) {
  TranscribeOptions options;
  options.language = "xx";
  std::string message;
  EXPECT_EQ(refused(options, true, &message), Status::kUnsupportedOption);
  EXPECT_NE(message.find("en, fr"), std::string::npos) << message;
}

TEST(TranscribeOptions, WordTimesNeedAlignmentHeads) {
  WhisperInfo model = testing::letter_model();
  model.alignment_heads.clear();
  TranscribeOptions options;
  options.word_timestamps = true;
  EXPECT_THROW(options.validate(model), Error);
}

}  // namespace
}  // namespace anyon
