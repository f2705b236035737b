// One text under way: where the decoder stands, the search, and the rows of logits it needs next.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "loops/draft.h"
#include "loops/logit_rules.h"
#include "loops/token_search.h"

namespace anyon {

struct DecodeResult {
  std::vector<int32_t> tokens;  // without prompt and end of text
  double avg_logprob = 0.0;     // sum over the tokens and the end of text, by their number
  bool cancelled = false;
  bool hopeless = false;  // given up early: `tokens` is only a part
};

// What a search is told; see Seq2SeqDecoder::search.
struct SearchTask {
  SearchOptions options;
  const LogitRules* rules = nullptr;  // must outlive the search
  std::vector<int32_t> prefix;        // tokens at the end of the prompt that belong to the text
  int max_tokens = 0;
  std::function<bool(const Hypothesis&)> is_hopeless;  // empty: nothing is
  // Whether the text may end after these tokens; empty: wherever the rules allow it. Called on any thread.
  std::function<bool(std::span<const int32_t>)> may_end;
  Draft* draft = nullptr;  // proposes what a greedy search may write; must outlive the search
};

class Decoding {
 public:
  Decoding(SearchTask task, const RowMath& math);

  bool over() const { return over_; }
  int written() const { return written_; }
  std::span<const Hypothesis> live() const { return search_->live(); }
  std::span<const int64_t> sources() const { return search_->sources(); }
  const LogitRules& rules() const { return *task_.rules; }
  const SearchTask& task() const { return task_; }

  // Rows of logits that advance() needs: one at first, then one for each live hypothesis.
  int64_t rows() const { return written_ == 0 ? 1 : static_cast<int64_t>(live().size()); }
  // Room for them; then rule() for each, on any thread; then advance().
  void expect_rows();
  // Applies the rules to row `index` of the logits. `scratch` has room for n_vocab values and must live until
  // advance().
  void rule(int64_t index, const float* logits, float* scratch);
  // Throws Error kBackendFailed when the logits were not numbers.
  void advance();

  DecodeResult result();

 private:
  bool all_hopeless() const;

  SearchTask task_;
  std::unique_ptr<TokenSearch> search_;
  std::vector<AllowedRow> rows_;
  std::vector<uint8_t> broken_;                  // by row: the logits are not numbers
  std::vector<std::vector<int32_t>> histories_;  // prefix and tokens, by row
  int written_ = 0;
  bool over_ = false;
  bool hopeless_ = false;
};

}  // namespace anyon
