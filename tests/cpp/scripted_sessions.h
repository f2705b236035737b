// A Whisper of which a test writes the logits: sessions without a model, a vocabulary of letters, and its manifest.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "frontends/bpe_tokenizer.h"
#include "pipelines/whisper_info.h"
#include "program/session.h"

namespace anyon::testing {

inline constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz.,!?-";  // ids 0..30; 31 is the space

// The special tokens stand where Whisper has them: after the text, before the timestamps.
inline constexpr int32_t kSpace = 31;
inline constexpr int32_t kEot = 32;
inline constexpr int32_t kSot = 33;
inline constexpr int32_t kEnglish = 34;
inline constexpr int32_t kFrench = 35;
inline constexpr int32_t kTranslate = 36;
inline constexpr int32_t kTranscribe = 37;
inline constexpr int32_t kSotLm = 38;
inline constexpr int32_t kSotPrev = 39;
inline constexpr int32_t kNoSpeech = 40;
inline constexpr int32_t kNoTimestamps = 41;
inline constexpr int32_t kTime = 42;  // <|0.00|>; 0.02 s each
inline constexpr int32_t kVocab = kTime + 1501;
inline constexpr int64_t kFrames = 1500;
inline constexpr int64_t kHeadDim = 4;

inline int32_t at(double seconds) {
  if (seconds > 30.0) throw std::out_of_range("a window has 30 s");
  return kTime + static_cast<int32_t>(seconds * 50.0 + 0.5);
}

// Ids of a text of lower case letters, spaces and ".,!?-".
inline std::vector<int32_t> letters(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) {
    ids.push_back(c == ' ' ? kSpace : static_cast<int32_t>(std::string(kLetters).find(c)));
  }
  return ids;
}

