// A bundle that states the hash of its header is refused when any bit of that header differs.
#include "bundle/header_hash.h"

#include <gtest/gtest.h>

#include "bundle/bundle.h"
#include "bundle_writer.h"
#include "core/sha256.h"

namespace anyon {
namespace {

using testing::BundleWriter;

BundleWriter small() {
  BundleWriter writer;
  writer.add("first", {2, 3}, {1, 2, 3, 4, 5, 6});
  writer.manifest["data_sha256"] = sha256_hex(std::as_bytes(std::span(writer.data())));
  return writer;
}

std::string refusal(const std::string& file) {
  try {
    BundleWriter::open_bytes(file, "tiny.anyon");
  } catch (const Error& error) {
    EXPECT_TRUE(error.status() == Status::kBadBundle || error.status() == Status::kUnsupportedVersion) << error.what();
    return error.what();
  }
  return "it was accepted";
}

TEST(HeaderHash, CoversTheSizeTheTextAndThePaddingWithItsOwnDigitsAsZeros) {
  const std::string header = std::string("\x10\0\0\0\0\0\0\0", 8) + "{\"x\":\"" + std::string(64, 'f') + "\"} ";
  std::string zeroed = header;
  zeroed.replace(14, 64, std::string(64, '0'));
  EXPECT_EQ(header_hash(std::as_bytes(std::span(header)), 14), sha256_hex(std::as_bytes(std::span(zeroed))));
}

TEST(HeaderHash, ABundleThatStatesItOpensAndItsDataVerifies) {
  EXPECT_NO_THROW(BundleWriter::open_bytes(small().hashed_file())->verify_data());
  EXPECT_NO_THROW(small().open()) << "bundles of before it have none";
}

TEST(HeaderHash, EveryFlippedBitIsRefusedAtOpeningOrByItsData) {
  const std::string file = small().hashed_file();
  const size_t header = file.size() - small().data().size();
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    if (bit / 8 < header) {
      ASSERT_NE(refusal(flipped), "it was accepted") << "bit " << bit;
    } else {
      ASSERT_THROW(BundleWriter::open_bytes(flipped)->verify_data(), Error) << "bit " << bit;
    }
  }
}

TEST(HeaderHash, IsRefusedWhenItIsNoHashOrStandsTwice) {
  BundleWriter writer = small();
  for (const char* hash : {"", "00", "ABCDEF"}) {
    writer.metadata["header_sha256"] = hash;
    EXPECT_NE(refusal(writer.file()).find("is not 64 hexadecimal digits"), std::string::npos) << hash;
  }
  writer.metadata["header_sha256"] = std::string(64, 'A');
  EXPECT_NE(refusal(writer.file()).find("is not 64 hexadecimal digits"), std::string::npos);
  writer.metadata["header_sha256"] = std::string(64, 'a');
  EXPECT_NE(refusal(writer.file()).find("it has SHA-256"), std::string::npos) << refusal(writer.file());
  writer.manifest["copy"] = std::string(64, 'a');
  EXPECT_NE(refusal(writer.file()).find("exactly once"), std::string::npos) << refusal(writer.file());
}

}  // namespace
}  // namespace anyon
