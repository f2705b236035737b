#include "frontends/bpe_tokenizer.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include "core/status.h"
#include "frontends/bpe_encoder.h"
#include "frontends/bpe_vocabulary.h"
#include "frontends/tokenizer_json.h"
#include "frontends/word_split.h"

namespace anyon {
namespace {

[[noreturn]] void refuse(Parts what) {
  throw_error(Status::kBadTokenizer, {"tokenizer: ", what, " (a damaged bundle?)"});
}

void check(const BpeArrays& arrays) {
  if (arrays.offsets.empty()) refuse({"no offsets"});
  const int64_t tokens = static_cast<int64_t>(arrays.offsets.size()) - 1;
  if (arrays.n_vocab < 0 || arrays.n_vocab > kMaxTokenId) refuse({arrays.n_vocab, " tokens"});
  if (tokens > arrays.n_vocab) {
    refuse({tokens, " tokens have bytes, the vocabulary has ", arrays.n_vocab});
  }
  if (arrays.offsets.front() != 0 || arrays.offsets.back() != arrays.bytes.size()) {
    refuse({"offsets do not span the ", arrays.bytes.size(), " bytes"});
  }
  if (!std::is_sorted(arrays.offsets.begin(), arrays.offsets.end())) refuse({"offsets go back"});
  for (size_t i = 0; i + 1 < arrays.offsets.size(); ++i) {
    if (arrays.offsets[i + 1] - arrays.offsets[i] > kMaxTokenText)
      refuse({"token ", i, " has more than ", kMaxTokenText, " bytes"});
  }
  if (arrays.merges.size() % 2 != 0) refuse({"merges are not pairs"});
  if (arrays.merges.size() / 2 > static_cast<size_t>(kMaxTokens)) refuse({"too many merges"});
  if (arrays.special.size() > limits::kSpecialTokens) refuse({"too many special tokens"});
  for (const auto& [text, id] : arrays.special) {
    if (text.size() > kMaxTokenText) refuse({"a special token has more than ", kMaxTokenText, " bytes"});
    if (id < 0 || id >= arrays.n_vocab) refuse({"special token '", text, "' has the id ", id});
  }
}

}  // namespace

struct BpeTokenizer::Data {
  OwnedVocabulary owned;  // empty when the caller's arrays are viewed
  BpeArrays arrays;
  std::vector<bool> special;  // by id
  int64_t timestamp_begin = 0;
  mutable std::once_flag encoder_once;
  mutable std::optional<BpeEncoder> encoder;

  explicit Data(BpeArrays given) : arrays(std::move(given)) { index(); }
  explicit Data(OwnedVocabulary vocabulary) : owned(std::move(vocabulary)) {
    arrays = {owned.offsets, owned.bytes, owned.merges, false, owned.n_vocab, std::move(owned.special)};
    index();
  }

  void index() {
    check(arrays);
    const auto by_id = [](const auto& a, const auto& b) { return a.second < b.second; };
    std::stable_sort(arrays.special.begin(), arrays.special.end(), by_id);
    special.assign(static_cast<size_t>(arrays.n_vocab), false);
    timestamp_begin = arrays.n_vocab;
    for (const auto& [text, id] : arrays.special) {
      special[static_cast<size_t>(id)] = true;
      if (text == "<|notimestamps|>") timestamp_begin = id + 1;
    }
    // Whisper's timestamps follow <|notimestamps|>, whether or not they are listed.
    const int64_t tokens = static_cast<int64_t>(arrays.offsets.size()) - 1;
    const int64_t rest = std::min(timestamp_begin, tokens);
    std::fill(special.begin() + rest, special.end(), true);
  }

  void require(int32_t id) const {
    if (id >= 0 && id < arrays.n_vocab) return;
    throw_error(Status::kInvalidArgument,
                {"tokenizer: no token has the id ", id, "; ids are 0 to ", arrays.n_vocab - 1});
  }

