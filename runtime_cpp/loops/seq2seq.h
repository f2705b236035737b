// Seq2seq decoding of one window: the prompt once, then token by token until the search is done.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/function_ref.h"
#include "core/threads.h"
#include "loops/logit_rules.h"
#include "loops/token_search.h"
#include "loops/whisper_programs.h"

namespace anyon {

struct DecodeResult {
  std::vector<int32_t> tokens;  // without prompt and end of text
  double avg_logprob = 0.0;     // sum over the tokens and the end of text, by their number
  bool cancelled = false;
  bool hopeless = false;  // given up early: `tokens` is only a part
};

class Seq2SeqDecoder {
 public:
  // Programs and pool must outlive the decoder.
  Seq2SeqDecoder(WhisperPrograms& programs, ThreadPool& pool, const RowMath& math, int32_t n_vocab, int32_t n_text_ctx);

  // Feeds the prompt for the audio that was encoded last. Every search() starts from its end.
  void start(std::span<const int32_t> prompt, int64_t sot_index);

  // Probability of a token right after the start of transcript, before any rule.
  double probability_at_sot(int32_t token) const;
  // Logits right after the start of transcript (n_vocab of them), and after the whole prompt.
  std::span<const float> logits_at_sot() const { return {first_logits_.data(), static_cast<size_t>(n_vocab_)}; }
  std::span<const float> logits_after_prompt() const {
    return {first_logits_.data() + n_vocab_, static_cast<size_t>(n_vocab_)};
  }

  // Decodes at most max_tokens tokens. The rules see `prefix` (tokens at the end of the prompt that belong to the text)
  // and what was written since. `should_stop` is asked before every token. `is_hopeless` is asked now and then for
  // every hypothesis; when all are, the search ends.
  DecodeResult search(const SearchOptions& options, const LogitRules& rules, std::span<const int32_t> prefix,
                      int max_tokens, FunctionRef<bool()> should_stop,
                      FunctionRef<bool(const Hypothesis&)> is_hopeless);

 private:
  void apply_rules(const LogitRules& rules, std::span<const int32_t> prefix, const float* logits,
                   std::span<const Hypothesis> hypotheses);
  // Brings the states from the end of the prompt to one row for each live hypothesis.
  void spread_states(size_t rows);

  WhisperPrograms& programs_;
  ThreadPool& pool_;
  const RowMath& math_;
  int32_t n_vocab_;
  int32_t n_text_ctx_;
  int64_t prompt_length_ = 0;
  size_t state_rows_ = 0;            // batch of the decoder's states
  std::vector<float> first_logits_;  // (2, n_vocab)
  std::vector<float> scratch_;       // (rows, n_vocab)
  std::vector<AllowedRow> rows_;
  std::vector<std::vector<int32_t>> histories_;  // prefix and tokens, by row
  std::vector<int64_t> next_tokens_;
  std::vector<int64_t> zeros_;
};

}  // namespace anyon
