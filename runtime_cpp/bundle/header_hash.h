// The hash that protects a bundle's header: names, shapes, offsets and the manifest.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace anyon {

// The metadata entry that holds it.
inline constexpr std::string_view kHeaderHashKey = "header_sha256";

// SHA-256, as 64 digits, of `header` (its 8 size bytes and the JSON as written, padding included) with the 64 bytes at
// `digits`, where the header holds this very hash, taken as '0'.
std::string header_hash(std::span<const std::byte> header, size_t digits);

// `stated` is what the header's own metadata says. Throws Error(kBadBundle) when it is not 64 digits that stand once
// in the header, or not its hash. `file` stands at the start of messages.
void check_header_hash(std::span<const std::byte> header, const std::string& stated, const std::string& file);

}  // namespace anyon
