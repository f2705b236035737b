// A well-formed bundle is read exactly; every malformed one is refused with a message that says what is wrong.
#include "bundle/bundle.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "bundle_writer.h"
#include "core/sha256.h"

namespace anyon {
namespace {

using testing::BundleWriter;
using testing::raw_file;
using Json = nlohmann::json;

BundleWriter two_tensors() {
  BundleWriter writer;
  writer.add("first", {2, 3}, {1, 2, 3, 4, 5, 6});
  writer.add<int64_t>("second", "I64", {2}, {-7, 8});
  writer.add("empty", {0, 4}, {});
  writer.manifest["data_sha256"] = sha256_hex(std::as_bytes(std::span(writer.data())));
  return writer;
}

// The status and message of the error that opening `file` throws; fails when it opens.
std::pair<Status, std::string> refusal(const std::string& file) {
  try {
    BundleWriter::open_bytes(file, "tiny.anyon");
  } catch (const Error& error) {
    return {error.status(), error.what()};
  }
  return {Status::kOk, "it was accepted"};
}

TEST(Bundle, GivesTensorsByNameWhereTheyLie) {
  const auto bundle = two_tensors().open();
  ASSERT_EQ(bundle->tensors().size(), 3u);
  const TensorView& first = bundle->tensor("first");
  EXPECT_EQ(first.dtype, DType::kF32);
  EXPECT_EQ(first.shape, (Shape{2, 3}));
  EXPECT_EQ(first.as<float>()[5], 6.0f);
  EXPECT_EQ(bundle->tensor("second").as<int64_t>()[0], -7);
  EXPECT_EQ(bundle->tensor("empty").bytes(), 0);
  for (const BundleTensor& tensor : bundle->tensors()) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.view.data) % 64, 0u) << tensor.name;
  }
  EXPECT_EQ(bundle->find("third"), nullptr);
  EXPECT_EQ(bundle->find("__pad__.0"), nullptr) << "fillers are not tensors";
  EXPECT_THROW(bundle->tensor("third"), Error);
  EXPECT_EQ(bundle->manifest().at("anyon_format"), 1);
  EXPECT_EQ(Json::parse(bundle->manifest_text()), bundle->manifest());
}

TEST(Bundle, OpensAFileAndNamesItInErrors) {
  const std::string path = (std::filesystem::temp_directory_path() / "anyon_bundle_test.anyon").string();
  std::ofstream(path, std::ios::binary) << two_tensors().file();
  EXPECT_EQ(Bundle::open(path)->tensor("first").as<float>()[0], 1.0f);
  std::ofstream(path, std::ios::binary) << two_tensors().file().substr(0, 200);
  try {
    Bundle::open(path);
    FAIL() << "a cut file was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kBadBundle);
    EXPECT_EQ(std::string(error.what()).rfind(path + ": ", 0), 0u) << error.what();
  }
  std::remove(path.c_str());
  for (const std::string& bad : {path, std::filesystem::temp_directory_path().string(), std::string("/dev/null")}) {
    try {
      Bundle::open(bad);
      FAIL() << bad << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kIoError) << error.what();
    }
  }
}

TEST(Bundle, AFileThatIsCutWhileItIsMappedIsNoticed) {
  const std::string path = (std::filesystem::temp_directory_path() / "anyon_cut_bundle_test.anyon").string();
  const std::string file = two_tensors().file();
  std::ofstream(path, std::ios::binary) << file;
  const auto bundle = Bundle::open(path);
  EXPECT_NO_THROW(bundle->check_not_cut());
  std::filesystem::resize_file(path, file.size() - 8);
  try {
    bundle->check_not_cut();
    FAIL() << "a cut file was not noticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kBadBundle);
    EXPECT_NE(std::string(error.what()).find("was cut to " + std::to_string(file.size() - 8) + " bytes"),
              std::string::npos)
        << error.what();
  }
  std::remove(path.c_str());
  EXPECT_NO_THROW(two_tensors().open()->check_not_cut()) << "a bundle in memory has no file";
}