  std::string_view token(int32_t id) const {
    const size_t at = static_cast<size_t>(id);
    if (at + 1 < arrays.offsets.size() && arrays.offsets[at] != arrays.offsets[at + 1]) {
      return {reinterpret_cast<const char*>(arrays.bytes.data()) + arrays.offsets[at],
              arrays.offsets[at + 1] - arrays.offsets[at]};
    }
    const auto found = std::partition_point(arrays.special.begin(), arrays.special.end(),
                                            [id](const auto& entry) { return entry.second < id; });
    if (found != arrays.special.end() && found->second == id) return found->first;
    return {};
  }

  const BpeEncoder& encoding() const {
    std::call_once(encoder_once, [this] {
      std::vector<SpecialToken> list;
      for (const auto& [text, id] : arrays.special) list.emplace_back(text, id);
      for (int64_t id = timestamp_begin; id < arrays.n_vocab; ++id) {
        const std::string_view text = token(static_cast<int32_t>(id));
        if (!text.empty()) list.emplace_back(text, static_cast<int32_t>(id));
      }
      encoder.emplace(arrays, std::move(list));
    });
    return *encoder;
  }
};

BpeTokenizer::BpeTokenizer(BpeArrays arrays) : data_(std::make_unique<Data>(std::move(arrays))) {}
BpeTokenizer::BpeTokenizer(std::unique_ptr<Data> data) : data_(std::move(data)) {}
BpeTokenizer::~BpeTokenizer() = default;
BpeTokenizer::BpeTokenizer(BpeTokenizer&&) noexcept = default;
BpeTokenizer& BpeTokenizer::operator=(BpeTokenizer&&) noexcept = default;

BpeTokenizer BpeTokenizer::from_tokenizer_json(std::string_view json) {
  VocabularyBuilder vocabulary;
  read_tokenizer_json(json, vocabulary);
  return BpeTokenizer(std::make_unique<Data>(vocabulary.build()));
}

BpeTokenizer BpeTokenizer::from_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                                 std::span<const std::pair<std::string, int32_t>> special) {
  VocabularyBuilder vocabulary;
  read_vocab_json(vocab_json, vocabulary);
  read_merges_txt(merges_txt, vocabulary);
  for (const auto& [text, id] : special) vocabulary.add_special(text, id);
  return BpeTokenizer(std::make_unique<Data>(vocabulary.build()));
}

int64_t BpeTokenizer::n_vocab() const {
  return data_->arrays.n_vocab;
}

std::vector<int32_t> BpeTokenizer::encode(std::string_view utf8, bool allow_special) const {
  if (utf8.size() > static_cast<size_t>(INT32_MAX)) {
    throw_error(Status::kInvalidArgument, {"tokenizer: text of ", utf8.size(), " bytes; cut it"});
  }
  const BpeEncoder& encoder = data_->encoding();
  std::vector<int32_t> ids;
  size_t ordinary = 0, at = 0;
  while (allow_special && at < utf8.size()) {
    const auto [length, id] = encoder.special_at(utf8.substr(at));
    if (length == 0) {
      ++at;
      continue;
    }
    encoder.encode_ordinary(utf8.substr(ordinary, at - ordinary), ids);
    ids.push_back(id);
    at += length;
    ordinary = at;
  }
  encoder.encode_ordinary(utf8.substr(ordinary), ids);
  return ids;
}

std::string BpeTokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string out;
  for (const int32_t id : ids) {
    data_->require(id);
    if (!skip_special || !data_->special[static_cast<size_t>(id)]) out += data_->token(id);
  }
  return out;
}

std::string_view BpeTokenizer::token(int32_t id) const {
  data_->require(id);
  return data_->token(id);
}

bool BpeTokenizer::is_special(int32_t id) const {
  data_->require(id);
  return data_->special[static_cast<size_t>(id)];
}

int32_t BpeTokenizer::special_id(std::string_view text) const {
  for (const auto& [name, id] : data_->arrays.special) {
    if (name == text) return id;
  }
  return -1;
}

WordSplit BpeTokenizer::split_to_word_tokens(std::span<const int32_t> ids, std::string_view language) const {
  return split_words(*this, ids, language);
}

}  // namespace anyon
