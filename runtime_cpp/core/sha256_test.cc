// SHA-256 against the examples of FIPS 180-4 and against itself fed in pieces.
#include "core/sha256.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "core/sha256_compress.h"

namespace anyon {
namespace {

std::string hex_of(const std::string& text) {
  return sha256_hex(std::as_bytes(std::span(text)));
}

TEST(Sha256, MatchesThePublishedExamples) {
  EXPECT_EQ(hex_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex_of(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheBytesArrive) {
  std::vector<std::byte> bytes(517);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  for (size_t length = 0; length <= bytes.size(); length += 11) {
    Sha256 whole, pieces;
    whole.update(std::span(bytes).first(length));
    for (size_t i = 0; i < length; i += 13)
      pieces.update(std::span(bytes).subspan(i, std::min<size_t>(13, length - i)));
    EXPECT_EQ(whole.finish(), pieces.finish()) << length;
  }
}

// One block of padding for a message below 56 bytes.
std::array<uint8_t, 64> padded(const std::string& message) {
  std::array<uint8_t, 64> block{};
  std::memcpy(block.data(), message.data(), message.size());
  block[message.size()] = 0x80;
  block[63] = static_cast<uint8_t>(8 * message.size());
  return block;
}

TEST(Sha256, EveryWayOfThisMachineComputesThePublishedExample) {
  for (const Sha256Way& way : sha256_ways()) {
    std::array<uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    way.compress(state.data(), padded("abc").data(), 1);
    EXPECT_EQ(state, (std::array<uint32_t, 8>{0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223, 0xb00361a3, 0x96177a9c,
                                              0xb410ff61, 0xf20015ad}))
        << way.name;
  }
}

TEST(Sha256, EveryWayGivesTheSameStateForAnyBlocks) {
  constexpr unsigned kSeed = 1;
  std::mt19937 random(kSeed);
  for (size_t round = 0; round < 200; ++round) {
    const size_t blocks = round % 20, misalignment = round % 7;
    std::vector<uint8_t> data(64 * blocks + misalignment);
    std::array<uint32_t, 8> start{};
    for (uint8_t& byte : data) byte = static_cast<uint8_t>(random());
    for (uint32_t& word : start) word = static_cast<uint32_t>(random());
    std::array<uint32_t, 8> expected = start;
    sha256_ways().front().compress(expected.data(), data.data() + misalignment, blocks);
    for (const Sha256Way& way : sha256_ways()) {
      std::array<uint32_t, 8> state = start;
      way.compress(state.data(), data.data() + misalignment, blocks);
      ASSERT_EQ(state, expected) << way.name << ", round " << round << ", seed " << kSeed;
    }
  }
}

}  // namespace
}  // namespace anyon
