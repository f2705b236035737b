// SHA-256 against the examples of FIPS 180-4 and against itself fed in pieces.
#include "core/sha256.h"

#include <gtest/gtest.h>

#include <vector>

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

}  // namespace
}  // namespace anyon
