// Whether a window holds speech at all: what keeps silence, noise, hum and tones from becoming text.
#pragma once

#include "pipelines/speech_signal.h"

namespace anyon {

// The signal alone. Measured as the largest change within a window: 0 for digital silence, at most 1.5 dB for noise of
// any colour and loudness, hum, tones and bursts of noise; at least 2.1 dB where speech was heard, down to 0 dB of
// signal to noise (279 segments, clean and with noise, of 45 speakers). Decoding such a window can only invent text.
inline constexpr double kLeastChange = 1.75;

// The model's own doubts, for sounds that move like speech (knocks, bursts, clicks). Text invented for them came with a
// no-speech probability above 0.6 and an average log-probability below -0.75; windows of real speech with as high a
// no-speech probability had -0.43 or better. openai-whisper asks for -1.0, which lets "You" and "Thank you" through.
inline constexpr double kDoubtfulNoSpeech = 0.6;
inline constexpr double kDoubtfulLogprob = -0.65;

inline bool signal_has_speech(const SignalEvidence& evidence) {
  return evidence.change >= kLeastChange;
}

inline bool model_doubts_speech(double no_speech_prob, double avg_logprob) {
  return no_speech_prob > kDoubtfulNoSpeech && avg_logprob < kDoubtfulLogprob;
}

}  // namespace anyon
