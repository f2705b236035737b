// What the decoder reads before it writes: earlier text, hotwords, language, task, and how the text begins.
#include "pipelines/prompt.h"

#include <algorithm>

#include "pipelines/text.h"

namespace anyon {

namespace {

void keep_last(std::vector<int32_t>& tokens, size_t count) {
  if (tokens.size() > count) tokens.erase(tokens.begin(), tokens.end() - static_cast<int64_t>(count));
}

}  // namespace

std::vector<int32_t> tokens_of(const Prompt& prompt, const BpeTokenizer& tokenizer) {
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) return *ids;
  const std::string text(trim(std::get<std::string>(prompt)));
  return text.empty() ? std::vector<int32_t>{} : tokenizer.encode(" " + text);
}

std::vector<int32_t> start_sequence(const WhisperInfo& model, Task task, const std::string& language) {
  std::vector<int32_t> tokens = {model.sot};
  if (model.multilingual) {
    tokens.push_back(model.language_token(language));
    tokens.push_back(task == Task::kTranslate ? model.translate : model.transcribe);
  }
  return tokens;
}

PromptHistory::PromptHistory(const WhisperInfo& model, const BpeTokenizer& tokenizer, const TranscribeOptions& options)
    : model_(model), options_(options), room_(model.n_text_ctx / 2 - 1) {
  if (!options.hotwords.empty()) hotwords_ = tokens_of(options.hotwords, tokenizer);
  if (hotwords_.size() > room_) hotwords_.resize(room_);
  if (options.initial_prompt) {
    std::vector<int32_t> initial = tokens_of(*options.initial_prompt, tokenizer);
    keep_last(initial, room_);
    (options.carry_initial_prompt ? carried_ : history_) = std::move(initial);
  }
  if (options.prefix) prefix_ = tokens_of(*options.prefix, tokenizer);
  if (prefix_.size() > room_) prefix_.resize(room_);
}

DecoderPrompt PromptHistory::next(const std::string& language, bool first_window) const {
  DecoderPrompt prompt;
  const bool with_prefix = first_window && !prefix_.empty();
  std::vector<int32_t> before;
  if (!with_prefix) before = hotwords_;
  std::vector<int32_t> carried = carried_;
  keep_last(carried, room_ - before.size());
  before.insert(before.end(), carried.begin(), carried.end());
  std::vector<int32_t> latest = history_;
  keep_last(latest, room_ - before.size());
  before.insert(before.end(), latest.begin(), latest.end());
  if (!before.empty()) {
    prompt.tokens.push_back(model_.sot_prev);
    prompt.tokens.insert(prompt.tokens.end(), before.begin(), before.end());
  }

  prompt.sot_index = static_cast<int64_t>(prompt.tokens.size());
  const std::vector<int32_t> start = start_sequence(model_, options_.task, language);
  prompt.tokens.insert(prompt.tokens.end(), start.begin(), start.end());
  if (options_.without_timestamps) prompt.tokens.push_back(model_.no_timestamps);
  if (with_prefix) {
    if (!options_.without_timestamps) prompt.prefix.push_back(model_.timestamp_begin);
    prompt.prefix.insert(prompt.prefix.end(), prefix_.begin(), prefix_.end());
    prompt.tokens.insert(prompt.tokens.end(), prompt.prefix.begin(), prompt.prefix.end());
  }
  return prompt;
}

void PromptHistory::append(std::span<const int32_t> tokens) {
  history_.insert(history_.end(), tokens.begin(), tokens.end());
  keep_last(history_, room_);
}

}  // namespace anyon
