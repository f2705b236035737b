// What a window says so far, while its audio is still coming in.
#pragma once

#include <string>

#include "core/function_ref.h"
#include "loops/logit_rules.h"
#include "pipelines/fallback.h"
#include "pipelines/listener.h"
#include "pipelines/prompt.h"
#include "pipelines/speech_signal.h"
#include "pipelines/transcribe_options.h"
#include "pipelines/window.h"

namespace anyon {

// Greedy decoding at temperature 0, because the next preview replaces this one; the same rules and gates as for final
// text, so that a preview invents nothing that final text would not.
class Preview {
 public:
  // The listener must outlive the preview.
  explicit Preview(Listener& listener);

  // Empty when nothing is heard, or when `should_stop` said so.
  std::string text(const Window& window, const PromptHistory& history, bool first_window,
                   FunctionRef<bool()> should_stop);

 private:
  // The transcription's language, or what this window sounds like while that is not decided.
  std::string language() const;

  Listener& listener_;
  const TranscribeOptions options_;
  const LogitRules rules_;
  FallbackDecoder decoder_;
  SpeechSignal signal_;
};

}  // namespace anyon
