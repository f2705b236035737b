// What one step of a transcription came to.
#pragma once

namespace anyon {

enum class StepResult {
  kNeedAudio,  // push more, or finish()
  kSegments,   // one window done; segments() holds what became final, which may be nothing
  kDone,       // the recording is over
  kCancelled,  // stopped by cancel() or should_stop; what earlier steps returned stays valid
};

}  // namespace anyon
