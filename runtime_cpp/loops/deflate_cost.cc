#include "loops/deflate_cost.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

namespace anyon::deflate {
namespace {

constexpr int kMaxCodeLength = 15;
constexpr int kMaxMetaLength = 7;
constexpr int kMetaCodes = 19;
// In this order the lengths of the meta code are sent; trailing zeros are left out.
constexpr std::array<uint8_t, kMetaCodes> kMetaOrder = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                        11, 4,  12, 3, 13, 2, 14, 1, 15};

struct Node {
  uint32_t count;
  int depth;  // of the subtree: among equal counts the shallower joins first, which keeps codes short
  int index;
};

bool later(const Node& a, const Node& b) {
  return a.count != b.count ? a.count > b.count : a.depth > b.depth;
}

// Shortens codes longer than `limit`: moves each pair of too long leaves under a shorter one (Kraft's sum stays 1).
void limit_lengths(std::vector<uint8_t>& lengths, const std::vector<int>& depths, int limit) {
  std::array<int, 64> leaves{};
  int overflow = 0;
  for (const int depth : depths) {
    if (depth == 0) continue;
    ++leaves[static_cast<size_t>(std::min(depth, limit))];
    overflow += depth > limit ? 1 : 0;
  }
  for (; overflow > 0; overflow -= 2) {
    int bits = limit - 1;
    while (leaves[static_cast<size_t>(bits)] == 0) --bits;
    --leaves[static_cast<size_t>(bits)];
    leaves[static_cast<size_t>(bits) + 1] += 2;
    --leaves[static_cast<size_t>(limit)];
  }
  // The rarest symbols, which lie deepest, get the longest codes.
  std::vector<int> order;
  for (size_t symbol = 0; symbol < depths.size(); ++symbol) {
    if (depths[symbol] > 0) order.push_back(static_cast<int>(symbol));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return depths[static_cast<size_t>(a)] > depths[static_cast<size_t>(b)]; });
  int bits = limit;
  for (const int symbol : order) {
    while (leaves[static_cast<size_t>(bits)] == 0) --bits;
    --leaves[static_cast<size_t>(bits)];
    lengths[static_cast<size_t>(symbol)] = static_cast<uint8_t>(bits);
  }
}

// Huffman code lengths; at least two symbols get one, as decoders expect.
std::vector<uint8_t> code_lengths(const uint32_t* counts, int symbols, int limit) {
  std::vector<Node> heap;
  for (int i = 0; i < symbols; ++i) {
    if (counts[i] > 0) heap.push_back({counts[i], 0, i});
  }
  for (int i = 0; heap.size() < 2; ++i) {
    if (counts[i] == 0) heap.push_back({1, 0, i});
  }
  std::vector<int> parents(static_cast<size_t>(2 * symbols), -1);
  int next = symbols;
  std::make_heap(heap.begin(), heap.end(), later);
  while (heap.size() > 1) {
    Node pair[2];
    for (Node& node : pair) {
      std::pop_heap(heap.begin(), heap.end(), later);
      node = heap.back();
      heap.pop_back();
      parents[static_cast<size_t>(node.index)] = next;
    }
    heap.push_back({pair[0].count + pair[1].count, std::max(pair[0].depth, pair[1].depth) + 1, next++});
    std::push_heap(heap.begin(), heap.end(), later);
  }
  // Parents have larger indices than children, so depths follow from the root down.
  std::vector<int> depths(static_cast<size_t>(next), 0);
  for (int i = next - 2; i >= 0; --i) {
    const size_t at = static_cast<size_t>(i);
    if (parents[at] >= 0) depths[at] = depths[static_cast<size_t>(parents[at])] + 1;
  }
  depths.resize(static_cast<size_t>(symbols));
  std::vector<uint8_t> lengths(depths.begin(), depths.end());
  if (*std::max_element(depths.begin(), depths.end()) > limit) limit_lengths(lengths, depths, limit);
  return lengths;
}

// Code lengths as the block's header spells them: runs become meta codes 16 (repeat 3-6), 17 and 18 (zeros).
struct Header {
  uint32_t counts[kMetaCodes] = {};
  int64_t extra_bits = 0;

