// Signatures that the model-signing package made verify; forged, changed and misplaced ones are refused by name.
#include "bundle/signature.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bundle_writer.h"
#include "test_data.h"

namespace anyon {
namespace {

const std::string kFolder = "../../golden/signature/";

std::shared_ptr<const Bundle> small_bundle() {
  return Bundle::open(std::string(ANYON_TEST_DATA_FOLDER) + "/" + kFolder + "small.anyon");
}

// "" when it verifies, else the message.
std::string outcome(const Bundle& bundle, const std::string& signature, Status expected = Status::kBadSignature) {
  try {
    verify_signature(bundle, signature, data_text(kFolder + "public.pem"));
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), expected) << error.what();
    EXPECT_EQ(std::string(error.what()).rfind(bundle.name() + ": signature: ", 0), 0u) << error.what();
    return error.what();
  }
  return "";
}

TEST(Signature, OfTheRealToolVerifies) {
  EXPECT_EQ(outcome(*small_bundle(), data_text(kFolder + "small.anyon.sig")), "");
}

TEST(Signature, EveryCaseComesOutAsItMust) {
  const nlohmann::json cases = nlohmann::json::parse(data_text(kFolder + "cases.json"));
  ASSERT_GE(cases.size(), 30u);
  for (const nlohmann::json& row : cases) {
    const std::string actual = outcome(*small_bundle(), row.at("signature").get<std::string>());
    const std::string message = row.at("message").get<std::string>();
    if (message.empty()) {
      EXPECT_EQ(actual, "") << row.at("what");
    } else {
      EXPECT_NE(actual.find(message), std::string::npos) << row.at("what") << ": " << actual;
    }
  }
}

TEST(Signature, NoFlippedBitOfTheBundleVerifies) {
  const std::string file = data_text(kFolder + "small.anyon"), signature = data_text(kFolder + "small.anyon.sig");
  EXPECT_EQ(outcome(*testing::BundleWriter::open_bytes(file), signature), "");
  for (size_t at = file.size() - 900; at < file.size(); at += 7) {
    std::string flipped = file;
    flipped[at] ^= 1;
    try {
      const auto bundle = testing::BundleWriter::open_bytes(flipped);
      EXPECT_NE(outcome(*bundle, signature).find("changed since it was signed"), std::string::npos) << "byte " << at;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kBadBundle);  // the header's own hash, or its text
    }
  }
}

TEST(Signature, NoCutOrFlippedSignatureVerifiesAnotherBundle) {
  const std::string signature = data_text(kFolder + "small.anyon.sig");
  testing::BundleWriter other;
  other.add("x", {1}, {1.0f});
  const auto bundle = other.open();
  EXPECT_NE(outcome(*bundle, signature).find("it is for a file with SHA-256"), std::string::npos);
  for (size_t size = 0; size < signature.size(); size += 3) {
    EXPECT_NE(outcome(*bundle, signature.substr(0, size)), "") << size;
  }
}

TEST(Signature, ARenamedFileIsReported) {
  const std::filesystem::path renamed = std::filesystem::temp_directory_path() / "anyon_renamed_test.anyon";
  std::ofstream(renamed, std::ios::binary) << data_text(kFolder + "small.anyon");
  const auto bundle = Bundle::open(renamed.string());
  EXPECT_NE(
      outcome(*bundle, data_text(kFolder + "small.anyon.sig")).find("it is for 'small.anyon', this file has another"),
      std::string::npos);
  std::filesystem::remove(renamed);
}

TEST(Signature, AKeyThatIsNoneIsTheCallersMistake) {
  try {
    verify_signature(*small_bundle(), data_text(kFolder + "small.anyon.sig"), "no key");
    FAIL() << "it verified";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kInvalidArgument) << error.what();
  }
}

TEST(Signature, IsRefusedBeforeTheFileIsReadAndCanBeCancelled) {
  const auto bundle = small_bundle();
  const std::string signature = data_text(kFolder + "small.anyon.sig"), key = data_text(kFolder + "public.pem");
  int asked = 0;
  const auto stop = [&](int64_t, int64_t) { return ++asked < 1; };
  EXPECT_THROW(verify_signature(*bundle, "{}", key, stop), Error);
  EXPECT_EQ(asked, 0);
  try {
    verify_signature(*bundle, signature, key, stop);
    FAIL() << "it went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kCancelled) << error.what();
  }
}

}  // namespace
}  // namespace anyon
