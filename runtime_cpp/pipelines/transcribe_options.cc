// Refuses options that are out of range, or that the model at hand cannot follow, by name.
#include "pipelines/transcribe_options.h"

#include <algorithm>
#include <cmath>

#include "core/limits.h"
#include "core/number_text.h"
#include "core/status.h"

namespace anyon {

namespace {

// Every comparison is written so that NaN fails it.
void require(bool holds, const char* name, const char* range, const std::string& value) {
  if (holds) return;
  throw_error(Status::kInvalidArgument, {name, ": ", value, " is out of range: use ", range});
}

void require_between(double value, double low, double high, const char* name, const char* range) {
  require(value >= low && value <= high, name, range, number_text(value));
}

void check_search(const TranscribeOptions& o, const WhisperInfo& model) {
  require(!o.temperatures.empty() && o.temperatures.size() <= limits::kTemperatures, "temperatures",
          "a list of 1 to 64 values", "a list of " + std::to_string(o.temperatures.size()));
  for (const float t : o.temperatures) require_between(t, 0, 10, "temperatures", "values from 0 to 10");
  require_between(o.best_of, 1, limits::kRows, "best_of", "1 to 64");
  require_between(o.beam_size, 1, limits::kRows, "beam_size", "1 (greedy) to 64");
  require(o.patience > 0 && o.patience <= 10, "patience", "a value above 0, up to 10", number_text(o.patience));
  if (o.length_penalty) require_between(*o.length_penalty, 0, 1, "length_penalty", "0 to 1");
  require(o.repetition_penalty > 0 && o.repetition_penalty <= 10, "repetition_penalty", "a value above 0, up to 10",
          number_text(o.repetition_penalty));
  require_between(o.no_repeat_ngram_size, 0, 64, "no_repeat_ngram_size", "0 (off) to 64");
  const std::string tokens = "0 (half of the text context) to " + std::to_string(model.n_text_ctx);
  require_between(o.max_new_tokens, 0, model.n_text_ctx, "max_new_tokens", tokens.c_str());
}

void check_thresholds(const TranscribeOptions& o) {
  if (o.compression_ratio_threshold) {
    require_between(*o.compression_ratio_threshold, 0, 1e6, "compression_ratio_threshold", "0 or more, or none");
  }
  if (o.log_prob_threshold) {
    require_between(*o.log_prob_threshold, -1e6, 0, "log_prob_threshold", "0 or less, or none");
  }
  if (o.no_speech_threshold) {
    require_between(*o.no_speech_threshold, 0, 1, "no_speech_threshold", "0 to 1, or none");
  }
  require_between(o.prompt_reset_on_temperature, 0, 10, "prompt_reset_on_temperature", "0 to 10");
  if (o.hallucination_silence_threshold) {
    require_between(*o.hallucination_silence_threshold, 0, 1e6, "hallucination_silence_threshold",
                    "0 or more seconds, or none");
    require(o.word_timestamps, "hallucination_silence_threshold", "it together with word_timestamps",
            "without word_timestamps it");
  }
  if (o.max_initial_timestamp) {
    require_between(*o.max_initial_timestamp, 0, 30, "max_initial_timestamp", "0 to 30 seconds, or none");
  }
  require_between(o.language_detection_threshold, 0, 1, "language_detection_threshold", "0 to 1");
  require_between(o.language_detection_segments, 1, 60, "language_detection_segments", "1 to 60");
}

// What needs the window before, or moves the windows after.
void check_batch(const TranscribeOptions& o) {
  require_between(o.batch_size, 1, limits::kRows, "batch_size", "1 (one window after the other) to 64");
  if (o.batch_size == 1) return;
  const char* refused = nullptr;
  if (o.condition_on_previous_text.value_or(false)) refused = "condition_on_previous_text";
  if (o.hallucination_silence_threshold) refused = "hallucination_silence_threshold";
  if (refused == nullptr) return;
  throw_error(Status::kUnsupportedOption, {refused, ": windows that are decoded together do not know each ",
                                           "other's text: leave it out, or use batch_size=1"});
}

void check_draft(const TranscribeOptions& o) {
  if (!o.draft) return;
  const char* refused = nullptr;
  if (o.beam_size != 1) refused = "beam_size: use 1";
  if (o.temperatures[0] > 0) refused = "temperatures: use 0 as the first";
  if (o.batch_size != 1) refused = "batch_size: use 1";
  if (refused == nullptr) return;
  throw_error(Status::kUnsupportedOption,
              {refused, " with draft, which is checked token by token against greedy decoding"});
}

void check_clips(const std::vector<double>& clips) {
  double last = 0.0;
  for (const double time : clips) {
    require(time >= last && time <= limits::kSeconds, "clip_timestamps",
            "seconds that rise: start, end, start, end, ...", number_text(time) + " after " + number_text(last));
    last = time;
  }
}

void check_tokens(const std::vector<int32_t>& ids, int32_t lowest, const char* name, const WhisperInfo& model) {
  const std::string range = "token ids below " + std::to_string(model.n_vocab);
  for (const int32_t id : ids) require(id >= lowest && id < model.n_vocab, name, range.c_str(), std::to_string(id));
}

void check_model(const TranscribeOptions& o, const WhisperInfo& model) {
  if (!model.multilingual) {
    if (!o.language.empty() && o.language != "en") {
      throw_error(Status::kUnsupportedOption,
                  {"language: this model knows English only, not '", o.language, "': use a multilingual model"});
    }
    if (o.task == Task::kTranslate) {
      throw_error(Status::kUnsupportedOption,
                  {"task: an English-only model cannot translate: use a multilingual model"});
    }
    return;
  }
  if (!o.language.empty() && model.language_token(o.language) == WhisperInfo::kNone) {
    std::string known;
    for (const auto& [code, token] : model.languages) known += (known.empty() ? "" : ", ") + code;
    throw_error(Status::kUnsupportedOption,
                {"language: this model does not know '", o.language, "'; it knows ", known});
  }
  if (o.task == Task::kTranslate && model.translate == WhisperInfo::kNone) {
    throw_error(Status::kUnsupportedOption, {"task: this model has no token for translation"});
  }
}

}  // namespace

void TranscribeOptions::validate(const WhisperInfo& model) const {
  check_search(*this, model);
  check_thresholds(*this);
  check_batch(*this);
  check_draft(*this);
  check_clips(clip_timestamps);
  check_tokens(suppress_tokens, -1, "suppress_tokens", model);
  for (const auto& [prompt, name] :
       {std::pair{&initial_prompt, "initial_prompt"}, std::pair{&prefix, "prefix"}, std::pair{&draft, "draft"}}) {
    if (!*prompt) continue;
    if (const auto* ids = std::get_if<std::vector<int32_t>>(&**prompt)) check_tokens(*ids, 0, name, model);
  }
  check_model(*this, model);
  if (word_timestamps && model.alignment_heads.empty()) {
    throw_error(Status::kUnsupportedOption, {"word_timestamps: this bundle lists no alignment heads: export it again"});
  }
}

}  // namespace anyon
