// A vocabulary as text files spell it, collected token by token and turned into the arrays a tokenizer views.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "frontends/bpe_tokenizer.h"

namespace anyon {

inline constexpr size_t kMaxTokenizerText =
    limits::kTokenizerText;                             // bytes of a tokenizer.json, vocab.json or merges.txt
inline constexpr int64_t kMaxTokens = limits::kTokens;  // tokens and merges
inline constexpr int64_t kMaxTokenId = limits::kTokenId;
inline constexpr size_t kMaxTokenText = limits::kTokenBytes;  // bytes of a token as it is spelled

// For messages: the first bytes of whatever the text holds, valid UTF-8, in quotes.
std::string in_quotes(std::string_view text);

// The arrays of a vocabulary and the memory they view.
struct OwnedVocabulary {
  std::vector<uint32_t> offsets;
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> merges;
  std::vector<std::pair<std::string, int32_t>> special;
  int64_t n_vocab = 0;
};

// Every method throws Error kBadTokenizer for what exceeds the limits, repeats or contradicts what came before.
class VocabularyBuilder {
 public:
  // `text` is in GPT-2's byte alphabet.
  void add_token(std::string_view text, int64_t id);
  void add_merge(std::string_view left, std::string_view right);
  // "left right", as merges.txt and older tokenizer.json spell a merge.
  void add_merge(std::string_view line);
  // `text` is itself; it may repeat a token of the vocabulary under the same id.
  void add_special(std::string_view text, int64_t id);

  OwnedVocabulary build();

 private:
  std::unordered_map<std::string, int32_t> ids_;    // by text in the byte alphabet
  std::unordered_map<int32_t, std::string> texts_;  // the same, by id
  std::unordered_map<std::string, int32_t> special_;
  std::unordered_map<int32_t, std::string> special_texts_;
  std::vector<std::pair<std::string, std::string>> merges_;
};

}  // namespace anyon
