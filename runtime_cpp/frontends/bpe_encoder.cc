#include "frontends/bpe_encoder.h"

#include <algorithm>
#include <bit>
#include <string>
#include <unordered_set>

#include "core/status.h"
#include "frontends/pre_tokenizer.h"

namespace anyon {
namespace {

[[noreturn]] void refuse(Parts what) {
  throw_error(Status::kBadTokenizer, {"tokenizer: ", what, " (a damaged or foreign vocabulary?)"});
}

uint64_t mix(uint64_t hash) {
  hash ^= hash >> 32;
  hash *= 0x9E3779B97F4A7C15U;
  return hash ^ hash >> 29;
}

// FNV-1a, finished so that the low bits can index a table.
uint64_t hash_of(std::string_view bytes) {
  uint64_t hash = 0xCBF29CE484222325U;
  for (const char byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001B3U;
  return mix(hash);
}

// At most half full, so that probing stays short.
size_t table_size(size_t entries) {
  return std::bit_ceil(std::max<size_t>(entries, 8) * 2);
}

}  // namespace

// Merges one piece: a linked list of symbols and a heap of the pairs that could join, lowest rank first, then leftmost.
// O(n log n), so a piece of a million letters is no trap. Its buffers serve piece after piece.
class BpeEncoder::PieceMerger {
 public:
  explicit PieceMerger(const BpeEncoder& encoder) : encoder_(encoder) {}

  void merge(std::string_view piece, std::vector<int32_t>& ids) {
    piece_ = piece;
    start();
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), Later());
      const Candidate best = heap_.back();
      heap_.pop_back();
      if (still_there(best)) join(best);
    }
    for (int32_t at = 0; at >= 0; at = symbols_[static_cast<size_t>(at)].next) {
      ids.push_back(symbols_[static_cast<size_t>(at)].id);
    }
  }

 private:
  struct Symbol {
    int32_t id;        // -1 once joined into the symbol before it
    int32_t length;    // bytes; a symbol starts at its own index
    int32_t previous;  // -1 at the ends
    int32_t next;
  };
  struct Candidate {
    uint32_t rank;
    int32_t at;      // the left symbol
    int32_t length;  // bytes of both: tells whether the same two symbols still stand there
    int32_t id;
  };
  struct Later {
    bool operator()(const Candidate& a, const Candidate& b) const {
      return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
    }
  };

  void start() {
    const int32_t size = static_cast<int32_t>(piece_.size());
    symbols_.clear();
    heap_.clear();
    for (int32_t i = 0; i < size; ++i) {
      const uint8_t byte = static_cast<uint8_t>(piece_[static_cast<size_t>(i)]);
      const int32_t id = encoder_.byte_ids_[byte];
      if (id < 0) refuse({"no token for byte ", byte});
      symbols_.push_back({id, 1, i - 1, i + 1 < size ? i + 1 : -1});
    }
    for (int32_t i = 0; i + 1 < size; ++i) consider(i);
  }

  Symbol& symbol(int32_t at) { return symbols_[static_cast<size_t>(at)]; }

  // Puts the pair that begins at `at` on the heap if it joins.
  void consider(int32_t at) {
    const Symbol& left = symbol(at);
    if (left.next < 0) return;
    const Symbol& right = symbol(left.next);
    const int32_t length = left.length + right.length;
    const std::string_view bytes = piece_.substr(static_cast<size_t>(at), static_cast<size_t>(length));
    const Merge merge = encoder_.merge_of(left.id, right.id, bytes);
    if (merge.id < 0) return;
    heap_.push_back({merge.rank, at, length, merge.id});
    std::push_heap(heap_.begin(), heap_.end(), Later());
  }

  bool still_there(const Candidate& candidate) {
    const Symbol& left = symbol(candidate.at);
    return left.id >= 0 && left.next >= 0 && left.length + symbol(left.next).length == candidate.length;
  }

  void join(const Candidate& candidate) {
    Symbol& left = symbol(candidate.at);
    Symbol& right = symbol(left.next);
    left.id = candidate.id;
    left.length = candidate.length;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbol(left.next).previous = candidate.at;
    if (left.previous >= 0) consider(left.previous);
    consider(candidate.at);
  }

  const BpeEncoder& encoder_;
  std::string_view piece_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
};

BpeEncoder::BpeEncoder(const BpeArrays& arrays, std::vector<SpecialToken> special)
    : arrays_(arrays), special_(std::move(special)) {
  index_tokens();
  if (!arrays_.merges_by_id) index_merges();
  index_special();
}

std::string_view BpeEncoder::text_of(int32_t id) const {
  const uint32_t begin = arrays_.offsets[static_cast<size_t>(id)], end = arrays_.offsets[static_cast<size_t>(id) + 1];
  return {reinterpret_cast<const char*>(arrays_.bytes.data()) + begin, end - begin};
}

