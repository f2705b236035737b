#include "frontends/word_split.h"

#include <algorithm>
#include <array>
#include <string>

#include "frontends/pre_tokenizer.h"
#include "frontends/utf8.h"

namespace anyon {
namespace {

// Languages written without spaces between words.
constexpr std::array<std::string_view, 6> kUnspaced = {"zh", "ja", "th", "lo", "my", "yue"};

constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

// A group of tokens ends where a character of the whole text ends. For text that is valid UTF-8 this is
// openai-whisper's split; where a character stays broken, every token still lands in a word.
WordSplit split_at_characters(const BpeTokenizer& tokenizer, std::span<const int32_t> ids) {
  WordSplit out;
  const std::string whole = tokenizer.decode(ids);
  size_t begin = 0, end = 0;  // bytes of the current group
  size_t character_end = 0;   // the last character boundary at or after `end` that was looked at
  std::vector<int32_t> group;
  for (const int32_t id : ids) {
    group.push_back(id);
    end += tokenizer.token(id).size();
    while (character_end < end) character_end += decode_utf8_step(std::string_view(whole).substr(character_end)).length;
    if (character_end != end) continue;
    out.words.push_back(utf8_lossy(std::string_view(whole).substr(begin, end - begin)));
    out.tokens.push_back(std::move(group));
    group.clear();
    begin = end;
  }
  return out;
}

// What Python's str.isspace accepts: White_Space and the four separators of ASCII.
bool is_space(char32_t code_point) {
  return (code_point >= 0x1C && code_point <= 0x1F) || character_class(code_point) == CharacterClass::kSpace;
}

// Without the white space around it a stretch of the constant, in its order: "." and "" are, "?!" is not.
bool is_punctuation(std::string_view word) {
  size_t begin = 0, end = 0;
  for (size_t at = 0; at < word.size();) {
    const Utf8Step step = decode_utf8_step(word.substr(at));
    const bool space = is_space(step.code_point);
    if (space && begin == at) begin = at + step.length;
    at += step.length;
    if (!space) end = at;
  }
  return kPunctuation.find(word.substr(begin, end > begin ? end - begin : 0)) != std::string_view::npos;
}

WordSplit split_at_spaces(const BpeTokenizer& tokenizer, std::span<const int32_t> ids) {
  WordSplit parts = split_at_characters(tokenizer, ids);
  WordSplit out;
  for (size_t i = 0; i < parts.words.size(); ++i) {
    const std::string& text = parts.words[i];
    const bool starts_word = out.words.empty() || text.starts_with(' ') || is_punctuation(text) ||
                             tokenizer.is_special(parts.tokens[i].front());
    if (starts_word) {
      out.words.push_back(text);
      out.tokens.push_back(std::move(parts.tokens[i]));
    } else {
      out.words.back() += text;
      out.tokens.back().insert(out.tokens.back().end(), parts.tokens[i].begin(), parts.tokens[i].end());
    }
  }
  return out;
}

}  // namespace

WordSplit split_words(const BpeTokenizer& tokenizer, std::span<const int32_t> ids, std::string_view language) {
  const bool unspaced = std::find(kUnspaced.begin(), kUnspaced.end(), language) != kUnspaced.end();
  return unspaced ? split_at_characters(tokenizer, ids) : split_at_spaces(tokenizer, ids);
}

}  // namespace anyon
