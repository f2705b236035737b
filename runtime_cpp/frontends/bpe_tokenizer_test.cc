// The tokenizer against Hugging Face's tokenizers and openai-whisper's word splitting (tests/cpp/data/tokenizer.tsv).
#include "frontends/bpe_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "core/status.h"
#include "frontends/utf8.h"
#include "test_data.h"

namespace anyon {
namespace {

using Ids = std::vector<int32_t>;

Ids to_ids(const std::string& text) {
  Ids ids;
  std::istringstream stream(text);
  for (int32_t id = 0; stream >> id;) ids.push_back(id);
  return ids;
}

BpeTokenizer small_tokenizer() {
  return BpeTokenizer::from_tokenizer_json(data_text("tokenizer.json"));
}

// The same vocabulary as a bundle stores it, ids as ranks.
struct Stored {
  std::vector<uint32_t> offsets{0};
  std::vector<uint8_t> bytes;
  BpeArrays arrays;

  explicit Stored(const BpeTokenizer& tokenizer) {
    for (int32_t id = 0; id < tokenizer.n_vocab(); ++id) {
      const std::string_view token = tokenizer.token(id);
      bytes.insert(bytes.end(), token.begin(), token.end());
      offsets.push_back(static_cast<uint32_t>(bytes.size()));
      // The timestamps after <|notimestamps|> are not listed in a bundle.
      if (tokenizer.is_special(id) && token.find('.') == std::string_view::npos) {
        arrays.special.emplace_back(token, id);
      }
    }
    arrays.offsets = offsets;
    arrays.bytes = bytes;
    arrays.n_vocab = tokenizer.n_vocab();
  }
};

template <class F>
std::string refusal(F&& make, Status status = Status::kBadTokenizer) {
  try {
    make();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(BpeTokenizer, EncodesAndDecodesAsHuggingFaceDoes) {
  const BpeTokenizer from_json = small_tokenizer();
  const Stored stored(from_json);
  const BpeTokenizer from_arrays(stored.arrays);
  int compared = 0;
  for (const std::string& line : data_lines("tokenizer.tsv")) {
    const std::vector<std::string> fields = split(line, '\t');
    if (fields[0] == "words") continue;
    const std::string text = from_hex(fields[1]);
    const Ids expected = to_ids(fields[2]);
    for (const BpeTokenizer* tokenizer : {&from_json, &from_arrays}) {
      EXPECT_EQ(tokenizer->encode(text, fields[0] == "special"), expected) << text;
      EXPECT_EQ(tokenizer->decode(expected), text);
    }
    ++compared;
  }
  EXPECT_GT(compared, 150);
}

TEST(BpeTokenizer, SplitsWordsAsOpenaiWhisperDoes) {
  const BpeTokenizer tokenizer = small_tokenizer();
  int compared = 0;
  for (const std::string& line : data_lines("tokenizer.tsv")) {
    const std::vector<std::string> fields = split(line, '\t');
    if (fields[0] != "words") continue;
    const Ids ids = to_ids(fields[2]);
    const std::vector<std::string> words = split(fields[3], ' ');
    const Ids sizes = to_ids(fields[4]);
    const WordSplit ours = tokenizer.split_to_word_tokens(ids, fields[1]);
    ASSERT_EQ(ours.words.size(), words.size()) << line;
    ASSERT_EQ(ours.tokens.size(), sizes.size());
    Ids joined;
    for (size_t i = 0; i < words.size(); ++i) {
      EXPECT_EQ(ours.words[i], from_hex(words[i]));
      EXPECT_EQ(static_cast<int32_t>(ours.tokens[i].size()), sizes[i]);
      joined.insert(joined.end(), ours.tokens[i].begin(), ours.tokens[i].end());
    }
    EXPECT_EQ(joined, ids);
    ++compared;
  }
  EXPECT_GT(compared, 100);
}

TEST(BpeTokenizer, SplittingLosesNoTokenOfBrokenText) {
  const BpeTokenizer tokenizer = small_tokenizer();
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    Ids ids(random() % 30);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % 708);
    for (const char* language : {"en", "ja"}) {
      const WordSplit words = tokenizer.split_to_word_tokens(ids, language);
      Ids joined;
      std::string text;
      for (const Ids& tokens : words.tokens) joined.insert(joined.end(), tokens.begin(), tokens.end());
      for (const std::string& word : words.words) text += word;
      ASSERT_EQ(joined, ids);
      ASSERT_EQ(words.words.size(), words.tokens.size());
      ASSERT_EQ(text, utf8_lossy(tokenizer.decode(ids)));
    }
  }
}

TEST(BpeTokenizer, AnyBytesComeBack) {
  const BpeTokenizer tokenizer = small_tokenizer();
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    for (const bool special : {false, true}) ASSERT_EQ(tokenizer.decode(tokenizer.encode(bytes, special)), bytes);
  }
}

TEST(BpeTokenizer, SpecialTokensAreTextUnlessAllowed) {
  const BpeTokenizer tokenizer = small_tokenizer();
  const int32_t end = tokenizer.special_id("<|endoftext|>");
  EXPECT_EQ(end, 700);
  EXPECT_EQ(tokenizer.special_id("<|nothing|>"), -1);
  EXPECT_EQ(tokenizer.encode("<|endoftext|>", true), Ids{end});
  const Ids text = tokenizer.encode("<|endoftext|>");
  EXPECT_EQ(std::count(text.begin(), text.end(), end), 0);
  EXPECT_TRUE(tokenizer.is_special(end));
  EXPECT_FALSE(tokenizer.is_special(0));
  const Ids mixed{end, text[0], end};
  EXPECT_EQ(tokenizer.decode(mixed, true), tokenizer.decode(std::span(text).first(1)));
  EXPECT_EQ(tokenizer.decode(mixed), "<|endoftext|>" + tokenizer.decode(std::span(text).first(1)) + "<|endoftext|>");
}

TEST(BpeTokenizer, TimestampsAreSpecialThoughNotListed) {
  const BpeTokenizer json = small_tokenizer();
  Stored stored(json);
  stored.arrays.n_vocab += 3;  // ids without bytes
  const BpeTokenizer tokenizer(stored.arrays);
  EXPECT_EQ(tokenizer.token(706), "<|0.00|>");
  EXPECT_TRUE(tokenizer.is_special(706));
  EXPECT_EQ(tokenizer.encode("<|0.02|>", true), Ids{707});
  EXPECT_TRUE(tokenizer.is_special(710));
  EXPECT_EQ(tokenizer.token(710), "");
}

TEST(BpeTokenizer, UnknownIdsAreRefused) {
  const BpeTokenizer tokenizer = small_tokenizer();
  for (const int32_t id : {-1, 708, 2147483647}) {
    refusal([&] { tokenizer.decode(Ids{id}); }, Status::kInvalidArgument);
    refusal([&] { tokenizer.is_special(id); }, Status::kInvalidArgument);
    refusal([&] { tokenizer.split_to_word_tokens(Ids{id}, "en"); }, Status::kInvalidArgument);
  }
}

TEST(BpeTokenizer, HostileTextTakesLinearTime) {
  const BpeTokenizer tokenizer = small_tokenizer();
  // One piece of letters, spaces, quotes and openings of special tokens; quadratic code would take
  // hours.
  for (const char* unit : {"a", " ", "'", "<|", "\xE2", "\xF0\x9F", "1", "!"}) {
    std::string text;
    while (text.size() < 200000) text += unit;
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text, true)), text);
  }
}