size_t BpeEncoder::slot_of(std::string_view bytes) const {
  const size_t mask = by_bytes_.size() - 1;
  size_t slot = hash_of(bytes) & mask;
  while (by_bytes_[slot] >= 0 && text_of(by_bytes_[slot]) != bytes) slot = (slot + 1) & mask;
  return slot;
}

int32_t BpeEncoder::find(std::string_view bytes) const {
  return bytes.size() > longest_ ? -1 : by_bytes_[slot_of(bytes)];
}

size_t BpeEncoder::pair_slot_of(uint32_t left, uint32_t right) const {
  const size_t mask = by_pair_.size() - 1;
  size_t slot = mix((static_cast<uint64_t>(left) << 32 | right) * 0x9E3779B97F4A7C15U) & mask;
  while (by_pair_[slot] >= 0) {
    const size_t at = static_cast<size_t>(by_pair_[slot]) * 2;
    if (arrays_.merges[at] == left && arrays_.merges[at + 1] == right) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

BpeEncoder::Merge BpeEncoder::merge_of(int32_t left, int32_t right, std::string_view bytes) const {
  if (arrays_.merges_by_id) {
    const int32_t id = find(bytes);
    return {static_cast<uint32_t>(id), id};
  }
  const int32_t rank = by_pair_[pair_slot_of(static_cast<uint32_t>(left), static_cast<uint32_t>(right))];
  return {static_cast<uint32_t>(rank), rank < 0 ? -1 : merged_[static_cast<size_t>(rank)]};
}

void BpeEncoder::index_tokens() {
  // Where pairs are listed, they alone decide; where any joined bytes count, special tokens must not be among them.
  std::unordered_set<int32_t> special_ids;
  if (arrays_.merges_by_id) {
    for (const SpecialToken& token : special_) special_ids.insert(token.second);
  }
  const int32_t count = static_cast<int32_t>(arrays_.offsets.size()) - 1;
  by_bytes_.assign(table_size(static_cast<size_t>(count)), -1);
  for (int32_t id = 0; id < count; ++id) {
    const std::string_view text = text_of(id);
    if (text.empty() || special_ids.contains(id)) continue;
    const size_t slot = slot_of(text);
    if (by_bytes_[slot] >= 0) continue;  // the same bytes twice: the first id is the one that encoding gives
    by_bytes_[slot] = id;
    longest_ = std::max(longest_, text.size());
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(byte);
    byte_ids_[byte] = find({&text, 1});
  }
}

void BpeEncoder::index_merges() {
  const size_t pairs = arrays_.merges.size() / 2;
  const size_t count = arrays_.offsets.size() - 1;
  by_pair_.assign(table_size(pairs), -1);
  merged_.reserve(pairs);
  std::string joined;
  for (size_t rank = 0; rank < pairs; ++rank) {
    const uint32_t left = arrays_.merges[2 * rank], right = arrays_.merges[2 * rank + 1];
    const std::string where = "merge " + std::to_string(rank);
    if (left >= count || right >= count) refuse({where, " names a token that does not exist"});
    joined = text_of(static_cast<int32_t>(left));
    joined += text_of(static_cast<int32_t>(right));
    merged_.push_back(joined.empty() ? -1 : find(joined));
    if (merged_.back() < 0) refuse({where, " makes bytes that are no token"});
    const size_t slot = pair_slot_of(left, right);
    if (by_pair_[slot] >= 0) refuse({where, " repeats an earlier one"});
    by_pair_[slot] = static_cast<int32_t>(rank);
  }
}

void BpeEncoder::index_special() {
  std::erase_if(special_, [](const SpecialToken& token) { return token.first.empty(); });
  std::sort(special_.begin(), special_.end());
  for (const SpecialToken& token : special_) special_lengths_.push_back(token.first.size());
  std::sort(special_lengths_.begin(), special_lengths_.end(), std::greater<>());
  special_lengths_.erase(std::unique(special_lengths_.begin(), special_lengths_.end()), special_lengths_.end());
}

std::pair<size_t, int32_t> BpeEncoder::special_at(std::string_view text) const {
  for (const size_t length : special_lengths_) {
    if (length > text.size()) continue;
    const std::string_view head = text.substr(0, length);
    const auto found = std::lower_bound(special_.begin(), special_.end(), SpecialToken{head, -1});
    if (found != special_.end() && found->first == head) return {length, found->second};
  }
  return {0, -1};
}

void BpeEncoder::encode_ordinary(std::string_view text, std::vector<int32_t>& ids) const {
  PieceMerger merger(*this);
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, next_piece(text));
    text.remove_prefix(piece.size());
    // Ids as ranks: a piece that is a token is that token, even where no merges lead to it.
    const int32_t whole = arrays_.merges_by_id ? find(piece) : -1;
    if (whole >= 0) {
      ids.push_back(whole);
    } else {
      merger.merge(piece, ids);
    }
  }
}

}  // namespace anyon
