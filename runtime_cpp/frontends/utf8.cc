#include "frontends/utf8.h"

namespace anyon {
namespace {

// The second byte's range decides whether a character may go on: no overlong forms, surrogates, or values past
// U+10FFFF.
bool may_follow(uint8_t first, uint8_t second) {
  switch (first) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return second >= 0x80 && second <= 0xBF;
  }
}

// Bytes that a character starting with `first` has; 0 when none does.
int length_of(uint8_t first) {
  if (first < 0x80) return 1;
  if (first < 0xC2) return 0;
  if (first < 0xE0) return 2;
  if (first < 0xF0) return 3;
  return first < 0xF5 ? 4 : 0;
}

}  // namespace

Utf8Step decode_utf8_step(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const int length = length_of(byte(0));
  if (length == 0) return {kReplacementCharacter, 1, false, false};
  if (length == 1) return {byte(0), 1, true, false};
  char32_t code_point = byte(0) & (0x7FU >> length);
  for (int i = 1; i < length; ++i) {
    const size_t at = static_cast<size_t>(i);
    if (at == bytes.size()) return {kReplacementCharacter, static_cast<uint8_t>(i), false, true};
    const bool follows = i == 1 ? may_follow(byte(0), byte(1)) : (byte(at) & 0xC0U) == 0x80U;
    if (!follows) return {kReplacementCharacter, static_cast<uint8_t>(i), false, false};
    code_point = code_point << 6 | (byte(at) & 0x3FU);
  }
  return {code_point, static_cast<uint8_t>(length), true, false};
}

size_t complete_utf8_prefix(std::string_view bytes) {
  // A character that is still open began in the last three bytes; an earlier step cannot be truncated.
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const std::string_view tail = bytes.substr(bytes.size() - back);
    if (static_cast<uint8_t>(tail[0]) < 0xC0) continue;
    const Utf8Step step = decode_utf8_step(tail);
    return step.truncated && step.length == back ? bytes.size() - back : bytes.size();
  }
  return bytes.size();
}

std::string utf8_lossy(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const Utf8Step step = decode_utf8_step(bytes);
    if (step.valid) {
      out.append(bytes.substr(0, step.length));
    } else {
      append_utf8(kReplacementCharacter, out);
    }
    bytes.remove_prefix(step.length);
  }
  return out;
}

void append_utf8(char32_t code_point, std::string& out) {
  const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
  if (surrogate || code_point > 0x10FFFF) code_point = kReplacementCharacter;
  const auto tail = [&](int shift) { out.push_back(static_cast<char>(0x80U | ((code_point >> shift) & 0x3FU))); };
  if (code_point < 0x80) {
    out.push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    out.push_back(static_cast<char>(0xC0U | code_point >> 6));
    tail(0);
  } else if (code_point < 0x10000) {
    out.push_back(static_cast<char>(0xE0U | code_point >> 12));
    tail(6);
    tail(0);
  } else {
    out.push_back(static_cast<char>(0xF0U | code_point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace anyon
