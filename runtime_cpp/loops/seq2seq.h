// Seq2seq decoding: the prompt once, then token by token until the search is done; one window, or several together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/function_ref.h"
#include "core/limits.h"
#include "core/threads.h"
#include "loops/decoding.h"
#include "loops/logit_rules.h"
#include "loops/token_search.h"
#include "loops/whisper_programs.h"

namespace anyon {

class Seq2SeqDecoder {
 public:
  // Rows of one run; the decoder programs that the exporter writes take no more (whisper_programs.MAX_BATCH).
  static constexpr int64_t kMaxRows = limits::kRows;

  // Programs and pool must outlive the decoder.
  Seq2SeqDecoder(WhisperPrograms& programs, ThreadPool& pool, const RowMath& math, int32_t n_vocab, int32_t n_text_ctx);

  // Room for `count` windows at a time, each in a slot; 1 unless asked for. Slot 0 is selected.
  void set_slots(int64_t count);
  // The window that start(), search() and the logits below are about, and encode() of the programs.
  void select(int64_t slot);

  // Feeds the prompt for the audio that was encoded last. Every search() starts from its end.
  void start(std::span<const int32_t> prompt, int64_t sot_index);

  // Probability of a token right after the start of transcript, before any rule.
  double probability_at_sot(int32_t token) const;
  // Logits right after the start of transcript (n_vocab of them), and after the whole prompt.
  std::span<const float> logits_at_sot() const { return {window().first_logits.data(), static_cast<size_t>(n_vocab_)}; }
  std::span<const float> logits_after_prompt() const {
    return {window().first_logits.data() + n_vocab_, static_cast<size_t>(n_vocab_)};
  }

  // Decodes at most task.max_tokens tokens. The rules see task.prefix and what was written since. `should_stop` is
  // asked before every token. task.is_hopeless is asked now and then for every hypothesis; when all are, the search
  // ends.
  // With task.draft the search must be greedy; then one run may write several tokens, and `should_stop` is asked before
  // every run.
  DecodeResult search(SearchTask task, FunctionRef<bool()> should_stop);
  // Tokens that drafts proposed and searches wrote.
  int64_t drafted() const { return drafted_; }

  // Several windows together: begin() in each one's slot, step() until over() for one of them, result(), and so on.
  void begin(SearchTask task);
  // One token more for every slot whose search is not over. False when `should_stop` said so.
  bool step(FunctionRef<bool()> should_stop);
  bool is_under_way(int64_t slot) const { return windows_[static_cast<size_t>(slot)].decoding != nullptr; }
  bool over(int64_t slot) const { return windows_[static_cast<size_t>(slot)].decoding->over(); }
  // Of the selected slot, whose search ends with it.
  DecodeResult result();

 private:
  struct Window {
    int64_t prompt_length = 0;
    size_t state_rows = 0;            // batch of the decoder's states
    std::vector<float> first_logits;  // (2, n_vocab)
    std::unique_ptr<Decoding> decoding;
  };

  Window& window() { return windows_[static_cast<size_t>(slot_)]; }
  const Window& window() const { return windows_[static_cast<size_t>(slot_)]; }

  // Applies the rules to the logits of the searches, one after the other's rows, and advances them.
  void advance(std::span<Decoding* const> searches, const float* logits);
  // Brings the states of the selected slot to one row for each live hypothesis.
  void arrange_states(Decoding& decoding);
  std::unique_ptr<Decoding> decoding_of(SearchTask task) const;
  // Runs the decoder on the last token and what the draft proposes after it, and writes tokens as far as they agree.
  void write_drafted(Decoding& decoding);

  WhisperPrograms& programs_;
  ThreadPool& pool_;
  const RowMath& math_;
  int32_t n_vocab_;
  int32_t n_text_ctx_;
  int64_t slot_ = 0;
  std::vector<Window> windows_;
  std::vector<float> scratch_;  // (rows, n_vocab)
  std::vector<int64_t> next_tokens_;
  std::vector<int64_t> zeros_;
  std::vector<int64_t> places_;  // of the logits wanted
  int64_t drafted_ = 0;
  std::vector<Decoding*> searches_;
  std::vector<WhisperPrograms::SlotRows> slot_rows_;
};

}  // namespace anyon
