// What the decoder reads before it writes: earlier text, hotwords, language, task, and how the text begins.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "frontends/bpe_tokenizer.h"
#include "pipelines/transcribe_options.h"

namespace anyon {

struct DecoderPrompt {
  std::vector<int32_t> tokens;
  int64_t sot_index = 0;        // of the start of transcript
  std::vector<int32_t> prefix;  // the tokens at the end that belong to the window's text
};

// The ids of a prompt; its text is encoded as if a space stood before it.
std::vector<int32_t> tokens_of(const Prompt& prompt, const BpeTokenizer& tokenizer);

// Start of transcript, language and task; English-only models have neither language nor task.
std::vector<int32_t> start_sequence(const WhisperInfo& model, Task task, const std::string& language);

// Remembers what was said, for the windows that follow. At most half of the text context, less one, goes before the
// start of transcript: hotwords, then the carried initial prompt, then the latest text that still fits.
class PromptHistory {
 public:
  PromptHistory(const WhisperInfo& model, const BpeTokenizer& tokenizer, const TranscribeOptions& options);

  DecoderPrompt next(const std::string& language, bool first_window) const;

  void append(std::span<const int32_t> tokens);
  void forget() { history_.clear(); }

 private:
  const WhisperInfo& model_;
  const TranscribeOptions& options_;
  size_t room_;
  std::vector<int32_t> hotwords_;
  std::vector<int32_t> carried_;
  std::vector<int32_t> prefix_;
  std::vector<int32_t> history_;  // at most room_ tokens
};

}  // namespace anyon
