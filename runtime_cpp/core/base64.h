// Base64 (RFC 4648, section 4), read strictly: one text for every sequence of bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace anyon {

// The bytes that `text` stands for; nothing when it has other characters (white space too), lacks padding, or has bits
// after the last byte that are not zero.
std::optional<std::string> base64_bytes(std::string_view text);

}  // namespace anyon