TEST(BpeTokenizer, ManyThreadsShareOneAndItsFirstLookup) {
  const BpeTokenizer tokenizer = small_tokenizer();
  const Ids expected = small_tokenizer().encode("The quick brown fox, été 東京");
  std::vector<std::thread> threads;
  std::vector<Ids> results(8);
  for (Ids& result : results) {
    threads.emplace_back([&] { result = tokenizer.encode("The quick brown fox, été 東京"); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

TEST(BpeTokenizer, ArraysThatContradictThemselvesAreRefused) {
  const BpeTokenizer json = small_tokenizer();
  const Stored good(json);
  const auto broken = [&](auto&& change) {
    Stored stored(json);
    change(stored);
    return refusal([&] { BpeTokenizer(stored.arrays).encode("text"); });
  };
  broken([](Stored& s) { s.arrays.offsets = {}; });
  broken([](Stored& s) { s.offsets.back() += 1; });
  broken([](Stored& s) { std::swap(s.offsets[5], s.offsets[9]); });
  broken([](Stored& s) { s.offsets[0] = 1; });
  broken([](Stored& s) { s.arrays.n_vocab = 10; });
  broken([](Stored& s) { s.arrays.n_vocab = int64_t{1} << 40; });
  broken([](Stored& s) { s.arrays.special.emplace_back("<|x|>", -1); });
  broken([](Stored& s) { s.arrays.special.emplace_back("<|x|>", 100000); });
  static const std::vector<uint32_t> odd{1, 2, 3}, far{1, 100000}, none{700, 701};
  for (const std::vector<uint32_t>* merges : {&odd, &far, &none}) {
    broken([&](Stored& s) { s.arrays.merges = *merges, s.arrays.merges_by_id = false; });
  }
  // A vocabulary without single bytes can decode, and says what it lacks when asked to encode.
  Stored stored(json);
  stored.arrays.special.emplace_back("e", json.encode("e")[0]);
  const BpeTokenizer without_e(stored.arrays);
  EXPECT_EQ(without_e.decode(json.encode("hello")), "hello");
  EXPECT_NE(refusal([&] { without_e.encode("e"); }).find("no token for byte 101"), std::string::npos);
}

TEST(TokenizerFiles, VocabAndMergesAreTheOlderFormOfTheSame) {
  // h=104 and i=105 are themselves in the byte alphabet; "\u0120" is a space.
  const std::string vocab = R"({"h": 0, "i": 1, "\u0120": 2, "hi": 3, "\u0120hi": 4})";
  const std::string merges = "#version: 0.2\nh i\r\n\u0120 hi\n";
  const std::vector<std::pair<std::string, int32_t>> special{{"<|x|>", 7}};
  const BpeTokenizer tokenizer = BpeTokenizer::from_vocab_and_merges(vocab, merges, special);
  EXPECT_EQ(tokenizer.encode("hi hi<|x|>ih", true), (Ids{3, 4, 7, 1, 0}));
  EXPECT_EQ(tokenizer.decode(Ids{4, 3, 7}), " hihi<|x|>");
  EXPECT_EQ(tokenizer.n_vocab(), 8);
  EXPECT_EQ(tokenizer.token(5), "");
  for (const char* bad : {"h i\nh i\n", "h\n", "h i x\n", "h x\n", "i h\n", " i\n", "i \n"}) {
    refusal([&] { BpeTokenizer::from_vocab_and_merges(vocab, bad).encode("hi"); });
  }
  for (const char* bad : {"", "[]", "{", "{\"a\":0,\"a\":1}", "{\"a\":0,\"b\":0}", "{\"a\":-1}", "{\"a\":1.5}",
                          "{\"a\":\"b\"}", "{\"a\":99999999999}", "{\"a\":[0]}", "{\"a\":{\"b\":0}}", "3"}) {
    refusal([&] { BpeTokenizer::from_vocab_and_merges(bad, ""); });
  }
}

// tokenizer.json with one thing changed.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = R"({"added_tokens":[{"id":3,"content":"<|x|>","lstrip":false,"special":true}],"normalizer":null,)"
                     R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
                     R"("decoder":{"type":"ByteLevel"},)"
                     R"("model":{"type":"BPE","dropout":null,"vocab":{"h":0,"i":1,"hi":2},"merges":[["h","i"]]}})";
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(TokenizerFiles, WhatATokenizerJsonCannotMeanIsRefusedByName) {
  EXPECT_EQ(BpeTokenizer::from_tokenizer_json(changed("", "")).encode("hi<|x|>i", true), (Ids{2, 3, 1}));
  EXPECT_EQ(BpeTokenizer::from_tokenizer_json(changed(R"(["h","i"])", R"("h i")")).encode("hi"), Ids{2});
  const std::vector<std::array<std::string, 3>> cases = {
      {R"("normalizer":null)", R"("normalizer":{"type":"NFC"})", "normalizer"},
      {R"("type":"ByteLevel","add)", R"("type":"Metaspace","add)", "pre_tokenizer.type"},
      {R"("add_prefix_space":false)", R"("add_prefix_space":true)", "pre_tokenizer.add_prefix_space"},
      {R"("use_regex":true)", R"("use_regex":false)", "use_regex"},
      {R"("decoder":{"type":"ByteLevel"})", R"("decoder":null)", "decoder.type"},
      {R"("type":"BPE")", R"("type":"Unigram")", "Unigram"},
      {R"("dropout":null)", R"("dropout":0.1)", "model.dropout"},
      {R"("dropout":null)", R"("end_of_word_suffix":"</w>")", "end_of_word_suffix"},
      {R"("dropout":null)", R"("ignore_merges":true)", "ignore_merges"},
      {R"("lstrip":false)", R"("lstrip":true)", "lstrip"},
      {R"("lstrip":false)", R"("colour":1)", "colour"},
      {R"("id":3,)", "", "lacks"},
      {R"("id":3)", R"("id":1)", "has the id of 'i'"},
      {R"("content":"<|x|>")", R"("content":"hi")", "two ids"},
      {R"("content":"<|x|>")", R"("content":7)", "content"},
      {R"("hi":2)", R"("hi":1)", "share the id"},
      {R"("i":1)", R"("h":1)", "stands twice"},
      {R"("dropout":null)", R"("type":"BPE")", "stands twice"},
      {R"(["h","i"])", R"(["h","i","h"])", "merges"},
      {R"(["h","i"])", R"(["h"])", "not two tokens"},
      {R"(["h","i"])", R"(["i","h"])", "no token"},
      {R"(["h","i"])", R"(["h","x"])", "no token"},
      {R"(["h","i"])", "7", "merges"},
      {R"(,"merges":[["h","i"]])", "", "model.merges"},
      {R"("vocab":{"h":0,"i":1,"hi":2},)", "", "model.vocab"},
      {R"("dropout":null)", R"("dropout":null,)", "not valid JSON"},
      {R"("normalizer":null)", "\"version\":\"\xFF\"", "not valid JSON"},
      {R"("normalizer":null)", R"("version":)" + std::string(100000, '['), "nested deeper"},
      {R"("normalizer":null)", R"("version":"\ud800")", "not valid JSON"},
  };
  for (const auto& [from, to, expected] : cases) {
    const std::string text = changed(from, to);
    const std::string message = refusal([&] { BpeTokenizer::from_tokenizer_json(text).encode("hi"); });
    EXPECT_NE(message.find(expected), std::string::npos) << "wanted " << expected << ", got " << message;
  }
  const std::string whole = changed("", "");
  for (size_t length = 0; length < whole.size(); ++length) {
    refusal([&] { BpeTokenizer::from_tokenizer_json(std::string_view(whole).substr(0, length)); });
  }
}

TEST(Utf8, LossyTextReplacesMaximalSubparts) {
  EXPECT_EQ(utf8_lossy("a\xE2\x82\xAC"), "a€");
  EXPECT_EQ(utf8_lossy("a\xE2\x82"), "a\uFFFD");
  EXPECT_EQ(utf8_lossy("\xE2\x82 b"), "\uFFFD b");
  EXPECT_EQ(utf8_lossy("\xC0\xAF"), "\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(utf8_lossy("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");            // a surrogate
  EXPECT_EQ(utf8_lossy("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // past U+10FFFF
  EXPECT_EQ(utf8_lossy("\xF0\x9F\x98"), "\uFFFD");
}

TEST(Utf8, AnIncompleteCharacterAtTheEndIsHeldBack) {
  EXPECT_EQ(complete_utf8_prefix(""), 0U);
  EXPECT_EQ(complete_utf8_prefix("abc"), 3U);
  EXPECT_EQ(complete_utf8_prefix("ab\xE2"), 2U);
  EXPECT_EQ(complete_utf8_prefix("ab\xE2\x82"), 2U);
  EXPECT_EQ(complete_utf8_prefix("ab\xE2\x82\xAC"), 5U);
  EXPECT_EQ(complete_utf8_prefix("ab\xF0\x9F\x98"), 2U);
  EXPECT_EQ(complete_utf8_prefix("ab\x82\x82\x82"), 5U);  // stray bytes will never be completed
  EXPECT_EQ(complete_utf8_prefix("\xE2\xE2\x82"), 1U);
  EXPECT_EQ(complete_utf8_prefix("ab\xED\xA0"), 4U);  // nor will half a surrogate
}

}  // namespace
}  // namespace anyon
