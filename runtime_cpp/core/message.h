// Messages from parts: text and numbers side by side. What is written where an error arises costs an application a few
// bytes for each part; the concatenation is in one place.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace anyon {

// One part, valid within the expression that makes it.
class Part {
 public:
  // NOLINTBEGIN(google-explicit-constructor): implicit on purpose
  Part(const char* text) : text_(text), number_(-1) {}
  Part(std::string_view text) : text_(text.data()), number_(static_cast<int64_t>(text.size())) {}
  Part(const std::string& text) : Part(std::string_view(text)) {}
  Part(std::initializer_list<Part> parts) : kind_(Kind::kParts), number_(static_cast<int64_t>(parts.size())) {
    parts_ = parts.begin();  // as long as the whole expression, like everything a part refers to
  }
  template <std::integral Number>
  Part(Number number) : kind_(kKind<Number>), number_(static_cast<int64_t>(number)) {}
  // NOLINTEND(google-explicit-constructor)

  void append_to(std::string& message) const;

 private:
  enum class Kind : uint8_t { kText, kParts, kChar, kSigned, kUnsigned };
  template <class Number>
  static constexpr Kind kKind = std::same_as<Number, char>     ? Kind::kChar
                                : std::signed_integral<Number> ? Kind::kSigned
                                                               : Kind::kUnsigned;

  Kind kind_ = Kind::kText;
  union {
    const char* text_ = nullptr;
    const Part* parts_;
  };
  int64_t number_ = 0;  // of text: its length, or -1 where it ends with a zero byte; of parts: how many
};

using Parts = std::initializer_list<Part>;

std::string text_of(Parts parts);

}  // namespace anyon
