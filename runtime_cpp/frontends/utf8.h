// UTF-8 helpers that never fail: text from a model may end inside a character or hold stray bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace anyon {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// One character, or one maximal invalid part of one (Unicode 15, section 3.9, "U+FFFD Substitution of Maximal
// Subparts").
struct Utf8Step {
  char32_t code_point;  // kReplacementCharacter where invalid
  uint8_t length;       // bytes consumed, 1..4
  bool valid;
  bool truncated;  // invalid only because the text ended inside a character
};

// Decodes at bytes[0]; `bytes` must not be empty.
Utf8Step decode_utf8_step(std::string_view bytes);

// Length of the longest prefix that does not end inside a character that more bytes could complete.
size_t complete_utf8_prefix(std::string_view bytes);

// The text with every invalid part replaced by U+FFFD, as Python's bytes.decode("utf-8", errors="replace").
std::string utf8_lossy(std::string_view bytes);

// Appends the character; invalid code points become U+FFFD.
void append_utf8(char32_t code_point, std::string& out);

}  // namespace anyon
