// What the text probably is.
#include "loops/draft.h"

#include <algorithm>

namespace anyon {

namespace {

constexpr size_t kShortest = 2;  // proposal: a run of three rows costs hardly more than one of one

}  // namespace

Draft::Draft(std::vector<int32_t> tokens, int32_t timestamp_begin)
    : tokens_(std::move(tokens)), timestamp_begin_(timestamp_begin) {}

std::span<const int32_t> Draft::proposal(size_t most) const {
  if (lost_) return {};
  return std::span(tokens_).subspan(place_, std::min({most, length_, tokens_.size() - place_}));
}

void Draft::follow(int32_t token) {
  if (is_timestamp(token)) {
    if (!lost_ && place_ < tokens_.size() && is_timestamp(tokens_[place_])) ++place_;
    return;
  }
  latest_ = {latest_[1], token};
  size_t next = place_;
  while (next < tokens_.size() && is_timestamp(tokens_[next])) ++next;
  if (!lost_ && next < tokens_.size() && tokens_[next] == token) {
    place_ = next + 1;
    return;
  }
  // One token that agrees says little: the same words come again and again.
  size_t found = place_after(place_);
  if (found == 0) found = place_after(0);
  lost_ = found == 0;
  if (!lost_) place_ = found;
}

size_t Draft::place_after(size_t from) const {
  int32_t before = -1;
  for (size_t i = from; i < tokens_.size(); ++i) {
    if (is_timestamp(tokens_[i])) continue;
    if (before == latest_[0] && tokens_[i] == latest_[1]) return i + 1;
    before = tokens_[i];
  }
  return 0;
}

void Draft::judge(size_t proposed, size_t accepted) {
  length_ = accepted == proposed ? std::min(2 * length_, kMost) : std::max(accepted, kShortest);
}

}  // namespace anyon
