// Greedy search, sampling, and what all searches share.
#include "loops/token_search.h"

#include <algorithm>
#include <cmath>

#include "loops/beam_search.h"
#include "loops/random.h"

namespace anyon {

namespace {

// Several independent samples, or the likeliest token alone at temperature 0.
class Sampling final : public TokenSearch {
 public:
  Sampling(const SearchOptions& options, int32_t eot, int max_tokens, const RowMath& math)
      : options_(options), eot_(eot), math_(math) {
    const int count = options.temperature > 0.0f ? options.best_of : 1;
    live_.resize(count);
    finished_.reserve(count);
    sources_.assign(count, 0);
    streams_.resize(count);
    for (int i = 0; i < count; ++i) {
      live_[i].tokens.reserve(max_tokens);
      streams_[i] = stream_seed(options.seed, i);
    }
  }

  void advance(std::span<const AllowedRow> rows) override {
    size_t kept = 0;
    for (size_t i = 0; i < live_.size(); ++i) {
      const AllowedRow& row = rows[rows.size() == 1 ? 0 : i];
      Hypothesis& hypothesis = live_[i];
      const int32_t token = choose(row, streams_[i], hypothesis.tokens.size());
      if (token >= 0) hypothesis.sum_logprob += row.log_probability(token);
      if (token < 0 || token == eot_) {
        finished_.push_back(std::move(hypothesis));
        continue;
      }
      hypothesis.tokens.push_back(token);
      sources_[kept] = rows.size() == 1 ? 0 : static_cast<int64_t>(i);
      streams_[kept] = streams_[i];
      if (kept != i) std::swap(live_[kept], hypothesis);
      ++kept;
    }
    live_.resize(kept);
    sources_.resize(kept);
    streams_.resize(kept);
  }

  bool done() const override { return live_.empty(); }

  Hypothesis best() override {
    for (Hypothesis& hypothesis : live_) finished_.push_back(std::move(hypothesis));
    live_.clear();
    return highest(finished_, options_.length_penalty);
  }

 private:
  int32_t choose(const AllowedRow& row, uint64_t seed, uint64_t position) {
    if (options_.temperature <= 0.0f || row.best.index < 0) return static_cast<int32_t>(row.best.index);
    weights_.resize(row.end - row.begin);
    math_.exp_row(row.row + row.begin, row.end - row.begin, row.best.value, 1.0f / options_.temperature,
                  weights_.data());
    double total = 0.0;
    for (const float weight : weights_) total += weight;
    double rest = uniform(seed, position) * total;
    int32_t last = static_cast<int32_t>(row.best.index);
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i] <= 0.0f) continue;
      last = row.begin + static_cast<int32_t>(i);
      rest -= weights_[i];
      if (rest < 0.0) break;
    }
    return last;
  }

  SearchOptions options_;
  int32_t eot_;
  const RowMath& math_;
  std::vector<uint64_t> streams_;
  std::vector<float> weights_;
};

}  // namespace

std::unique_ptr<TokenSearch> make_search(const SearchOptions& options, int32_t eot, int max_tokens,
                                         const RowMath& math) {
  if (options.temperature <= 0.0f && options.beam_size > 1) {
    return std::make_unique<BeamSearch>(options, eot, max_tokens, math);
  }
  return std::make_unique<Sampling>(options, eot, max_tokens, math);
}

const Hypothesis& highest(std::span<const Hypothesis> hypotheses, std::optional<float> length_penalty) {
  const Hypothesis* best = &hypotheses.front();
  double best_score = -std::numeric_limits<double>::infinity();
  for (const Hypothesis& hypothesis : hypotheses) {
    const double n = static_cast<double>(hypothesis.tokens.size());
    const double penalty = length_penalty ? std::pow((5.0 + n) / 6.0, *length_penalty) : std::max(n, 1.0);
    const double score = hypothesis.sum_logprob / penalty;
    if (score > best_score) {
      best = &hypothesis;
      best_score = score;
    }
  }
  return *best;
}

}  // namespace anyon
