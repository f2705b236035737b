#include "frontends/pre_tokenizer.h"

#include <algorithm>
#include <iterator>

#include "frontends/utf8.h"

namespace anyon {
namespace {

constexpr uint32_t kRuns[] = {
#include "frontends/unicode_tables.inc"
};

struct Character {
  CharacterClass kind;
  size_t length;
};

Character character_at(std::string_view text) {
  const Utf8Step step = decode_utf8_step(text);
  return {step.valid ? character_class(step.code_point) : CharacterClass::kOther, step.length};
}

// Bytes of the leading characters of one class.
size_t run_of(CharacterClass kind, std::string_view text) {
  size_t length = 0;
  while (length < text.size()) {
    const Character next = character_at(text.substr(length));
    if (next.kind != kind) break;
    length += next.length;
  }
  return length;
}

// 's 't 're 've 'm 'll 'd; 0 when the text begins with none of them.
size_t contraction(std::string_view text) {
  if (text[0] != '\'' || text.size() < 2) return 0;
  switch (text[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'r':
    case 'v':
      return text.size() > 2 && text[2] == 'e' ? 3 : 0;
    case 'l':
      return text.size() > 2 && text[2] == 'l' ? 3 : 0;
    default:
      return 0;
  }
}

// A run of white space keeps its last character for the piece that follows it.
size_t spaces(std::string_view text) {
  size_t length = 0, last = 0;
  while (length < text.size()) {
    const Character next = character_at(text.substr(length));
    if (next.kind != CharacterClass::kSpace) return length > last ? length - last : length;
    length += next.length;
    last = next.length;
  }
  return length;
}

}  // namespace

CharacterClass character_class(char32_t code_point) {
  const uint32_t key = static_cast<uint32_t>(code_point) << 2 | 3U;
  const uint32_t* const after = std::upper_bound(std::begin(kRuns), std::end(kRuns), key);
  return static_cast<CharacterClass>(*std::prev(after) & 3U);
}

size_t next_piece(std::string_view text) {
  if (const size_t length = contraction(text)) return length;
  const size_t space = text[0] == ' ' ? 1 : 0;
  if (space < text.size()) {
    const CharacterClass kind = character_at(text.substr(space)).kind;
    if (kind != CharacterClass::kSpace) return space + run_of(kind, text.substr(space));
  }
  return spaces(text);
}

}  // namespace anyon
