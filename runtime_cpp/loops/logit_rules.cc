// Which tokens may come next: Whisper's rules for special tokens, blanks, timestamps and repetitions.
#include "loops/logit_rules.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"

namespace anyon {

namespace {

std::vector<int32_t> in_order(std::vector<int32_t> ids, int32_t n_vocab) {
  std::erase_if(ids, [&](int32_t id) { return id < 0 || id >= n_vocab; });
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

void forbid(std::span<const int32_t> ids, int32_t begin, int32_t end, float* row) {
  for (const int32_t id : ids) {
    if (id >= begin && id < end) row[id] = kNegativeInfinity;
  }
}

}  // namespace

LogitRules::LogitRules(LogitRuleOptions options, const RowMath& math) : options_(std::move(options)), math_(math) {
  if (options_.eot < 0 || options_.eot >= options_.timestamp_begin || options_.timestamp_begin > options_.n_vocab) {
    throw_error(Status::kInvalidArgument, {"logit rules: eot < timestamp_begin <= n_vocab does not hold"});
  }
  options_.suppress = in_order(std::move(options_.suppress), options_.n_vocab);
  options_.begin_suppress = in_order(std::move(options_.begin_suppress), options_.n_vocab);
}

LogitRules::TimestampRange LogitRules::timestamp_range(std::span<const int32_t> tokens) const {
  TimestampRange range{true, true, options_.timestamp_begin, options_.n_vocab};
  if (!options_.timestamps) {
    range.end = range.begin;
    return range;
  }
  if (tokens.empty()) {  // a window begins with the time of its first word
    range.text = range.end_of_text = false;
    if (options_.max_initial_timestamp >= 0) {
      range.end = std::min(range.end, range.begin + options_.max_initial_timestamp + 1);
    }
    return range;
  }
  const bool after_timestamp = is_timestamp(tokens.back());
  const bool after_pair = after_timestamp && (tokens.size() < 2 || is_timestamp(tokens[tokens.size() - 2]));
  if (after_pair) {  // a segment has begun: text must follow
    range.end = range.begin;
    return range;
  }
  if (after_timestamp) range.text = false;  // a segment has ended: the next begins, or all ends
  const auto last = std::find_if(tokens.rbegin(), tokens.rend(), [this](int32_t token) { return is_timestamp(token); });
  // Time does not run backwards, and a segment has a length, so that the window always advances.
  if (last != tokens.rend()) range.begin = std::min(range.end, after_timestamp ? *last : *last + 1);
  return range;
}

void LogitRules::punish_repetition(std::span<const int32_t> tokens, float* row) const {
  if (options_.repetition_penalty != 1.0f) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const int32_t token = tokens[i];
      if (token >= options_.eot) continue;
      if (std::find(tokens.begin(), tokens.begin() + i, token) != tokens.begin() + i) continue;  // once for each token
      row[token] = row[token] < 0 ? row[token] * options_.repetition_penalty : row[token] / options_.repetition_penalty;
    }
  }
  const size_t n = static_cast<size_t>(options_.no_repeat_ngram_size);
  if (n == 0 || tokens.size() < n) return;
  const std::span<const int32_t> ending = tokens.last(n - 1);
  for (size_t i = 0; i + n <= tokens.size(); ++i) {
    const int32_t next = tokens[i + n - 1];
    if (next < options_.eot && std::equal(ending.begin(), ending.end(), tokens.begin() + i)) {
      row[next] = kNegativeInfinity;
    }
  }
}

AllowedRow LogitRules::apply(const float* logits, std::span<const int32_t> tokens, float* scratch, bool may_end) const {
  const TimestampRange range = timestamp_range(tokens);
  // Special tokens between the end of text and the timestamps are never written.
  const int32_t text_begin = range.text ? 0 : options_.eot;
  const int32_t text_end = range.end_of_text ? options_.eot + (may_end ? 1 : 0) : text_begin;

  std::copy(logits + text_begin, logits + text_end, scratch + text_begin);
  std::copy(logits + range.begin, logits + range.end, scratch + range.begin);
  if (range.text) punish_repetition(tokens, scratch);
  forbid(options_.suppress, text_begin, text_end, scratch);
  forbid(options_.suppress, range.begin, range.end, scratch);
  if (tokens.empty()) {
    forbid(options_.begin_suppress, text_begin, text_end, scratch);
    forbid(options_.begin_suppress, range.begin, range.end, scratch);
  }

  Peak text = math_.peak(scratch + text_begin, text_end - text_begin);
  if (text.index >= 0) text.index += text_begin;
  Peak time = math_.peak(scratch + range.begin, range.end - range.begin);
  double time_log_sum = kNegativeInfinity;
  if (time.index >= 0) {
    time.index += range.begin;
    time_log_sum = time.value + std::log(math_.sum_exp(scratch + range.begin, range.end - range.begin, time.value));
  }

  AllowedRow allowed;
  allowed.row = scratch;
  // Some timestamp is likelier than the likeliest text token: then one must come.
  if (time_log_sum > text.value) {
    allowed.begin = range.begin;
    allowed.end = range.end;
    allowed.best = time;
    allowed.log_sum_exp = time_log_sum;
    return allowed;
  }
  if (text.index < 0) return allowed;  // nothing is allowed (all logits -inf or NaN)
  double sum = math_.sum_exp(scratch + text_begin, text_end - text_begin, text.value);
  if (time.index >= 0) {
    sum += std::exp(time_log_sum - text.value);
    std::fill(scratch + text_end, scratch + range.begin, kNegativeInfinity);
  }
  allowed.begin = text_begin;
  allowed.end = time.index >= 0 ? range.end : text_end;
  allowed.best = time.index >= 0 && time.value > text.value ? time : text;
  allowed.log_sum_exp = text.value + std::log(sum);
  return allowed;
}

}  // namespace anyon
