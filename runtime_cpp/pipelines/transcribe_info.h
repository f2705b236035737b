// What a transcription did and how long its parts took.
#pragma once

#include <cstdint>

namespace anyon {

struct TranscribeInfo {
  int64_t windows = 0;    // windows decoded
  int64_t fallbacks = 0;  // decodings that a threshold sent back
  int64_t tokens = 0;     // tokens of the decodings that were kept
  int64_t steps = 0;      // decoder runs
  int64_t drafted = 0;    // tokens that came from the draft
  int64_t gated = 0;      // windows that the speech gate refused
  double mel_seconds = 0.0;
  double encoder_seconds = 0.0;
  double decoder_seconds = 0.0;  // decoder runs and the choice of tokens
  double align_seconds = 0.0;
};

}  // namespace anyon