TEST(Bundle, VerifiesItsDataAgainstTheManifest) {
  const std::string file = two_tensors().file();
  EXPECT_NO_THROW(BundleWriter::open_bytes(file)->verify_data());
  std::string flipped = file;
  flipped[file.size() - 70] ^= 1;
  EXPECT_THROW(BundleWriter::open_bytes(flipped)->verify_data(), Error);
  BundleWriter without = two_tensors();
  without.manifest.erase("data_sha256");
  EXPECT_THROW(without.open()->verify_data(), Error);
}

TEST(Bundle, TellsHowFarItsVerificationIsAndStopsWhenAsked) {
  BundleWriter writer = two_tensors();
  writer.add<uint8_t>("large", "U8", {(9 << 20) + 64}, std::vector<uint8_t>((9 << 20) + 64, 7));
  writer.manifest["data_sha256"] = sha256_hex(std::as_bytes(std::span(writer.data())));
  const auto bundle = writer.open();
  std::vector<int64_t> seen;
  bundle->verify_data([&](int64_t done, int64_t total) {
    EXPECT_EQ(total, bundle->data_bytes());
    seen.push_back(done);
    return true;
  });
  EXPECT_EQ(seen, (std::vector<int64_t>{4 << 20, 8 << 20, bundle->data_bytes()}));
  int asked = 0;
  try {
    bundle->verify_data([&](int64_t, int64_t) { return ++asked < 2; });
    FAIL() << "it went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kCancelled) << error.what();
  }
  EXPECT_EQ(asked, 2);
}

TEST(Bundle, RefusesEveryTruncation) {
  const std::string file = two_tensors().file();
  for (size_t size = 0; size < file.size(); ++size) {
    ASSERT_EQ(refusal(file.substr(0, size)).first, Status::kBadBundle) << size;
  }
  EXPECT_EQ(refusal(file + "x").first, Status::kBadBundle);
}

TEST(Bundle, SaysWhichTensorACutFileLost) {
  const std::string file = two_tensors().file();
  const std::string message = refusal(file.substr(0, file.size() - 100)).second;
  EXPECT_NE(message.find("tiny.anyon: tensor '"), std::string::npos) << message;
  EXPECT_NE(message.find("file has " + std::to_string(file.size() - 100) + " (an incomplete download?)"),
            std::string::npos)
      << message;
}

TEST(Bundle, SurvivesFlippedBits) {
  const std::string file = two_tensors().file();
  std::mt19937 random(1);
  for (int round = 0; round < 4000; ++round) {
    std::string flipped = file;
    const size_t at = random() % file.size();
    flipped[at] ^= static_cast<char>(1 << random() % 8);
    try {
      const auto bundle = BundleWriter::open_bytes(flipped);
      for (const BundleTensor& tensor : bundle->tensors()) {
        ASSERT_LE(tensor.offset + tensor.view.bytes(), static_cast<int64_t>(file.size()));
      }
    } catch (const Error& error) {
      ASSERT_TRUE(error.status() == Status::kBadBundle || error.status() == Status::kUnsupportedVersion)
          << error.what();
    }
  }
}

TEST(Bundle, TellsANewerVersionFromNonsense) {
  BundleWriter writer = two_tensors();
  writer.metadata["anyon_version"] = "2";
  const auto [status, message] = refusal(writer.file());
  EXPECT_EQ(status, Status::kUnsupportedVersion);
  EXPECT_NE(message.find("newer anyon"), std::string::npos) << message;
  writer.metadata["anyon_version"] = "1";
  writer.manifest["anyon_format"] = 12;
  EXPECT_EQ(refusal(writer.file()).first, Status::kUnsupportedVersion);
  for (const char* version : {"", "0", "-1", "one", "1.5", "99999999999999999999"}) {
    writer.metadata["anyon_version"] = version;
    EXPECT_EQ(refusal(writer.file()).first, Status::kBadBundle) << version;
  }
}

// Replaces text in the header of a well-formed file, leaving its data.
struct Lie {
  const char* what;
  std::string from, to;
  const char* message;
};

