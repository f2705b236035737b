// Readers of the text files that vocabularies are published in. Each throws Error kBadTokenizer for malformed text.
#pragma once

#include <string_view>

#include "frontends/bpe_vocabulary.h"

namespace anyon {

// Hugging Face's tokenizer.json: a BPE model with the ByteLevel pre-tokeniser. What would change the result and is not
// supported (normalizers, dropout, prefixes, ...) is refused by name.
void read_tokenizer_json(std::string_view text, VocabularyBuilder& vocabulary);

// GPT-2's vocab.json: an object of token -> id.
void read_vocab_json(std::string_view text, VocabularyBuilder& vocabulary);

// GPT-2's merges.txt: "left right" a line, in rank order; a first line "#version..." is a comment.
void read_merges_txt(std::string_view text, VocabularyBuilder& vocabulary);

}  // namespace anyon