inline std::vector<int32_t> join(std::initializer_list<std::vector<int32_t>> parts) {
  std::vector<int32_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline BpeTokenizer letter_tokenizer() {
  std::string vocabulary = "{";
  for (int32_t id = 0; id < kSpace; ++id) {
    vocabulary += "\"" + std::string(1, kLetters[id]) + "\": " + std::to_string(id) + ", ";
  }
  vocabulary += "\"\xC4\xA0\": " + std::to_string(kSpace) + "}";  // U+0120, the space of the byte alphabet
  const std::vector<std::pair<std::string, int32_t>> special = {
      {"<|endoftext|>", kEot},       {"<|startoftranscript|>", kSot},
      {"<|en|>", kEnglish},          {"<|fr|>", kFrench},
      {"<|translate|>", kTranslate}, {"<|transcribe|>", kTranscribe},
      {"<|startoflm|>", kSotLm},     {"<|startofprev|>", kSotPrev},
      {"<|nospeech|>", kNoSpeech},   {"<|notimestamps|>", kNoTimestamps}};
  return BpeTokenizer::from_vocab_and_merges(vocabulary, "", special);
}

inline std::string letter_manifest(bool multilingual) {
  return std::string(R"({"frontend": {"sample_rate": 16000, "n_fft": 400, "hop_length": 160, "n_mels": 80,)") +
         R"("chunk_seconds": 30}, "tokenizer": {"n_vocab": 1543}, "loop": {"multilingual": )" +
         (multilingual ? R"(true, "languages": {"en": 34, "fr": 35})" : R"(false, "languages": {})") +
         R"(, "n_text_ctx": 64, "n_audio_ctx": 1500, "n_layers": 1, "n_heads": 1, "head_dim": 4, "eot": 32,)"
         R"("sot": 33, "translate": 36, "transcribe": 37, "sot_lm": 38, "sot_prev": 39, "no_speech": 40,)"
         R"("no_timestamps": 41, "timestamp_begin": 42, "suppress_tokens": [30], "begin_suppress_tokens": [31, 32],)"
         R"("alignment_heads": [[0, 0]]})" +
         "}";
}

inline WhisperInfo letter_model(bool multilingual = false) {
  return WhisperInfo::from_manifest(letter_manifest(multilingual));
}

// Encoder: the key of frame f is f in every element, so that queries can point at frames. The number of the run (from
// 1) stands beside it, where no query looks.
class ScriptedEncoder final : public Session {
 public:
  const std::vector<ValueInfo>& inputs() const override { return inputs_; }
  const std::vector<ValueInfo>& outputs() const override { return outputs_; }
  void run(std::span<const TensorView> inputs, std::span<TensorView> outputs) override {
    ++runs;
    const TensorView& mel = inputs[0];
    last_mel.assign(mel.as<const float>(), mel.as<const float>() + mel.shape.elements());
    // (f, -f^2, 1, 0): the product with (2a, 1, 0, 0) * s is largest at frame a.
    keys_.resize(kFrames * kHeadDim);
    for (int64_t f = 0; f < kFrames; ++f) {
      const float x = static_cast<float>(f);
      const float key[kHeadDim] = {x, -x * x, 1.0f, static_cast<float>(runs)};
      std::copy_n(key, kHeadDim, keys_.data() + f * kHeadDim);
    }
    for (TensorView& output : outputs) output = {DType::kF32, {1, 1, kFrames, kHeadDim}, keys_.data()};
  }
  void reset_states() override {}
  void reorder_states(std::span<const int64_t>) override {}
  void truncate_states(int64_t) override {}
  int64_t state_length() const override { return 0; }

  int runs = 0;
  std::vector<float> last_mel;

 private:
  std::vector<ValueInfo> inputs_ = {{"mel", DType::kF32, {"batch", "80", "frames2"}}};
  std::vector<ValueInfo> outputs_ = {{"cross_key_0", DType::kF32, {"batch", "1", "frames", "4"}},
                                     {"cross_value_0", DType::kF32, {"batch", "1", "frames", "4"}}};
  std::vector<float> keys_;
};

// Decoder: asks `speak` for the logits after a history of tokens, and `look` which frame its last token looks at.
class ScriptedDecoder final : public Session {
 public:
  std::function<void(std::span<const int32_t> history, std::span<float> logits)> speak;
  std::function<double(std::span<const int32_t> history)> look = [](std::span<const int32_t>) { return 0.0; };

  const std::vector<ValueInfo>& inputs() const override { return inputs_; }
  const std::vector<ValueInfo>& outputs() const override { return outputs_; }

  void run(std::span<const TensorView> inputs, std::span<TensorView> outputs) override {
    const int64_t batch = inputs[0].shape[0];
    const int64_t time = inputs[0].shape[1];
    const int64_t rows = inputs[2].shape[0];
    std::vector<std::pair<Slot*, size_t>> places;  // of the rows
    for (const int64_t selected : selected_) {
      Slot& slot = slots_.at(selected);
      if (slot.histories.empty()) {
        if (selected_.size() > 1) throw Error(Status::kBackendFailed, "script: a slot's first run is its own");
        slot.histories.resize(batch);
        slot.heard = static_cast<int>(inputs[3].as<const float>()[kHeadDim - 1]);
      }
      for (size_t row = 0; row < slot.histories.size(); ++row) places.emplace_back(&slot, row);
    }
    if (static_cast<int64_t>(places.size()) != batch) throw Error(Status::kBackendFailed, "script: wrong batch");
    logits_.assign(batch * rows * kVocab, 0.0f);
    queries_.assign(batch * time * kHeadDim, 0.0f);
    for (int64_t b = 0; b < batch; ++b) {
      std::vector<int32_t>& history = places[b].first->histories[places[b].second];
      hearing = places[b].first->heard;
      for (int64_t t = 0; t < time; ++t) {
        if (inputs[1].as<const int64_t>()[b * time + t] != static_cast<int64_t>(history.size())) {
          throw Error(Status::kBackendFailed, "script: wrong position");
        }
        history.push_back(static_cast<int32_t>(inputs[0].as<const int64_t>()[b * time + t]));
        const float sharp = 10.0f;
        const float query[kHeadDim] = {static_cast<float>(2.0 * look(history)) * sharp, sharp, 0.0f, 0.0f};
        std::copy_n(query, kHeadDim, queries_.data() + (b * time + t) * kHeadDim);
        answer(history, b, t, inputs[2]);
      }
    }
    outputs[0] = {DType::kF32, {batch, rows, kVocab}, logits_.data()};
    outputs[1] = {DType::kF32, {batch, time, kHeadDim}, queries_.data()};
    largest_batch = std::max(largest_batch, batch);
    ++runs;
  }
  void reset_states() override {
    for (const int64_t slot : selected_) slots_.at(slot).histories.clear();
  }
  void reorder_states(std::span<const int64_t> rows) override {
    std::vector<std::vector<int32_t>> next;
    for (const int64_t row : rows) next.push_back(only().at(row));
    only() = std::move(next);
  }
  void truncate_states(int64_t length) override {
    for (auto& history : only()) history.resize(std::min<size_t>(history.size(), length));
  }
  int64_t state_length() const override {
    const Slot& slot = slots_.at(selected_.at(0));
    return slot.histories.empty() ? 0 : static_cast<int64_t>(slot.histories.front().size());
  }
  int64_t max_slots() const override { return slots_allowed; }
  void set_slots(int64_t count) override {
    slots_.assign(count, {});
    selected_ = {0};
  }
  void select_slots(std::span<const int64_t> slots) override { selected_.assign(slots.begin(), slots.end()); }

  int64_t slots_allowed = 64;
  int hearing = 0;  // the encoder's run that the row being answered listens to
  int runs = 0;
  int64_t largest_batch = 0;

 private:
  struct Slot {
    std::vector<std::vector<int32_t>> histories;
    int heard = 0;
  };

  std::vector<std::vector<int32_t>>& only() { return slots_.at(selected_.at(0)).histories; }

  // Fills the rows of logits that are selected at this place, from one answer.
  void answer(const std::vector<int32_t>& history, int64_t b, int64_t t, const TensorView& select) {
    const int64_t rows = select.shape[0];
    std::vector<float> row;
    for (int64_t r = 0; r < rows; ++r) {
      if (select.as<const int64_t>()[r] != t) continue;
      if (row.empty()) {
        row.resize(kVocab, 0.0f);
        speak(history, row);
      }
      std::copy(row.begin(), row.end(), logits_.begin() + (b * rows + r) * kVocab);
    }
  }

  std::vector<ValueInfo> inputs_ = {{"tokens", DType::kI64, {"batch", "time"}},
                                    {"positions", DType::kI64, {"batch", "time"}},
                                    {"select", DType::kI64, {"rows"}},
                                    {"cross_key_0", DType::kF32, {"batch", "1", "frames", "4"}},
                                    {"cross_value_0", DType::kF32, {"batch", "1", "frames", "4"}}};
  std::vector<ValueInfo> outputs_ = {{"logits", DType::kF32, {"batch", "rows", "1543"}},
                                     {"cross_query_0", DType::kF32, {"batch", "time", "4"}}};
  std::vector<Slot> slots_ = std::vector<Slot>(1);
  std::vector<int64_t> selected_ = {0};
  std::vector<float> logits_;
  std::vector<float> queries_;
};

// Where the text after the start of transcript begins in a history (language and task left out); 0 before it.
inline size_t text_begin(std::span<const int32_t> history) {
  const auto sot = std::find(history.rbegin(), history.rend(), kSot);
  if (sot == history.rend()) return 0;
  size_t begin = history.size() - static_cast<size_t>(sot - history.rbegin());
  while (begin < history.size() && history[begin] > kSot && history[begin] < kTime) ++begin;
  return begin;
}

// A decoder that writes one text per window, whatever it hears, with about e^10 to one against every other token.
inline std::function<void(std::span<const int32_t>, std::span<float>)> recite(std::vector<int32_t> text) {
  return [text = std::move(text)](std::span<const int32_t> history, std::span<float> logits) {
    const size_t position = history.size() - text_begin(history);
    logits[position < text.size() ? text[position] : kEot] = 20.0f;
  };
}

}  // namespace anyon::testing
