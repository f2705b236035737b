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

// A text that says one thing over and over becomes likely by that alone. openai-whisper's bound for decoding again;
// here such a text is not believed either where the model takes the window for no speech.
inline constexpr double kRepeatingRatio = 2.4;

// Clear speech (156 recordings in seven languages) reaches a change of 5.2 dB and a modulation of 7.4 dB within a
// window; music mostly stays below one of them, and so does speech in heavy noise. Text for such a signal is not
// believed when it is also less likely than this: it failed at every temperature, and openai-whisper would return it.
// Text for speech in white noise, 5 and 0 dB (11 recordings), was never less likely than -0.96; text for music had
// -1.08 to -1.89.
inline constexpr double kClearChange = 5.0;
inline constexpr double kClearModulation = 7.3;
inline constexpr double kUnlikelyLogprob = -1.0;

inline bool signal_has_speech(const SignalEvidence& evidence) {
  return evidence.change >= kLeastChange;
}

inline bool signal_is_clear_speech(const SignalEvidence& evidence) {
  return evidence.change >= kClearChange && evidence.modulation >= kClearModulation;
}

inline bool model_doubts_speech(double no_speech_prob, double avg_logprob, double compression_ratio) {
  return no_speech_prob > kDoubtfulNoSpeech && (avg_logprob < kDoubtfulLogprob || compression_ratio > kRepeatingRatio);
}

inline bool text_is_unfounded(const SignalEvidence& evidence, double avg_logprob) {
  return avg_logprob < kUnlikelyLogprob && !signal_is_clear_speech(evidence);
}

}  // namespace anyon
