// GPT-2's pre-tokenisation: text falls into pieces that no token crosses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace anyon {

enum class CharacterClass : uint8_t { kOther, kLetter, kNumber, kSpace };

// By Unicode's general category (L*, N*) and White_Space property.
CharacterClass character_class(char32_t code_point);

// Bytes of the first piece of `text`, which is not empty. The pattern is the one published with GPT-2:
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// Invalid UTF-8 counts as characters that are neither letters, numbers nor spaces.
size_t next_piece(std::string_view text);

}  // namespace anyon
