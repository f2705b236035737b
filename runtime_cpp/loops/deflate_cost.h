// Bits that one deflate block takes for given symbol counts (RFC 1951), without writing it.
#pragma once

#include <cstdint>

namespace anyon::deflate {

inline constexpr int kLiteralCodes = 286;  // bytes, end of block, lengths
inline constexpr int kDistanceCodes = 30;
inline constexpr int kEndOfBlock = 256;

// What a block holds: how often each code, and how many bits follow codes verbatim.
struct Block {
  uint32_t literals[kLiteralCodes] = {};
  uint32_t distances[kDistanceCodes] = {};
  int64_t extra_bits = 0;
  int64_t symbols = 0;  // without the end of the block
  int64_t bytes = 0;    // of input covered

  void add_literal(uint8_t byte);
  // length 3..258, distance 1..32768
  void add_match(int length, int distance);
};

// `bits` written so far, plus the block in the shortest of its three forms: stored, fixed or dynamic codes.
int64_t bits_after(int64_t bits, const Block& block);

}  // namespace anyon::deflate
