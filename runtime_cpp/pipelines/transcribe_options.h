// Every setting of a transcription, with the names and defaults people know from openai-whisper and faster-whisper.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/status.h"
#include "pipelines/whisper_info.h"

namespace anyon {

enum class Task { kTranscribe, kTranslate };

// Text that the tokenizer encodes, or token ids that are used as they are.
using Prompt = std::variant<std::string, std::vector<int32_t>>;

// An empty optional switches the rule off.
struct TranscribeOptions {
  // What to do.
  std::string language;  // "en", "fr", ...; empty: detected on the first window (English-only models: "en")
  Task task = Task::kTranscribe;

  // How to choose tokens. Temperatures are tried in order until a result passes the thresholds.
  std::vector<float> temperatures = {0.0f, 0.2f, 0.4f, 0.6f, 0.8f, 1.0f};  // each 0..10, at least one
  int best_of = 5;                      // samples drawn at a temperature above 0; 1..64
  int beam_size = 5;                    // at temperature 0; 1 is greedy; 1..64
  float patience = 1.0f;                // beams finished before the search ends, over beam_size; (0, 10]
  std::optional<float> length_penalty;  // alpha of ((5 + n) / 6)^alpha, 0..1; empty: divide by n
  float repetition_penalty = 1.0f;      // above 1 makes text tokens already in the window less likely; (0, 10]
  int no_repeat_ngram_size = 0;         // 0: off; 0..64
  uint64_t seed = 0;                    // of the sampling; the same seed gives the same text
  int max_new_tokens = 0;               // for each window; 0: half of the text context

  // When a result is not believed.
  std::optional<float> compression_ratio_threshold = 2.4f;  // >= 0
  std::optional<float> log_prob_threshold = -1.0f;          // <= 0
  std::optional<float> no_speech_threshold = 0.6f;          // 0..1
  bool speech_gate = true;  // refuse text where neither model nor signal speak for speech (pipelines/speech_gate.h)

  // How many windows are decoded together, cut at pauses; 1: one after the other, each beginning where the text of the
  // one before ends. 1..64.
  int batch_size = 1;

  // What the decoder is told before it starts.
  std::optional<bool> condition_on_previous_text;  // empty: with batch_size 1; windows of a batch have no previous text
  float prompt_reset_on_temperature = 0.5f;        // forget the text so far after a window that needed more than this
  std::optional<Prompt> initial_prompt;
  bool carry_initial_prompt = false;  // give the initial prompt to every window, not only to the first
  std::string hotwords;               // given to every window; not used in a window that has a prefix
  std::optional<Prompt> prefix;       // how the text of the first window begins

  // What the text probably is, such as an earlier transcript of the same sound: where it is right, several tokens are
  // written at once. The text is that of greedy decoding without a draft. Needs beam_size 1, a first temperature of 0
  // and batch_size 1.
  std::optional<Prompt> draft;

  // What may be written.
  bool suppress_blank = true;
  std::vector<int32_t> suppress_tokens = {-1};  // -1 stands for the list of the bundle; empty: none
  bool without_timestamps = false;
  std::optional<float> max_initial_timestamp = 1.0f;  // seconds, 0..30

  // Words.
  bool word_timestamps = false;
  std::string prepend_punctuations = "\"'“¿([{-";
  std::string append_punctuations = "\"'.。,，!！?？:：”)]}、";
  std::optional<float> hallucination_silence_threshold;  // seconds, >= 0; needs word_timestamps

  // What to listen to: start, end, start, end, ... in seconds; a missing last end is the end of the recording.
  std::vector<double> clip_timestamps;

  // Language detection: windows are heard until one is surer than the threshold.
  float language_detection_threshold = 0.5f;  // 0..1
  int language_detection_segments = 1;        // 1..60

  // Throws Error: kInvalidArgument names the option and its range, kUnsupportedOption one this model cannot do.
  void validate(const WhisperInfo& model) const;
};

}  // namespace anyon
