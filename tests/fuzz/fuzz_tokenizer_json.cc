// tokenizer.json from a stranger: either a tokenizer that brings text back, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "frontends/bpe_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const anyon::BpeTokenizer tokenizer = anyon::BpeTokenizer::from_tokenizer_json(text);
    for (int32_t id = 0; id < tokenizer.n_vocab() && id < 100; ++id) tokenizer.token(id);
    for (const bool allow_special : {false, true}) {
      const std::vector<int32_t> ids = tokenizer.encode(text.substr(0, 300), allow_special);
      tokenizer.decode(ids);
      tokenizer.split_to_word_tokens(ids, allow_special ? "ja" : "en");
    }
  } catch (const anyon::Error&) {
  }
  return 0;
}