TEST(Bundle, RefusesALyingHeader) {
  const BundleWriter writer = two_tensors();
  const std::string header = writer.header().dump();
  const std::string first = R"("first":{"data_offsets":[0,24],"dtype":"F32","shape":[2,3]})";
  const std::string second = R"("second":{"data_offsets":[64,80],"dtype":"I64","shape":[2]})";
  ASSERT_NE(header.find(first), std::string::npos) << header;
  ASSERT_NE(header.find(second), std::string::npos) << header;
  const auto first_with = [](const std::string& offsets, const std::string& dtype, const std::string& shape) {
    return R"("first":{"data_offsets":)" + offsets + R"(,"dtype":)" + dtype + R"(,"shape":)" + shape + "}";
  };
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  const std::vector<Lie> lies = {
      {"two tensors of one name", second, second + "," + first, "'first'"},
      {"two fields of one name", R"("shape":[2,3]})", R"("shape":[2,3],"shape":[6]})", "twice"},
      {"two __metadata__", first, R"("__metadata__":{},)" + first, "__metadata__ appears twice"},
      {"negative dim", first, first_with("[0,24]", R"("F32")", "[-2,-3]"), "negative"},
      {"product overflows", first, first_with("[0,24]", R"("F32")", "[4294967296,4294967296]"), "too large"},
      {"product wraps to the right size", first, first_with("[0,0]", R"("F32")", "[4611686018427387904,4]"),
       "too large"},
      {"overflow hidden by a zero", first, first_with("[0,0]", R"("F32")", "[0,9223372036854775807,9]"), "too large"},
      {"dim over 63 bits", first, first_with("[0,24]", R"("F32")", "[18446744073709551615]"), "63 bits"},
      {"dim over 64 bits", first, first_with("[0,24]", R"("F32")", "[99999999999999999999]"), "a fraction"},
      {"fraction as dim", first, first_with("[0,24]", R"("F32")", "[2.0,3]"), "a fraction"},
      {"nine dims", first, first_with("[0,24]", R"("F32")", "[2,3,1,1,1,1,1,1,1]"), "8 dimensions"},
      {"offset past the end", first, first_with("[0,9999999]", R"("F32")", "[2,3]"), "file has"},
      {"offset near the limit", first, first_with("[9223372036854775800,9223372036854775807]", R"("F32")", "[2,3]"),
       "out of range"},
      {"ends before it begins", first, first_with("[24,0]", R"("F32")", "[2,3]"), "ends before it begins"},
      {"three offsets", first, first_with("[0,24,48]", R"("F32")", "[2,3]"), "more than two"},
      {"one offset", first, first_with("[0]", R"("F32")", "[2,3]"), "fewer than two"},
      {"size differs from shape", first, first_with("[0,24]", R"("F32")", "[2,4]"), "its shape needs 32"},
      {"size differs from dtype", first, first_with("[0,24]", R"("F16")", "[2,3]"), "its shape needs 12"},
      {"overlap", second, R"("second":{"data_offsets":[0,16],"dtype":"I64","shape":[2]})", "overlaps"},
      {"unknown dtype", first, first_with("[0,24]", R"("F8_E4M3")", "[2,3]"), "unknown dtype 'F8_E4M3'"},
      {"dtype a number", first, first_with("[0,24]", "4", "[2,3]"), "a number"},
      {"shape an object", first, first_with("[0,24]", R"("F32")", "{}"), "an object"},
      {"shape of strings", first, first_with("[0,24]", R"("F32")", R"(["2"])"), "a string"},
      {"deep nesting", first, first_with("[0,24]", R"("F32")", deep), "an array"},
      {"tensor null", first, R"("first":null)", "null"},
      {"field missing", first, R"("first":{"data_offsets":[0,24],"dtype":"F32"})", "lacks"},
      {"unknown field", first, R"("first":{"data_offsets":[0,24],"dtype":"F32","shape":[2,3],"layout":1})", "'layout'"},
      {"empty name", first, R"("":{"data_offsets":[0,24],"dtype":"F32","shape":[2,3]})", "empty name"},
      {"long name", first, "\"" + std::string(600, 'n') + R"(":{"data_offsets":[0,24],"dtype":"F32","shape":[2,3]})",
       "more than 512 bytes"},
      {"hole", first, R"("first":{"data_offsets":[0,16],"dtype":"F32","shape":[4]})", "belong to no tensor"},
      {"misaligned", first,
       R"("a":{"data_offsets":[0,8],"dtype":"F32","shape":[2]},"b":{"data_offsets":[8,24],"dtype":"F32","shape":[4]})",
       "64-byte boundary"},
      {"not JSON", first, R"("first":{)", "not valid JSON"},
      {"bad UTF-8", first, "\"\xff\xfe\":{}", "not valid JSON"},
      {"metadata not text", R"("anyon_version":"1")", R"("anyon_version":1)", "__metadata__"},
      {"metadata twice", R"("anyon_version":"1")", R"("anyon_version":"1","anyon_version":"1")", "twice"},
      {"no version", R"("anyon_version":"1",)", "", "has no 'anyon_version'"},
      {"unknown metadata", R"("manifest":)", R"("other":)", "unknown entry 'other'"},
      {"another format", R"("format":"anyon")", R"("format":"pt")", "not 'anyon'"},
  };
  for (const Lie& lie : lies) {
    std::string changed = header;
    changed.replace(changed.find(lie.from), lie.from.size(), lie.to);
    const auto [status, message] = refusal(raw_file(changed, writer.data()));
    EXPECT_EQ(status, Status::kBadBundle) << lie.what << ": " << message;
    EXPECT_NE(message.find(lie.message), std::string::npos) << lie.what << ": " << message;
    EXPECT_EQ(message.rfind("tiny.anyon: ", 0), 0u) << lie.what << ": " << message;
  }
}

