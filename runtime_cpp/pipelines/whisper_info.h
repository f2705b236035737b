// What a Whisper bundle says about its model: sizes, special tokens and alignment heads, read from the manifest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace anyon {

struct AlignmentHead {
  int layer = 0;
  int head = 0;
};

struct WhisperInfo {
  static constexpr int32_t kNone = -1;  // a token that this vocabulary does not have

  // frontend
  int sample_rate = 16000;
  int n_fft = 400;
  int hop_length = 160;
  int n_mels = 80;
  int chunk_seconds = 30;

  // programs
  int n_vocab = 0;
  int n_text_ctx = 448;
  int n_audio_ctx = 1500;
  int n_layers = 0;
  int n_heads = 0;
  int head_dim = 0;

  // special tokens
  bool multilingual = false;
  int32_t eot = kNone;
  int32_t sot = kNone;
  int32_t translate = kNone;
  int32_t transcribe = kNone;
  int32_t sot_lm = kNone;
  int32_t sot_prev = kNone;
  int32_t no_speech = kNone;
  int32_t no_timestamps = kNone;
  int32_t timestamp_begin = kNone;
  std::vector<std::pair<std::string, int32_t>> languages;  // code and token; empty for English-only models

  std::vector<int32_t> suppress_tokens;
  std::vector<int32_t> begin_suppress_tokens;
  std::vector<AlignmentHead> alignment_heads;

  int chunk_samples() const { return sample_rate * chunk_seconds; }
  int chunk_frames() const { return chunk_samples() / hop_length; }
  int frames_per_second() const { return sample_rate / hop_length; }
  int frames_per_token() const { return chunk_frames() / n_audio_ctx; }  // mel frames for one encoder frame
  double time_precision() const { return static_cast<double>(chunk_seconds) / n_audio_ctx; }  // one timestamp token

  // The token of a language code, or kNone.
  int32_t language_token(std::string_view code) const;

  // Reads the sections `frontend`, `tokenizer` and `loop` of a bundle's manifest (JSON text). A missing, mistyped or
  // out-of-range value is an Error kBadBundle that names it.
  static WhisperInfo from_manifest(std::string_view manifest);
};

}  // namespace anyon
