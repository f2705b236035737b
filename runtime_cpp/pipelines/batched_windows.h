// Several windows at a time: the recording is cut at pauses, and one decoder run writes a token of every window, so the
// weights are read once for all of them. Windows know nothing of each other's text.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "core/function_ref.h"
#include "pipelines/final_segments.h"
#include "pipelines/listener.h"
#include "pipelines/prompt.h"
#include "pipelines/small_advances.h"
#include "pipelines/step_result.h"
#include "pipelines/window_finder.h"

namespace anyon {

// Each window has a slot of the decoder while it is decoded; the next one takes the slot as soon as it is free. They
// are given out in the order of the recording.
class BatchedWindows {
 public:
  // Everything must outlive this; `finder` must be fresh.
  BatchedWindows(Listener& listener, WindowFinder& finder, PromptHistory& history, FinalSegments& final);
  ~BatchedWindows();

  // Appends the segments of one window to `final`, when it can.
  StepResult step(FunctionRef<bool()> should_stop);

  // Frames of the recording that were given out.
  int64_t seek() const;

 private:
  struct Job {
    Window window;
    SmallAdvances advances;  // of the windows that were this one's beginning
    int64_t slot = -1;       // while it is decoded
    bool done = false;
    SignalEvidence evidence;
    WindowTask task;
    std::vector<Segment> segments;
    WindowWords words;
    int64_t next = 0;  // what is given out ends here
  };
  using Jobs = std::deque<Job>;

  StepResult fill(FunctionRef<bool()> should_stop);
  // The part of the finder's window that is heard at once.
  Window cut(const Window& window);
  void begin(Job& job);
  std::function<bool(std::span<const int32_t>)> ears(const Window& window, int64_t slot) const;
  // Takes the texts that are finished, and queues what they left unheard. False when `should_stop` said so.
  bool collect(FunctionRef<bool()> should_stop);
  bool complete(Job& job, const SpeechSignal& signal, FunctionRef<bool()> should_stop);
  void give_out(Job& job);
  int64_t free_slot() const;

  Listener& listener_;
  WindowFinder& finder_;
  PromptHistory& history_;
  FinalSegments& final_;
  const int64_t count_;
  SpeechSignal cutter_;
  std::vector<SpeechSignal> signals_;  // by slot
  std::vector<bool> taken_;            // by slot
  Jobs jobs_;                          // not given out yet, in order
  bool first_window_ = true;
  double last_speech_ = 0.0;  // seconds: end of the last word
};

}  // namespace anyon
