// Speech to text with Whisper: windows one after the other, prompts, and seeking.
#include "pipelines/transcribe.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "core/status.h"
#include "loops/random.h"
#include "pipelines/batched_windows.h"
#include "pipelines/final_segments.h"
#include "pipelines/listener.h"
#include "pipelines/preview.h"
#include "pipelines/prompt.h"
#include "pipelines/silence_skip.h"
#include "pipelines/small_advances.h"
#include "pipelines/speech_gate.h"
#include "pipelines/stopwatch.h"

namespace anyon {

class Transcriber::Impl {
 public:
  Impl(WhisperInfo model, const BpeTokenizer& tokenizer, Session& encoder, Session& decoder, ThreadPool& pool,
       TranscribeOptions options, Isa isa)
      : listener_(std::move(model), tokenizer, encoder, decoder, pool, std::move(options), isa),
        finder_(model_, listener_.audio(), options_.clip_timestamps),
        signal_(model_.n_mels, row_math(isa)),
        history_(model_, tokenizer, options_),
        preview_(listener_) {
    if (options_.draft) draft_.emplace(make_draft());
    if (options_.batch_size > 1) batched_.emplace(listener_, finder_, history_, final_);
  }

  StepResult step(FunctionRef<bool()> should_stop);
  std::string preview(FunctionRef<bool()> should_stop);

  AudioBuffer& audio() { return listener_.audio(); }
  const std::vector<Segment>& segments() const { return final_.segments(); }
  const Listener& listener() const { return listener_; }
  double duration() const { return static_cast<double>(listener_.audio().end()) / model_.sample_rate; }
  double progress() const {
    const int64_t heard = batched_ ? batched_->seek() : finder_.seek();
    return done_ ? duration() : std::min(duration(), seconds(std::min(heard, WindowFinder::kForever / 2)));
  }

 private:
  double seconds(int64_t frames) const { return listener_.seconds(frames); }
  Draft make_draft() const;
  StepResult transcribe_window(const Window& window, FunctionRef<bool()> should_stop);
  // Where the next window begins, from what the words say; drops segments that look made up.
  void seek_by_words(std::vector<Segment>& segments, const Segmentation& split, const Window& window, int64_t& next);
  void keep(std::vector<Segment> segments, const WindowText& text);

