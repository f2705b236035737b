// Reads and checks what a Whisper bundle says about its model.
#include "pipelines/whisper_info.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "bundle/json.h"
#include "core/limits.h"
#include "core/status.h"

namespace anyon {

namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(Parts what) {
  throw_error(Status::kBadBundle, {"manifest: ", what, " (was this bundle made by another exporter?)"});
}

const Json& section(const Json& manifest, const char* name) {
  const auto it = manifest.is_object() ? manifest.find(name) : manifest.end();
  if (it == manifest.end() || !it->is_object()) refuse({"no section '", name, "'"});
  return *it;
}

// A section with its name, so that messages can say where.
struct Section {
  const Json& json;
  std::string name;

  const Json& value(const char* key) const {
    const auto it = json.find(key);
    if (it == json.end()) refuse({name, ".", key, " is missing"});
    return *it;
  }

  bool has(const char* key) const {
    const auto it = json.find(key);
    return it != json.end() && !it->is_null();
  }

  int64_t integer(const Json& number, const std::string& key, int64_t low, int64_t high) const {
    const bool fits = number.is_number_integer() &&
                      !(number.is_number_unsigned() && number.get<uint64_t>() > static_cast<uint64_t>(high)) &&
                      number.get<int64_t>() >= low && number.get<int64_t>() <= high;
    if (!fits) {
      refuse({name, ".", key, " is not an integer in [", low, ", ", high, "]"});
    }
    return number.get<int64_t>();
  }

  int integer(const char* key, int64_t low, int64_t high) const {
    return static_cast<int>(integer(value(key), key, low, high));
  }

  int32_t token(const char* key, int n_vocab) const { return integer(key, 0, n_vocab - 1); }

  int32_t optional_token(const char* key, int n_vocab) const {
    return has(key) ? token(key, n_vocab) : WhisperInfo::kNone;
  }

  std::vector<int32_t> tokens(const char* key, int n_vocab) const {
    std::vector<int32_t> ids;
    if (!has(key)) return ids;
    const Json& list = value(key);
    if (!list.is_array() || list.size() > limits::kListedTokens)
      refuse({name, ".", key, " is not a list of token ids"});
    for (const Json& id : list) ids.push_back(static_cast<int32_t>(integer(id, key, 0, n_vocab - 1)));
    return ids;
  }
};

void read_frontend(const Section& frontend, WhisperInfo& info) {
  // The sizes of the log-mel front end; others would need another front end.
  info.sample_rate = frontend.integer("sample_rate", 16000, 16000);
  info.n_fft = frontend.integer("n_fft", 400, 400);
  info.hop_length = frontend.integer("hop_length", 160, 160);
  info.n_mels = frontend.integer("n_mels", 80, 128);
  if (info.n_mels != 80 && info.n_mels != 128) refuse({"frontend.n_mels is neither 80 nor 128"});
  info.chunk_seconds = frontend.integer("chunk_seconds", 1, 30);
}

void read_sizes(const Section& loop, WhisperInfo& info) {
  info.n_text_ctx = loop.integer("n_text_ctx", 16, limits::kContext);
  info.n_audio_ctx = loop.integer("n_audio_ctx", 1, limits::kContext);
  info.n_layers = loop.integer("n_layers", 1, limits::kLayers);
  info.n_heads = loop.integer("n_heads", 1, limits::kHeads);
  info.head_dim = loop.integer("head_dim", 1, limits::kHeadDim);
  if (info.chunk_frames() % info.n_audio_ctx != 0) {
    refuse({"loop.n_audio_ctx does not divide the ", info.chunk_frames(), " frames of a window"});
  }
}

void read_tokens(const Section& loop, WhisperInfo& info) {
  const int n_vocab = info.n_vocab;
  info.eot = loop.token("eot", n_vocab);
  info.sot = loop.token("sot", n_vocab);
  info.translate = loop.optional_token("translate", n_vocab);
  info.transcribe = loop.optional_token("transcribe", n_vocab);
  info.sot_lm = loop.optional_token("sot_lm", n_vocab);
  info.sot_prev = loop.token("sot_prev", n_vocab);
  info.no_speech = loop.optional_token("no_speech", n_vocab);
  info.no_timestamps = loop.token("no_timestamps", n_vocab);
  info.timestamp_begin = loop.token("timestamp_begin", n_vocab);
  for (const int32_t token : {info.sot, info.sot_prev, info.no_timestamps}) {
    if (token <= info.eot || token >= info.timestamp_begin) {
      refuse({"loop: special tokens do not lie between eot and timestamp_begin"});
    }
  }
  info.suppress_tokens = loop.tokens("suppress_tokens", n_vocab);
  info.begin_suppress_tokens = loop.tokens("begin_suppress_tokens", n_vocab);
}

void read_languages(const Section& loop, WhisperInfo& info) {
  const Json& multilingual = loop.value("multilingual");
  if (!multilingual.is_boolean()) refuse({"loop.multilingual is not true or false"});
  info.multilingual = multilingual.get<bool>();
  if (loop.has("languages")) {
    const Json& languages = loop.value("languages");
    if (!languages.is_object() || languages.size() > limits::kListedTokens)
      refuse({"loop.languages is not a map of codes to tokens"});
    for (const auto& [code, token] : languages.items()) {
      if (code.size() > limits::kLanguageCodeBytes) refuse({"loop.languages has a code of ", code.size(), " bytes"});
      info.languages.emplace_back(code, loop.integer(token, "languages." + code, 0, info.n_vocab - 1));
    }
  }
  std::sort(info.languages.begin(), info.languages.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  if (info.multilingual && (info.languages.empty() || info.transcribe == WhisperInfo::kNone)) {
    refuse({"a multilingual model needs loop.languages and loop.transcribe"});
  }
}

void read_alignment_heads(const Section& loop, WhisperInfo& info) {
  if (!loop.has("alignment_heads")) return;
  const Json& heads = loop.value("alignment_heads");
  if (!heads.is_array() || heads.size() > limits::kListedTokens)
    refuse({"loop.alignment_heads is not a list of [layer, head]"});
  for (const Json& head : heads) {
    if (!head.is_array() || head.size() != 2) refuse({"loop.alignment_heads is not a list of [layer, head]"});
    info.alignment_heads.push_back({static_cast<int>(loop.integer(head[0], "alignment_heads", 0, info.n_layers - 1)),
                                    static_cast<int>(loop.integer(head[1], "alignment_heads", 0, info.n_heads - 1))});
  }
}

}  // namespace

int32_t WhisperInfo::language_token(std::string_view code) const {
  for (const auto& [language, token] : languages) {
    if (language == code) return token;
  }
  return kNone;
}

WhisperInfo WhisperInfo::from_manifest(std::string_view manifest) {
  const Json json = parse_json(manifest, "manifest");
  WhisperInfo info;
  read_frontend({section(json, "frontend"), "frontend"}, info);
  info.n_vocab = Section{section(json, "tokenizer"), "tokenizer"}.integer("n_vocab", 1, limits::kVocabulary);
  const Section loop{section(json, "loop"), "loop"};
  read_sizes(loop, info);
  read_tokens(loop, info);
  read_languages(loop, info);
  read_alignment_heads(loop, info);
  return info;
}

}  // namespace anyon
