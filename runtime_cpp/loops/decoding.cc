// One text under way: rules and search, token by token.
#include "loops/decoding.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"

namespace anyon {

namespace {

constexpr int kHopelessFirst = 32;  // tokens before the first question whether a text is hopeless
constexpr int kHopelessEvery = 8;

}  // namespace

Decoding::Decoding(SearchTask task, const RowMath& math)
    : task_(std::move(task)),
      search_(make_search(task_.options, task_.rules->options().eot, task_.max_tokens + 1, math)),
      over_(task_.max_tokens <= 0) {}

void Decoding::expect_rows() {
  const size_t count = static_cast<size_t>(rows());
  rows_.resize(count);
  broken_.assign(count, 0);
  if (histories_.size() < count) histories_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const std::vector<int32_t>& tokens = live()[i].tokens;
    histories_[i].assign(task_.prefix.begin(), task_.prefix.end());
    histories_[i].insert(histories_[i].end(), tokens.begin(), tokens.end());
  }
}

void Decoding::rule(int64_t index, const float* logits, float* scratch) {
  const size_t i = static_cast<size_t>(index);
  const bool may_end = !task_.may_end || task_.may_end(histories_[i]);
  rows_[i] = task_.rules->apply(logits, histories_[i], scratch, may_end);
  broken_[i] = rows_[i].best.index < 0 && std::isnan(logits[0]) ? 1 : 0;
}

void Decoding::advance() {
  if (std::find(broken_.begin(), broken_.end(), uint8_t{1}) != broken_.end()) {
    throw_error(Status::kBackendFailed,
                {"decoder: the logits are not numbers; the weights are damaged or the backend computes wrongly here"});
  }
  search_->advance(rows_);
  ++written_;
  over_ = search_->done() || written_ >= task_.max_tokens;
  if (!search_->done() && written_ >= kHopelessFirst && written_ % kHopelessEvery == 0 && all_hopeless()) {
    hopeless_ = over_ = true;
  }
}

bool Decoding::all_hopeless() const {
  if (!task_.is_hopeless) return false;
  const auto all = [&](std::span<const Hypothesis> texts) {
    return std::all_of(texts.begin(), texts.end(), task_.is_hopeless);
  };
  return all(search_->live()) && all(search_->finished());
}

DecodeResult Decoding::result() {
  DecodeResult result;
  Hypothesis best = search_->best();
  result.avg_logprob = best.sum_logprob / static_cast<double>(best.tokens.size() + 1);
  result.tokens = std::move(best.tokens);
  result.hopeless = hopeless_;
  return result;
}

}  // namespace anyon
