// Decodes one window, again at rising temperatures while the result is not believed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/function_ref.h"
#include "frontends/bpe_tokenizer.h"
#include "loops/seq2seq.h"
#include "pipelines/prompt.h"
#include "pipelines/transcribe_options.h"

namespace anyon {

struct WindowText {
  std::vector<int32_t> tokens;
  std::string text;  // without timestamps and white space around it
  double avg_logprob = 0.0;
  double compression_ratio = 0.0;
  double no_speech_prob = 0.0;
  double temperature = 0.0;
  int fallbacks = 0;  // results that were not believed
  bool cancelled = false;
};

// A result is not believed when its text repeats itself (compression_ratio_threshold) or its tokens are unlikely
// (log_prob_threshold), unless the model takes the window for silence. When no temperature gives a result to believe,
// the likeliest of those that do not repeat themselves is taken, else the last.
// A result that repeats itself so long that no usual rest of it could pass is given up before its end; it would not be
// returned anyway.
// One window while it is decoded.
struct WindowTask {
  DecoderPrompt prompt;
  uint64_t seed = 0;  // fixes the sampling of this window
  double no_speech_prob = 0.0;
  std::function<bool(std::span<const int32_t>)> may_end;  // as in SearchTask
};

class FallbackDecoder {
 public:
  FallbackDecoder(Seq2SeqDecoder& decoder, const LogitRules& rules, const BpeTokenizer& tokenizer,
                  const WhisperInfo& model, const TranscribeOptions& options);

  // Decodes the audio that was encoded last.
  // `draft`, if any, is followed by the first attempt.
  WindowText decode(DecoderPrompt prompt, uint64_t seed, Draft* draft, FunctionRef<bool()> should_stop);

  // The same with other windows beside it: begin() in the window's slot of the decoder; once that search is over,
  // finish() takes its result and makes the further attempts, if any, on its own.
  WindowTask begin(DecoderPrompt prompt, uint64_t seed, std::function<bool(std::span<const int32_t>)> may_end);
  WindowText finish(const WindowTask& window, FunctionRef<bool()> should_stop);

 private:
  WindowTask start(DecoderPrompt prompt, uint64_t seed);
  SearchTask attempt(size_t number, const WindowTask& window) const;
  WindowText decode_rest(const WindowTask& window, DecodeResult first, FunctionRef<bool()> should_stop);
  WindowText text_at(size_t attempt, const WindowTask& window, DecodeResult result) const;
  bool is_silence(const WindowText& text) const;
  bool repeats(const WindowText& text) const;
  bool is_unlikely(const WindowText& text) const;
  // Whether no continuation of the hypothesis can be believed.
  bool is_hopeless(const Hypothesis& hypothesis, int max_tokens) const;
  std::string text_of(std::span<const int32_t> tokens) const;

  Seq2SeqDecoder& decoder_;
  const LogitRules& rules_;
  const BpeTokenizer& tokenizer_;
  const WhisperInfo& model_;
  const TranscribeOptions& options_;
};

}  // namespace anyon
