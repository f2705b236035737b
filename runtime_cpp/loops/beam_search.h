// Beam search with patience (Kasai et al. 2022, arXiv:2204.05424), as openai-whisper decodes at temperature 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "loops/token_search.h"

namespace anyon {

// Every beam proposes its beam_size + 1 likeliest tokens; the beam_size best that do not end the text go on, and those
// that end it and score better than the last of them are kept, until round(beam_size * patience) are.
class BeamSearch final : public TokenSearch {
 public:
  BeamSearch(const SearchOptions& options, int32_t eot, int max_tokens, const RowMath& math);

  void advance(std::span<const AllowedRow> rows) override;
  bool done() const override { return live_.empty() || finished_.size() >= max_finished_; }
  // Live beams fill the list up to beam_size where too few came to an end.
  Hypothesis best() override;

 private:
  struct Candidate {
    double sum_logprob;
    int32_t source;
    int32_t token;
  };

  SearchOptions options_;
  int32_t eot_;
  size_t max_finished_;
  size_t max_tokens_;
  const RowMath& math_;
  std::vector<Scored> top_;
  std::vector<Candidate> candidates_;
  std::vector<Hypothesis> next_;
};

}  // namespace anyon
