#include "frontends/bpe_vocabulary.h"

#include <algorithm>
#include <array>

#include "core/status.h"
#include "frontends/utf8.h"

namespace anyon {
namespace {

[[noreturn]] void refuse(Parts what) {
  throw_error(Status::kBadTokenizer, {"tokenizer: ", what, " (a damaged or foreign vocabulary?)"});
}

void check(std::string_view text, int64_t id, size_t count) {
  if (text.size() > kMaxTokenText) {
    refuse({"token ", in_quotes(text), "... is longer than ", kMaxTokenText, " bytes"});
  }
  if (id < 0 || id >= kMaxTokenId) refuse({"token ", in_quotes(text), " has the id ", id});
  if (count >= static_cast<size_t>(kMaxTokens)) refuse({"more than ", kMaxTokens, " tokens"});
}

// GPT-2's byte alphabet: bytes that print in Latin-1 stand for themselves, the others follow from U+0100 on.
// Gives the byte of each of its 324 code points, -1 for those outside it.
std::array<int16_t, 0x144> byte_of_letter() {
  std::array<int16_t, 0x144> bytes{};
  bytes.fill(-1);
  size_t shifted = 0x100;
  for (int16_t byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    bytes[prints ? static_cast<size_t>(byte) : shifted++] = byte;
  }
  return bytes;
}

// The bytes that a token spells. Text outside the alphabet (added tokens inside the vocabulary) is itself.
std::string bytes_of(std::string_view text) {
  static const std::array<int16_t, 0x144> kBytes = byte_of_letter();
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8_step(text.substr(at));
    at += step.length;
    if (!step.valid || step.code_point >= kBytes.size() || kBytes[step.code_point] < 0) return std::string(text);
    bytes.push_back(static_cast<char>(kBytes[step.code_point]));
  }
  return bytes;
}

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  out += utf8_lossy(text.substr(0, 60));
  out += '\'';
  return out;
}

void VocabularyBuilder::add_token(std::string_view text, int64_t id) {
  check(text, id, ids_.size());
  if (!ids_.try_emplace(std::string(text), static_cast<int32_t>(id)).second) {
    refuse({"token ", in_quotes(text), " stands twice"});
  }
  const auto [other, fresh] = texts_.try_emplace(static_cast<int32_t>(id), text);
  if (!fresh) {
    refuse({"tokens ", in_quotes(other->second), " and ", in_quotes(text), " share the id ", id});
  }
}

void VocabularyBuilder::add_merge(std::string_view left, std::string_view right) {
  if (merges_.size() >= static_cast<size_t>(kMaxTokens)) refuse({"more than ", kMaxTokens, " merges"});
  if (left.empty() || right.empty() || left.size() > kMaxTokenText || right.size() > kMaxTokenText) {
    refuse({"merge ", merges_.size(), " does not join two tokens"});
  }
  merges_.emplace_back(left, right);
}

void VocabularyBuilder::add_merge(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    refuse({"merge ", merges_.size(), " is not two tokens: ", in_quotes(line)});
  }
  add_merge(line.substr(0, space), line.substr(space + 1));
}

void VocabularyBuilder::add_special(std::string_view text, int64_t id) {
  check(text, id, special_.size());
  if (text.empty()) refuse({"an added token without text"});
  if (!special_.try_emplace(std::string(text), static_cast<int32_t>(id)).second) {
    refuse({"added token ", in_quotes(text), " stands twice"});
  }
  const auto [other, fresh] = special_texts_.try_emplace(static_cast<int32_t>(id), text);
  if (!fresh) {
    refuse({"added tokens ", in_quotes(other->second), " and ", in_quotes(text), " share the id ", id});
  }
}

OwnedVocabulary VocabularyBuilder::build() {
  OwnedVocabulary out;
  int64_t tokens = 0;
  for (const auto& [text, id] : ids_) tokens = std::max<int64_t>(tokens, id + 1);
  out.n_vocab = tokens;
  for (const auto& [text, id] : special_) {
    const auto same_id = texts_.find(id);
    const auto same_text = ids_.find(text);
    if (same_id != texts_.end() && same_id->second != text) {
      refuse({"added token ", in_quotes(text), " has the id of ", in_quotes(same_id->second)});
    }
    if (same_text != ids_.end() && same_text->second != id) refuse({"token ", in_quotes(text), " has two ids"});
    out.n_vocab = std::max<int64_t>(out.n_vocab, id + 1);
    out.special.emplace_back(text, id);
  }
  std::sort(out.special.begin(), out.special.end(), [](const auto& a, const auto& b) { return a.second < b.second; });

  out.offsets.push_back(0);
  for (int32_t id = 0; id < tokens; ++id) {
    if (const auto found = texts_.find(id); found != texts_.end()) {
      const std::string bytes = special_texts_.contains(id) ? found->second : bytes_of(found->second);
      out.bytes.insert(out.bytes.end(), bytes.begin(), bytes.end());
    }
    out.offsets.push_back(static_cast<uint32_t>(out.bytes.size()));
  }

  for (size_t rank = 0; rank < merges_.size(); ++rank) {
    const auto& [left, right] = merges_[rank];
    for (const std::string* part : {&left, &right}) {
      const auto found = ids_.find(*part);
      if (found == ids_.end()) {
        refuse({"merge ", rank, " names ", in_quotes(*part), ", which is no token"});
      }
      out.merges.push_back(static_cast<uint32_t>(found->second));
    }
    if (!ids_.contains(left + right)) {
      refuse({"merge ", rank, " makes ", in_quotes(left + right), ", which is no token"});
    }
  }
  return out;
}

}  // namespace anyon
