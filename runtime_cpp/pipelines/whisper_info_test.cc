// What a manifest says about a model, and lies in it.
#include "pipelines/whisper_info.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "scripted_sessions.h"

namespace anyon {
namespace {

using Json = nlohmann::json;

TEST(WhisperInfo, ReadsAManifest) {
  const WhisperInfo info = WhisperInfo::from_manifest(testing::letter_manifest(true));
  EXPECT_EQ(info.n_vocab, testing::kVocab);
  EXPECT_EQ(info.eot, testing::kEot);
  EXPECT_EQ(info.timestamp_begin, testing::kTime);
  EXPECT_EQ(info.language_token("fr"), testing::kFrench);
  EXPECT_EQ(info.language_token("de"), WhisperInfo::kNone);
  EXPECT_EQ(info.chunk_frames(), 3000);
  EXPECT_EQ(info.frames_per_token(), 2);
  EXPECT_DOUBLE_EQ(info.time_precision(), 0.02);
  ASSERT_EQ(info.alignment_heads.size(), 1u);
}

struct Lie {
  const char* named;  // what the message must hold
  std::function<void(Json&)> tell;
};

void PrintTo(const Lie& lie, std::ostream* out) {
  *out << lie.named;
}

class Hostile : public ::testing::TestWithParam<Lie> {};

INSTANTIATE_TEST_SUITE_P(
    Manifests, Hostile,
    ::testing::Values(Lie{"'loop'", [](Json& m) { m.erase("loop"); }},
                      Lie{"'frontend'", [](Json& m) { m["frontend"] = 3; }},
                      Lie{"frontend.n_mels", [](Json& m) { m["frontend"]["n_mels"] = 81; }},
                      Lie{"frontend.hop_length", [](Json& m) { m["frontend"]["hop_length"] = 0; }},
                      Lie{"frontend.chunk_seconds", [](Json& m) { m["frontend"]["chunk_seconds"] = -30; }},
                      Lie{"tokenizer.n_vocab", [](Json& m) { m["tokenizer"]["n_vocab"] = 1LL << 40; }},
                      Lie{"tokenizer.n_vocab", [](Json& m) { m["tokenizer"]["n_vocab"] = 18446744073709551615ULL; }},
                      Lie{"loop.eot", [](Json& m) { m["loop"]["eot"] = 5000; }},
                      Lie{"loop.sot", [](Json& m) { m["loop"].erase("sot"); }},
                      Lie{"loop.sot", [](Json& m) { m["loop"]["sot"] = "33"; }},
                      Lie{"loop", [](Json& m) { m["loop"]["sot"] = 3; }},
                      Lie{"loop.n_layers", [](Json& m) { m["loop"]["n_layers"] = 0; }},
                      Lie{"loop.n_text_ctx", [](Json& m) { m["loop"]["n_text_ctx"] = 2; }},
                      Lie{"loop.n_audio_ctx", [](Json& m) { m["loop"]["n_audio_ctx"] = 1499; }},
                      Lie{"loop.suppress_tokens",
                          [](Json& m) {
                            m["loop"]["suppress_tokens"] = {1, -1};
                          }},
                      Lie{"loop.suppress_tokens", [](Json& m) { m["loop"]["suppress_tokens"] = "all"; }},
                      Lie{"alignment_heads",
                          [](Json& m) {
                            m["loop"]["alignment_heads"] = {{0, 1}};
                          }},
                      Lie{"alignment_heads",
                          [](Json& m) {
                            m["loop"]["alignment_heads"] = {{0, 0, 0}};
                          }},
                      Lie{"languages",
                          [](Json& m) {
                            m["loop"]["languages"] = {{"en", 1 << 30}};
                          }},
                      Lie{"a code of 65 bytes", [](Json& m) { m["loop"]["languages"][std::string(65, 'x')] = 1; }},
                      Lie{"languages", [](Json& m) { m["loop"]["languages"] = Json::object(); }},
                      Lie{"loop.multilingual", [](Json& m) { m["loop"]["multilingual"] = 1; }}));

TEST_P(Hostile, IsRefusedByName) {
  Json manifest = Json::parse(testing::letter_manifest(true));
  GetParam().tell(manifest);
  try {
    WhisperInfo::from_manifest(manifest.dump());
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kBadBundle);
    EXPECT_NE(std::string(error.what()).find(GetParam().named), std::string::npos) << error.what();
  }
}

TEST(WhisperInfo, TextThatIsNoManifestIsRefused) {
  for (const char* text : {"", "[]", "{", "null", "{\"loop\": {}}"}) {
    EXPECT_THROW(WhisperInfo::from_manifest(text), Error) << text;
  }
}

}  // namespace
}  // namespace anyon
