// What the text probably is: an earlier transcript of the same sound, or a script. The decoder checks several of its
// tokens in one run and keeps those it would have written itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace anyon {

// Follows the text that is written, and finds its place again after a difference. Timestamps that differ, or that only
// one side has, do not lead it astray.
class Draft {
 public:
  // Most tokens of a proposal: with the token before it 16, as many queries as attention takes without packing the
  // keys, so that it sums as it does for single tokens.
  static constexpr size_t kMost = 15;

  Draft(std::vector<int32_t> tokens, int32_t timestamp_begin);

  // What may come next: at most `most` tokens, none when the place is lost or the draft is at its end.
  std::span<const int32_t> proposal(size_t most) const;
  // `token` was written next, whether it was proposed or not.
  void follow(int32_t token);
  // How a proposal fared: the next is longer after a good one, shorter after a bad one.
  void judge(size_t proposed, size_t accepted);

 private:
  bool is_timestamp(int32_t token) const { return token >= timestamp_begin_; }
  // The place behind the first two tokens from `from` on that are the latest of the text, or 0.
  size_t place_after(size_t from) const;

  std::vector<int32_t> tokens_;
  int32_t timestamp_begin_;
  size_t place_ = 0;  // of the token that should come next
  bool lost_ = false;
  size_t length_ = kMost;                     // of the next proposal
  std::array<int32_t, 2> latest_ = {-1, -1};  // of the text written, timestamps left out
};

}  // namespace anyon
