// Beam search with patience (Kasai et al. 2022, arXiv:2204.05424), as openai-whisper decodes at temperature 0.
#include "loops/beam_search.h"

#include <algorithm>
#include <cmath>

namespace anyon {

BeamSearch::BeamSearch(const SearchOptions& options, int32_t eot, int max_tokens, const RowMath& math)
    : options_(options),
      eot_(eot),
      max_finished_(std::max<int64_t>(1, std::llround(static_cast<double>(options.beam_size) * options.patience))),
      max_tokens_(max_tokens),
      math_(math) {
  const size_t beams = options.beam_size;
  top_.resize(beams + 1);
  candidates_.reserve(beams * (beams + 1));
  live_.resize(beams);
  next_.resize(beams);
  for (size_t i = 0; i < beams; ++i) {
    live_[i].tokens.reserve(max_tokens_);
    next_[i].tokens.reserve(max_tokens_);
  }
  sources_.reserve(beams);
  finished_.reserve(max_finished_ + beams);
}

void BeamSearch::advance(std::span<const AllowedRow> rows) {
  const size_t beams = options_.beam_size;
  candidates_.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    const AllowedRow& row = rows[i];
    const int count = math_.top_k(row.row + row.begin, row.end - row.begin, static_cast<int>(beams) + 1, top_.data());
    for (int c = 0; c < count; ++c) {
      const int32_t token = row.begin + top_[c].index;
      candidates_.push_back({live_[i].sum_logprob + row.log_probability(token), static_cast<int32_t>(i), token});
    }
  }
  if (candidates_.empty()) {  // the rules left nothing to write
    for (Hypothesis& hypothesis : live_) finished_.push_back(std::move(hypothesis));
    live_.clear();
    sources_.clear();
    return;
  }
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    if (a.sum_logprob != b.sum_logprob) return a.sum_logprob > b.sum_logprob;
    return a.source != b.source ? a.source < b.source : a.token < b.token;
  });

  next_.resize(beams);
  sources_.clear();
  for (const Candidate& candidate : candidates_) {
    const Hypothesis& source = live_[candidate.source];
    if (candidate.token == eot_) {
      if (finished_.size() < max_finished_) finished_.push_back({source.tokens, candidate.sum_logprob});
      continue;
    }
    Hypothesis& target = next_[sources_.size()];
    target.tokens.assign(source.tokens.begin(), source.tokens.end());
    target.tokens.push_back(candidate.token);
    target.sum_logprob = candidate.sum_logprob;
    sources_.push_back(candidate.source);
    if (sources_.size() == beams) break;
  }
  next_.resize(sources_.size());
  std::swap(live_, next_);
}

Hypothesis BeamSearch::best() {
  // live_ stands in order of its sums.
  for (size_t i = 0; i < live_.size() && finished_.size() < static_cast<size_t>(options_.beam_size); ++i) {
    finished_.push_back(live_[i]);
  }
  return highest(finished_, options_.length_penalty);
}

}  // namespace anyon
