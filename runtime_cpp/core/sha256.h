// SHA-256 (FIPS 180-4), to check that a bundle is what its writer wrote.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace anyon {

class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  // The digest of everything seen; the object is spent afterwards.
  std::array<uint8_t, 32> finish();

 private:
  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> block_{};
  size_t in_block_ = 0;
  uint64_t total_bytes_ = 0;
};

// Lower-case hexadecimal digits.
std::string hex_text(std::span<const uint8_t> bytes);

// The digest as hex_text.
std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace anyon
