#include "loops/compression_ratio.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "loops/deflate_cost.h"

namespace anyon {
namespace {

// zlib's level 6 and memory level 8, so that sizes are its sizes.
constexpr int64_t kWindow = 32768;
constexpr int64_t kMaxDistance = kWindow - 262;
constexpr int kMinMatch = 3;
constexpr int kMaxMatch = 258;
constexpr int kMaxLazy = 16;            // a match this long is taken without looking one byte further
constexpr int kGoodMatch = 8;           // beyond it the search for a better one is cut to a quarter
constexpr int kNiceMatch = 128;         // good enough to stop searching
constexpr int kMaxChain = 128;          // candidates looked at
constexpr int64_t kFarForThree = 4096;  // a match of three bytes from further away costs more than three literals
constexpr int64_t kBlockSymbols = 16383;

struct Match {
  int length = kMinMatch - 1;
  int64_t start = 0;
};

// Earlier places with the same three bytes, latest first: a hash table of chains through a ring of one window.
class MatchFinder {
 public:
  explicit MatchFinder(std::span<const uint8_t> bytes) : bytes_(bytes) {
    const int bits = std::clamp(static_cast<int>(std::bit_width(bytes.size())) + 1, 8, 15);
    shift_ = 32 - bits;
    heads_.assign(size_t{1} << bits, 0);
    ring_.assign(std::bit_ceil(std::min(bytes.size() + 1, static_cast<size_t>(kWindow))), 0);
  }

  // Enters `at` and returns the latest earlier place with its hash; 0 is none, so the very first byte is never found,
  // as in zlib.
  int64_t insert(int64_t at) {
    if (at + kMinMatch > static_cast<int64_t>(bytes_.size())) return 0;
    const uint8_t* const p = bytes_.data() + at;
    const uint32_t key =
        static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 8 | static_cast<uint32_t>(p[2]) << 16;
    int64_t& head = heads_[key * 2654435761U >> shift_];
    const int64_t previous = head;
    ring_[static_cast<size_t>(at) & (ring_.size() - 1)] = previous;
    head = at;
    return previous;
  }

  // The longest match for `at`, longer than `known`, among the chain that begins at `candidate`.
  Match longest(int64_t at, int64_t candidate, int known) const {
    const int available = static_cast<int>(std::min<int64_t>(kMaxMatch, static_cast<int64_t>(bytes_.size()) - at));
    const int nice = std::min(kNiceMatch, available);
    int chain = known >= kGoodMatch ? kMaxChain / 4 : kMaxChain;
    Match best{known, 0};
    const uint8_t* const here = bytes_.data() + at;
    while (candidate > 0 && at - candidate <= kMaxDistance && chain-- > 0) {
      const uint8_t* const there = bytes_.data() + candidate;
      if (best.length < available && there[best.length] == here[best.length]) {
        const int length = common_prefix(here, there, available);
        if (length > best.length) {
          best = {length, candidate};
          if (length >= nice) break;
        }
      }
      const int64_t older = ring_[static_cast<size_t>(candidate) & (ring_.size() - 1)];
      if (older >= candidate) break;  // the ring has been overwritten: the rest is out of reach
      candidate = older;
    }
    return best.start > 0 ? best : Match{};
  }

 private:
  static int common_prefix(const uint8_t* a, const uint8_t* b, int limit) {
    int length = 0;
    while (length < limit && a[length] == b[length]) ++length;
    return length;
  }

  std::span<const uint8_t> bytes_;
  int shift_;
  std::vector<int64_t> heads_;
  std::vector<int64_t> ring_;
};

// Adds blocks up as symbols come in.
class Sizer {
 public:
  void literal(uint8_t byte) {
    block_.add_literal(byte);
    end_full_block();
  }
  void match(int length, int64_t distance) {
    block_.add_match(length, static_cast<int>(distance));
    end_full_block();
  }
  int64_t finish() {
    // Two bytes of header and four of checksum frame the deflate data.
    return 6 + (deflate::bits_after(bits_, block_) + 7) / 8;
  }

 private:
  void end_full_block() {
    if (block_.symbols < kBlockSymbols) return;
    bits_ = deflate::bits_after(bits_, block_);
    block_ = {};
  }

  deflate::Block block_;
  int64_t bits_ = 0;
};

}  // namespace

int64_t zlib_size(std::span<const uint8_t> bytes) {
  const int64_t size = static_cast<int64_t>(bytes.size());
  MatchFinder finder(bytes);
  Sizer sizer;
  Match previous;          // what starts at the byte before `at`
  bool undecided = false;  // whether that byte still has to be sent, as a literal or as the start of `previous`
  for (int64_t at = 0; at < size;) {
    const int64_t candidate = finder.insert(at);
    Match current;
    if (candidate > 0 && at - candidate <= kMaxDistance && previous.length < kMaxLazy) {
      current = finder.longest(at, candidate, previous.length);
      if (current.length == kMinMatch && at - current.start > kFarForThree) current = {};
    }
    if (previous.length >= kMinMatch && current.length <= previous.length) {
      sizer.match(previous.length, at - 1 - previous.start);
      const int64_t end = at - 1 + previous.length;
      while (++at < end) finder.insert(at);
      previous = {};
      undecided = false;
      continue;
    }
    if (undecided) sizer.literal(bytes[static_cast<size_t>(at) - 1]);
    undecided = true;
    previous = current;
    ++at;
  }
  if (undecided) sizer.literal(bytes[static_cast<size_t>(size) - 1]);
  return sizer.finish();
}

double compression_ratio(std::string_view utf8) {
  if (utf8.empty()) return 0.0;
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(utf8.data()), utf8.size());
  return static_cast<double>(utf8.size()) / static_cast<double>(zlib_size(bytes));
}

}  // namespace anyon
