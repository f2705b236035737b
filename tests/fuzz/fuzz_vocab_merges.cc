// vocab.json and merges.txt (a zero byte between them), and the same bytes as a bundle's arrays and as text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "frontends/bpe_tokenizer.h"
#include "frontends/utf8.h"
#include "loops/compression_ratio.h"

namespace {

// Text that a tokenizer accepts must come back; what it refuses must be an Error.
void round_trip(const anyon::BpeTokenizer& tokenizer, std::string_view text) {
  const std::vector<int32_t> ids = tokenizer.encode(text);
  const std::string back = tokenizer.decode(ids);
  if (back != text) std::abort();
  if (anyon::complete_utf8_prefix(back) > back.size()) std::abort();
  std::vector<int32_t> joined;
  for (const auto& word : tokenizer.split_to_word_tokens(ids, "en").tokens) {
    joined.insert(joined.end(), word.begin(), word.end());
  }
  if (joined != ids) std::abort();
}

void as_files(std::string_view text) {
  const size_t cut = std::min(text.find('\0'), text.size());
  const std::string_view merges = text.substr(std::min(cut + 1, text.size()));
  round_trip(anyon::BpeTokenizer::from_vocab_and_merges(text.substr(0, cut), merges), text);
}

void as_arrays(std::string_view text) {
  if (text.size() < 4) return;
  const size_t tokens = static_cast<uint8_t>(text[0]) + size_t{1}, merges = static_cast<uint8_t>(text[1]);
  std::vector<uint32_t> words(text.size() / 4);
  std::memcpy(words.data(), text.data(), words.size() * 4);
  anyon::BpeArrays arrays;
  arrays.offsets = std::span(words).first(std::min(tokens, words.size()));
  arrays.merges = std::span(words).last(std::min(merges, words.size()));
  arrays.bytes = {reinterpret_cast<const uint8_t*>(text.data()), arrays.offsets.back() % (text.size() + 1)};
  arrays.merges_by_id = (text[2] & 1) != 0;
  arrays.n_vocab = static_cast<int64_t>(tokens) + (text[2] >> 4);
  arrays.special = {{"<|x|>", text[3]}};
  round_trip(anyon::BpeTokenizer(arrays), text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto run : {as_files, as_arrays}) {
    try {
      run(text);
    } catch (const anyon::Error&) {
    }
  }
  if (anyon::zlib_size({data, size}) < 8) std::abort();
  anyon::utf8_lossy(text);
  return 0;
}
