// How compressible a text is: the guard against transcripts that repeat themselves.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace anyon {

// Bytes that zlib at its default level would need for `bytes`, framing included; within 2 % or 3 bytes. Nothing is
// written. Time is linear in the size; memory is bounded (about 0.5 MiB) whatever the input.
int64_t zlib_size(std::span<const uint8_t> bytes);

// len(utf8) / zlib_size(utf8), openai-whisper's compression_ratio; 0 for empty text.
double compression_ratio(std::string_view utf8);

}  // namespace anyon