TEST(Bundle, RefusesOtherFiles) {
  const std::string text = "This is a text file that somebody renamed to .anyon; it has no header at all.\n";
  EXPECT_NE(refusal(text).second.find("not a bundle"), std::string::npos);
  EXPECT_NE(refusal(std::string(4096, '\0')).second.find("not a bundle"), std::string::npos);
  EXPECT_NE(refusal("").second.find("empty"), std::string::npos);
  EXPECT_NE(refusal(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{", 9)).second.find("not a bundle"),
            std::string::npos);
  EXPECT_NE(refusal(raw_file("{}", "")).second.find("has no 'format'"), std::string::npos);
  EXPECT_NE(refusal(raw_file(R"({"__metadata__":{"format":"anyon"}})", "", 0)).second.find("anyon_version"),
            std::string::npos);
  EXPECT_NE(refusal(raw_file(R"({"__metadata__":{"format":"anyon","anyon_version":"1"}})", "")).second.find("manifest"),
            std::string::npos);
  BundleWriter writer = two_tensors();
  EXPECT_NE(refusal(raw_file(writer.header().dump() + " ", writer.data(), 0)).second.find("64-byte boundary"),
            std::string::npos);
}

TEST(Bundle, RefusesABadManifest) {
  const auto with_manifest = [](const std::string& manifest) {
    const Json header = {{"__metadata__", {{"format", "anyon"}, {"anyon_version", "1"}, {"manifest", manifest}}}};
    return raw_file(header.dump(), "");
  };
  EXPECT_EQ(refusal(with_manifest(R"({"anyon_format":1})")).first, Status::kOk);
  const std::string deep = R"({"anyon_format":1,"x":)" + std::string(100000, '[') + std::string(100000, ']') + "}";
  const std::vector<std::pair<std::string, const char*>> cases = {
      {"", "not valid JSON"},
      {"[]", "not an object"},
      {"{}", "anyon_format"},
      {R"({"anyon_format":"1"})", "anyon_format"},
      {R"({"anyon_format":0})", "version number"},
      {R"({"anyon_format":1,)", "not valid JSON"},
      {R"({"anyon_format":1,"anyon_format":1})", "appears twice"},
      {R"({"anyon_format":1,"a":{"b":1,"b":2}})", "'b' appears twice"},
      {R"({"anyon_format":1,"a":1e999})", "not valid JSON"},
      {deep, "nested deeper than 32"},
  };
  for (const auto& [manifest, message] : cases) {
    const auto [status, actual] = refusal(with_manifest(manifest));
    EXPECT_EQ(status, Status::kBadBundle) << manifest.substr(0, 80);
    EXPECT_NE(actual.find(message), std::string::npos) << manifest.substr(0, 80) << ": " << actual;
  }
}

}  // namespace
}  // namespace anyon
