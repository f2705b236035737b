// Several windows at a time.
#include "pipelines/batched_windows.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/isa.h"
#include "loops/random.h"
#include "pipelines/pauses.h"
#include "pipelines/speech_gate.h"
#include "pipelines/stopwatch.h"

namespace anyon {

BatchedWindows::BatchedWindows(Listener& listener, WindowFinder& finder, PromptHistory& history, FinalSegments& final)
    : listener_(listener),
      finder_(finder),
      history_(history),
      final_(final),
      count_(listener.options().batch_size),
      cutter_(listener.model().n_mels, listener.math()),
      signals_(static_cast<size_t>(count_), SpeechSignal(listener.model().n_mels, listener.math())),
      taken_(static_cast<size_t>(count_), false) {
  listener_.decoder().set_slots(count_);
}

BatchedWindows::~BatchedWindows() {
  // The next to use the sessions may know nothing of slots.
  listener_.decoder().set_slots(1);
}

int64_t BatchedWindows::seek() const {
  return jobs_.empty() ? finder_.seek() : jobs_.front().window.seek;
}

int64_t BatchedWindows::free_slot() const {
  return std::find(taken_.begin(), taken_.end(), false) - taken_.begin();
}

StepResult BatchedWindows::step(FunctionRef<bool()> should_stop) {
  while (true) {
    const StepResult filled = fill(should_stop);
    if (filled == StepResult::kNeedAudio || filled == StepResult::kCancelled) return filled;
    if (jobs_.empty()) {
      listener_.audio().discard_before(std::numeric_limits<int64_t>::max() / 2);
      return StepResult::kDone;
    }
    if (jobs_.front().done) {
      give_out(jobs_.front());
      jobs_.pop_front();
      return StepResult::kSegments;
    }
    {
      const Stopwatch stopwatch(listener_.info().decoder_seconds);
      const int64_t runs = listener_.runs();
      if (!listener_.decoder().step(should_stop)) return StepResult::kCancelled;
      listener_.info().steps += listener_.runs() - runs;
    }
    if (!collect(should_stop)) return StepResult::kCancelled;
  }
}

// kSegments: nothing more can be begun now.
StepResult BatchedWindows::fill(FunctionRef<bool()> should_stop) {
  listener_.audio().discard_before(seek() * listener_.model().hop_length - WindowFinder::kMelContext);
  while (free_slot() < count_) {
    if (should_stop()) return StepResult::kCancelled;
    const auto waiting =
        std::find_if(jobs_.begin(), jobs_.end(), [](const Job& job) { return !job.done && job.slot < 0; });
    if (waiting != jobs_.end()) {
      begin(*waiting);
      continue;
    }
    // What is done but waits for one before it keeps its samples; a bound on that keeps memory flat.
    if (static_cast<int64_t>(jobs_.size()) >= 2 * count_) break;
    const WindowFinder::Found found = finder_.find();
    if (found == WindowFinder::Found::kNeedAudio) return StepResult::kNeedAudio;
    if (found == WindowFinder::Found::kDone) break;
    if (listener_.language().empty() && !listener_.detect_language(finder_)) return StepResult::kNeedAudio;
    jobs_.emplace_back();
    jobs_.back().window = cut(finder_.window());
    finder_.move_to(jobs_.back().window.end());
  }
  return StepResult::kSegments;
}

Window BatchedWindows::cut(const Window& window) {
  const bool goes_on = window.end() < std::min(finder_.clip_end(), finder_.content_frames());
  if (!goes_on || window.size < 2) return window;
  listener_.compute_mel(window);
  listener_.measure(window, cutter_);
  return {window.seek, find_cut(cutter_.loudness())};
}

void BatchedWindows::begin(Job& job) {
  const int64_t slot = free_slot();
  listener_.decoder().select(slot);
  listener_.compute_mel(job.window);
  if (listener_.options().speech_gate) {
    SpeechSignal& signal = signals_[static_cast<size_t>(slot)];
    listener_.measure(job.window, signal);
    job.evidence = signal.between(0, job.window.size);
    if (!signal_has_speech(job.evidence)) {
      ++listener_.info().windows;
      ++listener_.info().gated;
      first_window_ = false;
      job.done = true;
      job.next = job.window.end();
      return;
    }
  }
  listener_.encode_mel();
  if (listener_.options().word_timestamps) listener_.keep_for_alignment();
  const Stopwatch stopwatch(listener_.info().decoder_seconds);
  const uint64_t seed = stream_seed(listener_.options().seed, static_cast<uint64_t>(job.window.seek));
  const int64_t runs = listener_.runs();
  job.task =
      listener_.fallback().begin(history_.next(listener_.language(), first_window_), seed, ears(job.window, slot));
  listener_.info().steps += listener_.runs() - runs;
  history_.forget();  // an initial prompt that is not carried is for the first window
  first_window_ = false;
  job.slot = slot;
  taken_[static_cast<size_t>(slot)] = true;
}

// A model that ends its text early, at a timestamp with clear speech after it, goes on where it would be sent back to.
// Made to go on over anything less it would invent text; that is left to a window of its own, which may be refused.
std::function<bool(std::span<const int32_t>)> BatchedWindows::ears(const Window& window, int64_t slot) const {
  if (!listener_.options().speech_gate || listener_.options().without_timestamps) return {};
  return [this, &signal = signals_[static_cast<size_t>(slot)], size = window.size](std::span<const int32_t> tokens) {
    return tokens.empty() || !listener_.clear_speech_after(tokens.back(), signal, size);
  };
}

bool BatchedWindows::collect(FunctionRef<bool()> should_stop) {
  for (Jobs::iterator job = jobs_.begin(); job != jobs_.end(); ++job) {
    if (job->slot < 0 || !listener_.decoder().over(job->slot)) continue;
    // A window whose end is stopped or fails is begun again by the next step.
    const int64_t slot = std::exchange(job->slot, -1);
    taken_[static_cast<size_t>(slot)] = false;
    listener_.decoder().select(slot);
    if (!complete(*job, signals_[static_cast<size_t>(slot)], should_stop)) return false;
    job->done = true;
    if (job->next >= job->window.end()) continue;
    Job rest;
    rest.window = {job->next, job->window.end() - job->next};
    rest.advances = job->advances;
    job = jobs_.insert(job + 1, std::move(rest));
  }
  return true;
}

bool BatchedWindows::complete(Job& job, const SpeechSignal& signal, FunctionRef<bool()> should_stop) {
  WindowText text;
  {
    const Stopwatch stopwatch(listener_.info().decoder_seconds);
    const int64_t runs = listener_.runs();
    text = listener_.fallback().finish(job.task, should_stop);
    listener_.info().steps += listener_.runs() - runs;
  }
  if (text.cancelled) return false;
  job.next = job.window.end();
  if (!listener_.believe(text, job.evidence)) return true;
  const Segmentation split = listener_.split(text, job.window, signal, &job.next);
  job.segments = listener_.make_segments(text, split, job.window);
  job.next = std::min(job.advances.next(job.window, job.next), job.window.end());
  if (listener_.options().word_timestamps) {
    std::optional<WindowWords> words = listener_.align(job.segments, job.window, should_stop);
    if (!words) return false;
    job.words = std::move(*words);
  }
  return true;
}

void BatchedWindows::give_out(Job& job) {
  if (!job.words.words.empty()) {
    assign_words(job.words.words, job.words.counts, job.words.lengths, listener_.seconds(job.window.seek), last_speech_,
                 job.segments);
    // What the next window hears again is no part of these words.
    const double bound = listener_.seconds(job.next);
    for (Segment& segment : job.segments) {
      for (Word& word : segment.words) {
        word.end = std::min(word.end, bound);
        word.start = std::min(word.start, word.end);
        last_speech_ = word.end;
      }
    }
  }
  const double limit = static_cast<double>(listener_.audio().end()) / listener_.model().sample_rate;
  for (Segment& segment : job.segments) {
    if (FinalSegments::says_something(segment)) final_.add(std::move(segment), limit);
  }
}

}  // namespace anyon
