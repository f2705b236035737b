// What a window says so far.
#include "pipelines/preview.h"

#include "pipelines/language_detection.h"
#include "pipelines/model_setup.h"
#include "pipelines/speech_gate.h"

namespace anyon {

namespace {

// Frames below which a model makes words up.
constexpr int64_t kShortest = 25;

TranscribeOptions greedy(TranscribeOptions options) {
  options.temperatures = {0.0f};
  options.beam_size = 1;
  return options;
}

}  // namespace

Preview::Preview(Listener& listener)
    : listener_(listener),
      options_(greedy(listener.options())),
      rules_(rule_options(listener.model(), options_), listener.math()),
      decoder_(listener.decoder(), rules_, listener.tokenizer(), listener.model(), options_),
      signal_(listener.model().n_mels, listener.math()) {}

std::string Preview::text(const Window& window, const PromptHistory& history, bool first_window,
                          FunctionRef<bool()> should_stop) {
  if (window.size < kShortest || should_stop()) return "";
  listener_.encode(window);
  SignalEvidence evidence;
  if (options_.speech_gate) {
    listener_.measure(window, signal_);
    evidence = signal_.between(0, window.size);
    if (!signal_has_speech(evidence)) return "";
  }
  const WindowText text = decoder_.decode(history.next(language(), first_window), 0, nullptr, should_stop);
  if (text.cancelled || listener_.is_doubtful(text, evidence) || listener_.is_silent(text)) return "";
  return text.text;
}

std::string Preview::language() const {
  if (!listener_.language().empty()) return listener_.language();
  const int32_t sot[1] = {listener_.model().sot};
  listener_.decoder().start(sot, 0);
  LanguageDetector detector(listener_.model(), 0.0f, 1);
  detector.hear(listener_.decoder().logits_at_sot());
  return detector.language();
}

}  // namespace anyon
