// Speech to text with Whisper: a state machine that is fed audio and stepped one window at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/function_ref.h"
#include "core/isa.h"
#include "pipelines/step_result.h"
#include "pipelines/transcribe_info.h"
#include "pipelines/transcribe_options.h"
#include "pipelines/transcript.h"
#include "pipelines/whisper_info.h"
#include "program/session.h"

namespace anyon {

class BpeTokenizer;
class ThreadPool;

// Threads: one thread at a time, except cancel(), which any thread may call.
// Memory: samples from the current window on are kept (with batch_size above 1, those of at most twice as many
// windows), nothing else grows with the recording.
class Transcriber {
 public:
  // Tokenizer, sessions and pool must outlive the transcriber. The sessions' states are its own meanwhile.
  // `isa` is for what is computed outside the sessions. Throws Error when the options or the programs do not fit the
  // model.
  Transcriber(WhisperInfo model, const BpeTokenizer& tokenizer, Session& encoder, Session& decoder, ThreadPool& pool,
              TranscribeOptions options, Isa isa = selected_isa());
  ~Transcriber();
  Transcriber(const Transcriber&) = delete;
  Transcriber& operator=(const Transcriber&) = delete;

  // Appends mono samples at `sample_rate` (Hz, the same in every call); they are resampled to the model's rate.
  // A sample that is not finite is Error kBadAudio.
  void push(std::span<const float> mono, int sample_rate);
  // No more audio will come.
  void finish();

  // For live captions: the text, so far as it can be told, of what was pushed after the last final segment; it may
  // change with every call. Changes nothing in the result. Throws Error kUnsupportedOption with batch_size above 1.
  std::string preview(FunctionRef<bool()> should_stop);

  // Works on at most one window; with batch_size above 1 on as many together, until the first of them is done, and
  // kNeedAudio until so many are here. `should_stop` is asked before each token and each program run.
  StepResult step(FunctionRef<bool()> should_stop);
  StepResult step();

  // What the last step made final; valid until the next step.
  const std::vector<Segment>& segments() const;

  // Ends the running or the next step with kCancelled, within one token.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  // Seconds of the recording that are transcribed, and seconds pushed so far.
  double progress() const;
  double duration() const;

  // The language spoken: the option, or what was detected; empty before the first window is heard.
  const std::string& language() const;
  double language_probability() const;
  // Every language with its probability, most probable first; empty when nothing had to be detected.
  const std::vector<std::pair<std::string, float>>& language_probabilities() const;
  const TranscribeInfo& info() const;

 private:
  class Impl;
  std::atomic<bool> cancelled_{false};
  std::unique_ptr<Impl> impl_;
};

}  // namespace anyon
