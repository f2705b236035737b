// Defaults of the C API's structs, taken from the runtime's own, and the way back.
#include "capi/params.h"

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

namespace anyon::capi {

namespace {

constexpr float kOff = std::numeric_limits<float>::quiet_NaN();

std::optional<float> threshold(float value) {
  return std::isnan(value) ? std::nullopt : std::optional<float>(value);
}

bool flag(int32_t value, const char* name) {
  if (value != 0 && value != 1) refuse({name, ": ", value, ": expected 0 or 1"});
  return value == 1;
}

template <class T>
std::vector<T> list(const T* items, size_t count, const char* name) {
  if (items == nullptr && count > 0) refuse({name, ": NULL with a count of ", count});
  // Far above any list that means something; a count that was never set.
  if (count > (size_t{1} << 24)) refuse({name, ": a list of ", count, " entries"});
  return items == nullptr ? std::vector<T>() : std::vector<T>(items, items + count);
}

std::optional<Prompt> prompt(const anyon_prompt& given, const char* name) {
  if (given.text != nullptr && given.tokens != nullptr) {
    refuse({name, ": both text and tokens: give one"});
  }
  if (given.text != nullptr) return Prompt(std::string(given.text));
  std::vector<int32_t> tokens = list(given.tokens, given.token_count, name);
  if (given.tokens == nullptr) return std::nullopt;
  return Prompt(std::move(tokens));
}

std::string text(const char* given, const std::string& missing) {
  return given == nullptr ? missing : std::string(given);
}

// As much of the library's struct as the caller's version has; zeros where the caller's has more.
template <class Params>
void write_params(Params* params, size_t size, Params defaults) noexcept {
  if (params == nullptr || size < sizeof(size_t) || size > kLargestParams) return;
  std::memset(static_cast<void*>(params), 0, size);
  defaults.size = size;
  std::memcpy(static_cast<void*>(params), &defaults, std::min(size, sizeof(Params)));
}

}  // namespace

TranscribeOptions transcribe_options(const anyon_transcribe_params& params) {
  TranscribeOptions options;
  options.language = text(params.language, "");
  if (params.task != ANYON_TASK_TRANSCRIBE && params.task != ANYON_TASK_TRANSLATE) {
    refuse({"task: ", params.task, ": expected ANYON_TASK_TRANSCRIBE or ANYON_TASK_TRANSLATE"});
  }
  options.task = params.task == ANYON_TASK_TRANSLATE ? Task::kTranslate : Task::kTranscribe;
  if (params.temperatures != nullptr || params.temperature_count > 0) {
    options.temperatures = list(params.temperatures, params.temperature_count, "temperatures");
  }
  options.best_of = params.best_of;
  options.beam_size = params.beam_size;
  options.patience = params.patience;
  options.length_penalty = threshold(params.length_penalty);
  options.repetition_penalty = params.repetition_penalty;
  options.no_repeat_ngram_size = params.no_repeat_ngram_size;
  options.seed = params.seed;
  options.max_new_tokens = params.max_new_tokens;
  options.compression_ratio_threshold = threshold(params.compression_ratio_threshold);
  options.log_prob_threshold = threshold(params.log_prob_threshold);
  options.no_speech_threshold = threshold(params.no_speech_threshold);
  options.speech_gate = flag(params.speech_gate, "speech_gate");
  options.batch_size = params.batch_size;
  if (params.condition_on_previous_text != -1) {
    options.condition_on_previous_text = flag(params.condition_on_previous_text, "condition_on_previous_text");
  }
  options.prompt_reset_on_temperature = params.prompt_reset_on_temperature;
  options.initial_prompt = prompt(params.initial_prompt, "initial_prompt");
  options.carry_initial_prompt = flag(params.carry_initial_prompt, "carry_initial_prompt");
  options.hotwords = text(params.hotwords, "");
  options.prefix = prompt(params.prefix, "prefix");
  options.draft = prompt(params.draft, "draft");
  options.suppress_blank = flag(params.suppress_blank, "suppress_blank");
  if (params.suppress_tokens != nullptr || params.suppress_token_count > 0) {
    options.suppress_tokens = list(params.suppress_tokens, params.suppress_token_count, "suppress_tokens");
  }
  if (flag(params.suppress_nothing, "suppress_nothing")) options.suppress_tokens.clear();
  options.without_timestamps = flag(params.without_timestamps, "without_timestamps");
  options.max_initial_timestamp = threshold(params.max_initial_timestamp);
  options.word_timestamps = flag(params.word_timestamps, "word_timestamps");
  options.prepend_punctuations = text(params.prepend_punctuations, options.prepend_punctuations);
  options.append_punctuations = text(params.append_punctuations, options.append_punctuations);
  options.hallucination_silence_threshold = threshold(params.hallucination_silence_threshold);
  options.clip_timestamps = list(params.clip_timestamps, params.clip_timestamp_count, "clip_timestamps");
  options.language_detection_threshold = params.language_detection_threshold;
  options.language_detection_segments = params.language_detection_segments;
  return options;
}

}  // namespace anyon::capi

using anyon::capi::write_params;

void anyon_model_params_init(anyon_model_params* params, size_t size) noexcept {
  anyon_model_params defaults{};
  defaults.verify_data = 1;
  write_params(params, size, defaults);
}

void anyon_session_params_init(anyon_session_params* params, size_t size) noexcept {
  write_params(params, size, anyon_session_params{});
}

void anyon_transcribe_params_init(anyon_transcribe_params* params, size_t size) noexcept {
  anyon_transcribe_params defaults{};
  defaults.best_of = 5;
  defaults.beam_size = 5;
  defaults.patience = 1.0f;
  defaults.length_penalty = anyon::capi::kOff;
  defaults.repetition_penalty = 1.0f;
  defaults.compression_ratio_threshold = 2.4f;
  defaults.log_prob_threshold = -1.0f;
  defaults.no_speech_threshold = 0.6f;
  defaults.speech_gate = 1;
  defaults.batch_size = 1;
  defaults.condition_on_previous_text = -1;
  defaults.prompt_reset_on_temperature = 0.5f;
  defaults.suppress_blank = 1;
  defaults.max_initial_timestamp = 1.0f;
  defaults.hallucination_silence_threshold = anyon::capi::kOff;
  defaults.language_detection_threshold = 0.5f;
  defaults.language_detection_segments = 1;
  write_params(params, size, defaults);
}