  void add(const std::vector<uint8_t>& lengths, size_t used) {
    for (size_t i = 0; i < used;) {
      size_t run = 1;
      while (i + run < used && lengths[i + run] == lengths[i]) ++run;
      add_run(lengths[i], run);
      i += run;
    }
  }

 private:
  void add_run(uint8_t length, size_t run) {
    if (length != 0) {
      // A repeat refers to the length before it, so the first of a run is spelled out.
      const size_t first = run < 4 ? run : 1;
      counts[length] += static_cast<uint32_t>(first);
      run -= first;
    }
    while (run > 0) {
      const size_t part = std::min<size_t>(run, length != 0 ? 6 : 138);
      if (part < 3) {
        counts[length] += static_cast<uint32_t>(part);
      } else {
        const int code = length != 0 ? 16 : part <= 10 ? 17 : 18;
        ++counts[code];
        extra_bits += code == 16 ? 2 : code == 17 ? 3 : 7;
      }
      run -= part;
    }
  }
};

int64_t weighted(const uint32_t* counts, const std::vector<uint8_t>& lengths) {
  int64_t bits = 0;
  for (size_t i = 0; i < lengths.size(); ++i) bits += static_cast<int64_t>(counts[i]) * lengths[i];
  return bits;
}

size_t used_codes(const std::vector<uint8_t>& lengths, size_t least) {
  size_t used = lengths.size();
  while (used > least && lengths[used - 1] == 0) --used;
  return used;
}

int64_t dynamic_bits(const Block& block) {
  const std::vector<uint8_t> literals = code_lengths(block.literals, kLiteralCodes, kMaxCodeLength);
  const std::vector<uint8_t> distances = code_lengths(block.distances, kDistanceCodes, kMaxCodeLength);
  Header header;
  header.add(literals, used_codes(literals, 257));
  header.add(distances, used_codes(distances, 1));
  const std::vector<uint8_t> meta = code_lengths(header.counts, kMetaCodes, kMaxMetaLength);
  int64_t meta_sent = kMetaCodes;
  while (meta_sent > 4 && meta[kMetaOrder[static_cast<size_t>(meta_sent) - 1]] == 0) --meta_sent;
  return 5 + 5 + 4 + 3 * meta_sent + weighted(header.counts, meta) + header.extra_bits +
         weighted(block.literals, literals) + weighted(block.distances, distances) + block.extra_bits;
}

int64_t fixed_bits(const Block& block) {
  int64_t bits = block.extra_bits;
  for (int i = 0; i < kLiteralCodes; ++i) {
    const int length = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    bits += static_cast<int64_t>(block.literals[i]) * length;
  }
  for (const uint32_t count : block.distances) bits += static_cast<int64_t>(count) * 5;
  return bits;
}

}  // namespace

void Block::add_literal(uint8_t byte) {
  ++literals[byte];
  ++symbols;
  ++bytes;
}

void Block::add_match(int length, int distance) {
  // Above the first few, codes count in powers of two with one or two further bits; the rest follow verbatim.
  const uint32_t l = static_cast<uint32_t>(length - 3), d = static_cast<uint32_t>(distance - 1);
  if (length == 258) {
    ++literals[285];
  } else if (l < 8) {
    ++literals[257 + l];
  } else {
    const uint32_t extra = static_cast<uint32_t>(std::bit_width(l)) - 3;
    ++literals[257 + 4 * (extra + 1) + ((l >> extra) & 3)];
    extra_bits += extra;
  }
  if (d < 4) {
    ++distances[d];
  } else {
    const uint32_t extra = static_cast<uint32_t>(std::bit_width(d)) - 2;
    ++distances[2 * (extra + 1) + ((d >> extra) & 1)];
    extra_bits += extra;
  }
  ++symbols;
  bytes += length;
}

int64_t bits_after(int64_t bits, const Block& block) {
  Block ended = block;
  ++ended.literals[kEndOfBlock];
  const int64_t coded = bits + 3 + std::min(fixed_bits(ended), dynamic_bits(ended));
  // A stored block starts at a byte, with its size and the size's complement; it holds at most 65535 bytes.
  const int64_t parts = std::max<int64_t>(1, (block.bytes + 65534) / 65535);
  const int64_t stored = (bits + 3 + 7) / 8 * 8 + parts * 32 + (parts - 1) * 8 + block.bytes * 8;
  return std::min(coded, stored);
}

}  // namespace anyon::deflate
