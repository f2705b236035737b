// Grouping tokens into words, as openai-whisper does for word timestamps.
#pragma once

#include <span>
#include <string_view>

#include "frontends/bpe_tokenizer.h"

namespace anyon {

// BpeTokenizer::split_to_word_tokens.
WordSplit split_words(const BpeTokenizer& tokenizer, std::span<const int32_t> ids, std::string_view language);

}  // namespace anyon
