// Which tokens may come next: Whisper's rules for special tokens, blanks, timestamps and repetitions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "loops/row_math.h"

namespace anyon {

struct LogitRuleOptions {
  int32_t n_vocab = 0;
  int32_t eot = 0;
  int32_t timestamp_begin = 0;               // ids from here on are timestamps
  std::vector<int32_t> suppress = {};        // never; any order, ids outside the vocabulary are ignored
  std::vector<int32_t> begin_suppress = {};  // not as the first token
  bool timestamps = true;                    // false: none may be written
  int32_t max_initial_timestamp = -1;        // last timestamp (counted from timestamp_begin) allowed first; -1: any
  float repetition_penalty = 1.0f;  // text tokens of the window: positive logits divided by it, negative multiplied
  int no_repeat_ngram_size = 0;     // text tokens that would complete an n-gram already in the window; 0: off
};

// A row of logits after the rules. Tokens outside [begin, end) are not allowed; those inside may hold -inf.
struct AllowedRow {
  const float* row = nullptr;  // n_vocab values, valid only inside [begin, end)
  int32_t begin = 0;
  int32_t end = 0;
  Peak best;                 // index counts from 0 of the vocabulary
  double log_sum_exp = 0.0;  // over the allowed tokens: log_probability(t) = row[t] - log_sum_exp

  double log_probability(int32_t token) const { return static_cast<double>(row[token]) - log_sum_exp; }
};

// Immutable; any number of threads may use one.
class LogitRules {
 public:
  LogitRules(LogitRuleOptions options, const RowMath& math);

  const LogitRuleOptions& options() const { return options_; }

  // Applies the rules to `logits` (n_vocab values, not changed) after the tokens written so far in this window (prompt
  // left out). `scratch` has room for n_vocab values and holds the row of the result. `may_end`: whether the end of
  // text may come, if the other rules allow it.
  AllowedRow apply(const float* logits, std::span<const int32_t> tokens, float* scratch, bool may_end = true) const;

  bool is_timestamp(int32_t token) const { return token >= options_.timestamp_begin; }

 private:
  struct TimestampRange {
    bool text = true;  // may text follow?
    bool end_of_text = true;
    int32_t begin = 0;  // allowed timestamps, as ids
    int32_t end = 0;
  };
  TimestampRange timestamp_range(std::span<const int32_t> tokens) const;
  void punish_repetition(std::span<const int32_t> tokens, float* row) const;

  LogitRuleOptions options_;
  const RowMath& math_;
};

}  // namespace anyon
