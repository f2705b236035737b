// Seq2seq decoding of one window: the prompt once, then token by token until the search is done.
#include "loops/seq2seq.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/status.h"

namespace anyon {

namespace {

constexpr int kHopelessFirst = 32;  // tokens before the first question whether a text is hopeless
constexpr int kHopelessEvery = 8;

bool is_identity(std::span<const int64_t> rows, size_t batch) {
  if (rows.size() != batch) return false;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

}  // namespace

Seq2SeqDecoder::Seq2SeqDecoder(WhisperPrograms& programs, ThreadPool& pool, const RowMath& math, int32_t n_vocab,
                               int32_t n_text_ctx)
    : programs_(programs), pool_(pool), math_(math), n_vocab_(n_vocab), n_text_ctx_(n_text_ctx) {
  first_logits_.resize(size_t{2} * n_vocab);
}

void Seq2SeqDecoder::start(std::span<const int32_t> prompt, int64_t sot_index) {
  const int64_t length = static_cast<int64_t>(prompt.size());
  if (length == 0 || length > n_text_ctx_ || sot_index < 0 || sot_index >= length) {
    throw Error(Status::kInternal, "seq2seq: a prompt of " + std::to_string(length) + " tokens does not fit");
  }
  programs_.reset();
  next_tokens_.assign(prompt.begin(), prompt.end());
  const int64_t select[2] = {sot_index, length - 1};
  const float* logits = programs_.decode(next_tokens_, 1, select);
  std::copy_n(logits, first_logits_.size(), first_logits_.data());
  prompt_length_ = length;
  state_rows_ = 1;
}

double Seq2SeqDecoder::probability_at_sot(int32_t token) const {
  const std::span<const float> logits = logits_at_sot();
  const Peak peak = math_.peak(logits.data(), n_vocab_);
  return std::exp(static_cast<double>(logits[token]) - peak.value) / math_.sum_exp(logits.data(), n_vocab_, peak.value);
}

void Seq2SeqDecoder::spread_states(size_t rows) {
  if (programs_.past() > prompt_length_) programs_.truncate(prompt_length_);
  if (rows == 1 && state_rows_ == 1) return;
  zeros_.assign(rows, 0);
  programs_.reorder(zeros_);
  state_rows_ = rows;
}

void Seq2SeqDecoder::apply_rules(const LogitRules& rules, std::span<const int32_t> prefix, const float* logits,
                                 std::span<const Hypothesis> hypotheses) {
  const int64_t count = static_cast<int64_t>(hypotheses.size());
  rows_.resize(count);
  if (static_cast<int64_t>(histories_.size()) < count) histories_.resize(count);
  if (static_cast<int64_t>(scratch_.size()) < count * n_vocab_) scratch_.resize(count * n_vocab_);
  for (int64_t i = 0; i < count; ++i) {
    histories_[i].assign(prefix.begin(), prefix.end());
    histories_[i].insert(histories_[i].end(), hypotheses[i].tokens.begin(), hypotheses[i].tokens.end());
  }
  const auto apply = [&](int64_t i, int) {
    rows_[i] = rules.apply(logits + i * n_vocab_, histories_[i], scratch_.data() + i * n_vocab_);
  };
  if (count == 1) {
    apply(0, 0);
  } else {
    pool_.run(count, apply);
  }
  for (int64_t i = 0; i < count; ++i) {
    if (rows_[i].best.index < 0 && std::isnan(logits[i * n_vocab_])) {
      throw Error(Status::kBackendFailed,
                  "decoder: the logits are not numbers; the weights are damaged or the backend computes wrongly here");
    }
  }
}

DecodeResult Seq2SeqDecoder::search(const SearchOptions& options, const LogitRules& rules,
                                    std::span<const int32_t> prefix, int max_tokens, FunctionRef<bool()> should_stop,
                                    FunctionRef<bool(const Hypothesis&)> is_hopeless) {
  const int limit = std::min<int>(max_tokens, n_text_ctx_ - static_cast<int>(prompt_length_));
  DecodeResult result;
  const std::unique_ptr<TokenSearch> search = make_search(options, rules.options().eot, limit + 1, math_);

  for (int written = 0; written < limit; ++written) {
    if (should_stop()) {
      result.cancelled = true;
      return result;
    }
    if (written == 0) {
      apply_rules(rules, prefix, logits_after_prompt().data(), search->live().first(1));
    } else {
      if (written == 1) {
        spread_states(search->live().size());
      } else if (!is_identity(search->sources(), state_rows_)) {
        programs_.reorder(search->sources());
        state_rows_ = search->live().size();
      }
      next_tokens_.clear();
      for (const Hypothesis& hypothesis : search->live()) next_tokens_.push_back(hypothesis.tokens.back());
      const int64_t select[1] = {0};
      const float* logits = programs_.decode(next_tokens_, static_cast<int64_t>(state_rows_), select);
      apply_rules(rules, prefix, logits, search->live());
    }
    search->advance(rows_);
    if (search->done()) break;
    if (written + 1 >= kHopelessFirst && (written + 1) % kHopelessEvery == 0 &&
        std::all_of(search->live().begin(), search->live().end(), is_hopeless) &&
        std::all_of(search->finished().begin(), search->finished().end(), is_hopeless)) {
      result.hopeless = true;
      break;
    }
  }
  Hypothesis best = search->best();
  result.avg_logprob = best.sum_logprob / static_cast<double>(best.tokens.size() + 1);
  result.tokens = std::move(best.tokens);
  return result;
}

}  // namespace anyon
