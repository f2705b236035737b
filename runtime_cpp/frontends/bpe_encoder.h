// What encoding needs beside the vocabulary: token bytes -> id, pairs -> rank, and the merging itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "frontends/bpe_tokenizer.h"

namespace anyon {

// A special token's text and id.
using SpecialToken = std::pair<std::string_view, int32_t>;

// Immutable after construction; views what it was made from.
class BpeEncoder {
 public:
  // Ordinary text never becomes one of `special`. Throws Error kBadTokenizer for merges that the vocabulary
  // contradicts.
  BpeEncoder(const BpeArrays& arrays, std::vector<SpecialToken> special);

  // Appends the ids of text without special tokens.
  void encode_ordinary(std::string_view text, std::vector<int32_t>& ids) const;

  // Length and id of the longest special token that `text` begins with; (0, -1) when there is none.
  std::pair<size_t, int32_t> special_at(std::string_view text) const;

 private:
  class PieceMerger;

  // What joining two tokens gives; id is -1 when they do not join.
  struct Merge {
    uint32_t rank;
    int32_t id;
  };

  std::string_view text_of(int32_t id) const;
  int32_t find(std::string_view bytes) const;
  size_t slot_of(std::string_view bytes) const;
  // `bytes` are those of both tokens, joined.
  Merge merge_of(int32_t left, int32_t right, std::string_view bytes) const;
  size_t pair_slot_of(uint32_t left, uint32_t right) const;
  void index_tokens();
  void index_merges();
  void index_special();

  const BpeArrays& arrays_;
  size_t longest_ = 0;             // bytes of the longest ordinary token
  std::vector<int32_t> by_bytes_;  // open addressing, a power of two in size; -1 is empty
  std::vector<int32_t> by_pair_;   // likewise: the rank of a pair; -1 is empty
  std::vector<int32_t> merged_;    // by rank: the id of the joined bytes
  int32_t byte_ids_[256] = {};
  std::vector<SpecialToken> special_;    // sorted by text
  std::vector<size_t> special_lengths_;  // distinct, longest first
};

}  // namespace anyon
