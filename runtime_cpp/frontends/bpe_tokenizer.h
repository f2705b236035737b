// Byte-level byte-pair encoding as GPT-2 defined it and Whisper uses it: text <-> token ids.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace anyon {

// A vocabulary as the bundle stores it. The spans are viewed, not copied: they must outlive the tokenizer.
struct BpeArrays {
  std::span<const uint32_t> offsets;  // n + 1 of them; token i is bytes[offsets[i], offsets[i + 1])
  std::span<const uint8_t> bytes;
  // Pairs of token ids in rank order, flattened (left, right, left, right, ...). Empty when merges_by_id.
  std::span<const uint32_t> merges;
  // The rank of a merged pair is the id of the joined bytes (true for GPT-2's and Whisper's vocabularies).
  bool merges_by_id = true;
  // Ids in [0, n_vocab) exist; those without bytes and without an entry in `special` decode to nothing.
  int64_t n_vocab = 0;
  std::vector<std::pair<std::string, int32_t>> special;  // text, id; ids may lie inside or outside the offsets
};

// Words of a token sequence, for word timestamps. words[i] is the valid UTF-8 text of tokens[i].
struct WordSplit {
  std::vector<std::string> words;
  std::vector<std::vector<int32_t>> tokens;
};

// Immutable; any number of threads may use one. The lookup that encode needs is built by its first caller.
class BpeTokenizer {
 public:
  // Throws Error kBadTokenizer where the arrays contradict each other.
  explicit BpeTokenizer(BpeArrays arrays);

  // From the text of a Hugging Face tokenizer.json whose model is a byte-level BPE. Throws Error kBadTokenizer for
  // malformed, oversized or contradictory text and names what it does not support.
  static BpeTokenizer from_tokenizer_json(std::string_view json);

  // From GPT-2's vocab.json and merges.txt; `special` are added tokens (text, id).
  static BpeTokenizer from_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                            std::span<const std::pair<std::string, int32_t>> special = {});

  ~BpeTokenizer();
  BpeTokenizer(BpeTokenizer&&) noexcept;
  BpeTokenizer& operator=(BpeTokenizer&&) noexcept;

  int64_t n_vocab() const;

  // Ids of the text. With allow_special, special tokens written in the text become their ids (longest match first);
  // without, they are ordinary text. Invalid UTF-8 is encoded byte by byte.
  std::vector<int32_t> encode(std::string_view utf8, bool allow_special = false) const;

  // The bytes of the tokens one after the other; they may end inside a UTF-8 character (complete_utf8_prefix in
  // utf8.h). Special tokens give their text, or nothing with skip_special. Throws Error kInvalidArgument for an id
  // outside [0, n_vocab).
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  // The bytes of one token (a special token's text); empty for an id without any. Throws as decode does.
  std::string_view token(int32_t id) const;

  // Special tokens, ids beyond those that have bytes, and Whisper's timestamps (all ids after <|notimestamps|>).
  bool is_special(int32_t id) const;

  // The id of a special token's text, or -1.
  int32_t special_id(std::string_view text) const;

  // Splits text tokens into words as openai-whisper does for word timestamps: at every complete character for
  // languages written without spaces (zh, ja, th, lo, my, yue), otherwise at spaces and punctuation. `language` is a
  // code such as "en"; "" means English. Special tokens become words of their own.
  WordSplit split_to_word_tokens(std::span<const int32_t> ids, std::string_view language) const;

 private:
  struct Data;
  explicit BpeTokenizer(std::unique_ptr<Data> data);
  std::unique_ptr<Data> data_;
};

}  // namespace anyon
