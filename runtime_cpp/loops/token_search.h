// How the next tokens are chosen from rows of logits: greedily, by sampling, or by beam search.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "loops/logit_rules.h"

namespace anyon {

// A text under way: the tokens after the prompt, without the end of text, and the sum of their log-probabilities
// (that of the end of text included once it came).
struct Hypothesis {
  std::vector<int32_t> tokens;
  double sum_logprob = 0.0;
};

struct SearchOptions {
  float temperature = 0.0f;                  // 0: the likeliest; above: sampled
  int beam_size = 5;                         // at temperature 0; 1 is greedy
  int best_of = 5;                           // samples at a temperature above 0
  float patience = 1.0f;                     // round(beam_size * patience) texts end the beam search
  std::optional<float> length_penalty = {};  // score = sum / ((5 + n) / 6)^alpha; empty: sum / n
  uint64_t seed = 0;
};

// Holds the hypotheses of one decoding. The caller runs the decoder, applies the rules and calls advance with the rows,
// until done().
class TokenSearch {
 public:
  virtual ~TokenSearch() = default;

  // Extends every live hypothesis by one token. rows[i] belongs to live()[i]; on the first call there is one row,
  // which all hypotheses share. Rows without an allowed token end their hypothesis.
  virtual void advance(std::span<const AllowedRow> rows) = 0;

  virtual bool done() const = 0;

  // The hypotheses that go on: the last token of live()[i] is what the decoder sees next, in the place of row
  // sources()[i] of the step before (0 after the first step).
  std::span<const Hypothesis> live() const { return live_; }
  std::span<const int64_t> sources() const { return sources_; }
  // Those that came to the end of text.
  std::span<const Hypothesis> finished() const { return finished_; }

  // The best of all; live ones take part where the search says so. Call it last.
  virtual Hypothesis best() = 0;

 protected:
  std::vector<Hypothesis> live_;
  std::vector<int64_t> sources_;
  std::vector<Hypothesis> finished_;
};

// At most `max_tokens` are expected for each hypothesis: room for them is reserved here, not while decoding.
std::unique_ptr<TokenSearch> make_search(const SearchOptions& options, int32_t eot, int max_tokens,
                                         const RowMath& math);

// The hypothesis of the highest score (the first of equals); the list must not be empty.
const Hypothesis& highest(std::span<const Hypothesis> hypotheses, std::optional<float> length_penalty);

}  // namespace anyon
