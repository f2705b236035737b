// What every window goes through, whoever decides where windows lie: features, evidence of speech, encoder, text,
// segments and words.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/function_ref.h"
#include "core/isa.h"
#include "core/threads.h"
#include "frontends/bpe_tokenizer.h"
#include "frontends/log_mel.h"
#include "loops/alignment.h"
#include "loops/seq2seq.h"
#include "loops/whisper_programs.h"
#include "pipelines/audio_buffer.h"
#include "pipelines/fallback.h"
#include "pipelines/language_detection.h"
#include "pipelines/segmentation.h"
#include "pipelines/speech_signal.h"
#include "pipelines/transcribe_info.h"
#include "pipelines/transcribe_options.h"
#include "pipelines/transcript.h"
#include "pipelines/whisper_info.h"
#include "pipelines/window.h"
#include "pipelines/window_finder.h"
#include "pipelines/word_timing.h"

namespace anyon {

// The words of one window, before they are handed to its segments.
struct WindowWords {
  std::vector<AlignedWord> words;
  std::vector<size_t> counts;  // text tokens, by segment
  WordLengths lengths;
};

class Listener {
 public:
  // Tokenizer, sessions and pool must outlive the listener.
  Listener(WhisperInfo model, const BpeTokenizer& tokenizer, Session& encoder, Session& decoder, ThreadPool& pool,
           TranscribeOptions options, Isa isa);

  const WhisperInfo& model() const { return model_; }
  const TranscribeOptions& options() const { return options_; }
  const BpeTokenizer& tokenizer() const { return tokenizer_; }
  Isa isa() const { return isa_; }
  const RowMath& math() const { return math_; }
  AudioBuffer& audio() { return audio_; }
  const AudioBuffer& audio() const { return audio_; }
  Seq2SeqDecoder& decoder() { return decoder_; }
  FallbackDecoder& fallback() { return fallback_; }
  TranscribeInfo& info() { return info_; }
  const TranscribeInfo& info() const { return info_; }
  const LanguageDetector& detector() const { return detector_; }
  const std::string& language() const { return language_; }
  double language_probability() const { return language_probability_; }

  double seconds(int64_t frames) const { return static_cast<double>(frames) / model_.frames_per_second(); }
  int64_t frames(double time) const { return std::llround(time * model_.frames_per_second()); }

  // Decoder runs so far.
  int64_t runs() const { return programs_.runs(); }

  // The features of a window whose samples are here.
  void compute_mel(const Window& window);
  // The evidence of speech in the features computed last.
  void measure(const Window& window, SpeechSignal& signal) const;
  // Features and encoder; a window that is encoded already is not done again.
  void encode(const Window& window);
  // The encoder on the features computed last, for the selected slot of the decoder.
  void encode_mel();
  // Keeps what align() needs of the window encoded last, for the selected slot.
  void keep_for_alignment();

  // Hears windows from the finder's present one on. False when more audio is needed.
  bool detect_language(const WindowFinder& finder);

  // Tokens of a decoding done, counted; whether text was heard at all, rather than silence or something doubtful.
  bool believe(const WindowText& text, const SignalEvidence& evidence);
  // The model itself takes the window for silence, or the signal is hardly speech, and the text is not likely enough to
  // contradict that.
  bool is_doubtful(const WindowText& text, const SignalEvidence& evidence) const;
  bool is_silent(const WindowText& text) const;
  // Whether the token is a timestamp after which the signal clearly speaks on, in a window of `size` frames.
  bool clear_speech_after(int32_t token, const SpeechSignal& signal, int64_t size) const;
  // Segments of a text and where the next window begins, as far as the model's timestamps and the signal say so.
  Segmentation split(const WindowText& text, const Window& window, const SpeechSignal& signal, int64_t* next) const;
  std::vector<Segment> make_segments(const WindowText& text, const Segmentation& split, const Window& window) const;
  // Empty when `should_stop` said so.
  std::optional<WindowWords> align(const std::vector<Segment>& segments, const Window& window,
                                   FunctionRef<bool()> should_stop);

 private:
  const WhisperInfo model_;
  const TranscribeOptions options_;
  const BpeTokenizer& tokenizer_;
  ThreadPool& pool_;
  const Isa isa_;
  const RowMath& math_;
  WhisperPrograms programs_;
  Seq2SeqDecoder decoder_;
  LogitRules rules_;
  FallbackDecoder fallback_;
  Aligner aligner_;
  LogMel log_mel_;
  std::vector<float> mel_;
  AudioBuffer audio_;
  LanguageDetector detector_;
  std::optional<Window> encoded_;  // the window that the encoder saw last
  std::string language_;
  double language_probability_;
  TranscribeInfo info_;
};

}  // namespace anyon