  Listener listener_;
  const WhisperInfo& model_ = listener_.model();
  const TranscribeOptions& options_ = listener_.options();
  WindowFinder finder_;
  SpeechSignal signal_;
  PromptHistory history_;
  FinalSegments final_;
  SmallAdvances advances_;
  Preview preview_;
  std::optional<Draft> draft_;
  std::optional<BatchedWindows> batched_;
  bool first_window_ = true;
  bool done_ = false;
  double last_speech_ = 0.0;  // seconds: end of the last word
};

Draft Transcriber::Impl::make_draft() const {
  std::vector<int32_t> tokens = tokens_of(*options_.draft, listener_.tokenizer());
  // A window begins with a time, a text without one.
  if (!options_.without_timestamps && !tokens.empty() && tokens[0] < model_.timestamp_begin) {
    tokens.insert(tokens.begin(), model_.timestamp_begin);
  }
  return Draft(std::move(tokens), model_.timestamp_begin);
}

StepResult Transcriber::Impl::step(FunctionRef<bool()> should_stop) {
  final_.clear();
  if (should_stop()) return StepResult::kCancelled;
  if (batched_) {
    const StepResult result = batched_->step(should_stop);
    done_ = done_ || result == StepResult::kDone;
    return result;
  }
  const WindowFinder::Found found = finder_.find();
  if (found == WindowFinder::Found::kDone) {
    audio().discard_before(std::numeric_limits<int64_t>::max() / 2);
    done_ = true;
    return StepResult::kDone;
  }
  audio().discard_before(finder_.seek() * model_.hop_length - WindowFinder::kMelContext);
  if (found == WindowFinder::Found::kNeedAudio) return StepResult::kNeedAudio;
  if (listener_.language().empty() && !listener_.detect_language(finder_)) return StepResult::kNeedAudio;
  return transcribe_window(finder_.window(), should_stop);
}

std::string Transcriber::Impl::preview(FunctionRef<bool()> should_stop) {
  if (batched_) {
    throw_error(Status::kUnsupportedOption, {"preview: windows of a batch are cut at pauses later: use batch_size 1"});
  }
  if (finder_.find() == WindowFinder::Found::kDone) return "";
  Window window;
  window.seek = finder_.seek();
  const int64_t heard = std::min(finder_.clip_end(), audio().end() / model_.hop_length);
  window.size = std::min<int64_t>(model_.chunk_frames(), heard - window.seek);
  return preview_.text(window, history_, first_window_, should_stop);
}

StepResult Transcriber::Impl::transcribe_window(const Window& window, FunctionRef<bool()> should_stop) {
  if (should_stop()) return StepResult::kCancelled;
  listener_.encode(window);
  SignalEvidence evidence;
  if (options_.speech_gate) {
    listener_.measure(window, signal_);
    evidence = signal_.between(0, window.size);
    if (!signal_has_speech(evidence)) {
      ++listener_.info().windows;
      ++listener_.info().gated;
      first_window_ = false;
      finder_.move_to(advances_.next(window, window.end()));
      return StepResult::kSegments;
    }
  }

  WindowText text;
  {
    const Stopwatch stopwatch(listener_.info().decoder_seconds);
    const int64_t runs = listener_.runs();
    const uint64_t seed = stream_seed(options_.seed, static_cast<uint64_t>(window.seek));
    text = listener_.fallback().decode(history_.next(listener_.language(), first_window_), seed,
                                       draft_ ? &*draft_ : nullptr, should_stop);
    listener_.info().steps += listener_.runs() - runs;
    listener_.info().drafted = listener_.decoder().drafted();
  }
  if (text.cancelled) return StepResult::kCancelled;

  int64_t next = window.end();
  std::vector<Segment> segments;
  if (listener_.believe(text, evidence)) {
    const Segmentation split = listener_.split(text, window, signal_, &next);
    segments = listener_.make_segments(text, split, window);
    if (options_.word_timestamps) {
      const std::optional<WindowWords> words = listener_.align(segments, window, should_stop);
      if (!words) return StepResult::kCancelled;
      if (!words->words.empty()) {
        assign_words(words->words, words->counts, words->lengths, seconds(window.seek), last_speech_, segments);
      }
      seek_by_words(segments, split, window, next);
    }
  }
  keep(std::move(segments), text);
  first_window_ = false;
  finder_.move_to(advances_.next(window, next));
  return StepResult::kSegments;
}

void Transcriber::Impl::seek_by_words(std::vector<Segment>& segments, const Segmentation& split, const Window& window,
                                      int64_t& next) {
  const auto last_word_end = [&]() -> std::optional<double> {
    for (size_t i = segments.size(); i-- > 0;) {
      if (!segments[i].words.empty()) return segments[i].words.back().end;
    }
    return std::nullopt;
  };
  const double start = seconds(window.seek);
  const std::optional<double> end = last_word_end();
  // The last word is now and then aligned seconds late, over speech that belongs to the next window; the model's own
  // timestamp, where `next` is so far, bounds it.
  const bool cut_by_words = !split.ends_with_single_timestamp && end && *end > start;
  if (cut_by_words) next = std::min(next, listener_.frames(*end));

  if (options_.hallucination_silence_threshold) {
    const double threshold = *options_.hallucination_silence_threshold;
    WindowTimes times;
    times.start = start;
    times.full_end = start + model_.chunk_seconds;
    times.heard = seconds(window.size);
    times.last_speech = last_speech_;
    if (audio().finished()) times.recording_end = duration();
    if (cut_by_words && times.full_end - *end <= threshold) next = window.end();
    const SilenceSkip skip =
        skip_silence(segments, times, threshold, options_.prepend_punctuations + options_.append_punctuations);
    segments.resize(skip.keep);
    if (skip.seek) next = std::isinf(*skip.seek) ? WindowFinder::kForever : listener_.frames(*skip.seek);
    if (skip.repeat_window) return;
  }
  // What the next window will hear again is no part of these words: times that ran past it would push its words
  // together.
  const double bound = std::max(start, seconds(next));
  for (Segment& segment : segments) {
    for (Word& word : segment.words) {
      word.end = std::min(word.end, bound);
      word.start = std::min(word.start, word.end);
    }
  }
  if (const std::optional<double> last = last_word_end()) last_speech_ = *last;
}

void Transcriber::Impl::keep(std::vector<Segment> segments, const WindowText& text) {
  const double limit = duration();
  for (Segment& segment : segments) {
    if (!FinalSegments::says_something(segment)) continue;
    history_.append(segment.tokens);
    final_.add(std::move(segment), limit);
  }
  if (!options_.condition_on_previous_text.value_or(true) || text.temperature > options_.prompt_reset_on_temperature) {
    history_.forget();
  }
}

Transcriber::Transcriber(WhisperInfo model, const BpeTokenizer& tokenizer, Session& encoder, Session& decoder,
                         ThreadPool& pool, TranscribeOptions options, Isa isa) {
  options.validate(model);
  if (tokenizer.n_vocab() > model.n_vocab) {
    throw_error(Status::kBadBundle, {"tokenizer: it has more tokens than the model"});
  }
  if (options.batch_size > decoder.max_slots()) {
    throw_error(Status::kUnsupportedOption,
                {"batch_size: ", options.batch_size, " is more than the ", decoder.max_slots(),
                 " that this backend decodes together: use batch_size=1, or backend='native'"});
  }
  impl_ = std::make_unique<Impl>(std::move(model), tokenizer, encoder, decoder, pool, std::move(options), isa);
}

Transcriber::~Transcriber() = default;

void Transcriber::push(std::span<const float> mono, int sample_rate) {
  impl_->audio().push(mono, sample_rate);
}

void Transcriber::finish() {
  impl_->audio().finish();
}

std::string Transcriber::preview(FunctionRef<bool()> should_stop) {
  return impl_->preview([&] { return cancelled_.load(std::memory_order_relaxed) || should_stop(); });
}

StepResult Transcriber::step(FunctionRef<bool()> should_stop) {
  return impl_->step([&] { return cancelled_.load(std::memory_order_relaxed) || should_stop(); });
}

StepResult Transcriber::step() {
  return step([] { return false; });
}

const std::vector<Segment>& Transcriber::segments() const {
  return impl_->segments();
}
double Transcriber::progress() const {
  return impl_->progress();
}
double Transcriber::duration() const {
  return impl_->duration();
}
const std::string& Transcriber::language() const {
  return impl_->listener().language();
}
double Transcriber::language_probability() const {
  return impl_->listener().language_probability();
}
const std::vector<std::pair<std::string, float>>& Transcriber::language_probabilities() const {
  return impl_->listener().detector().probabilities();
}
const TranscribeInfo& Transcriber::info() const {
  return impl_->listener().info();
}

}  // namespace anyon
