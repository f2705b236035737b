// Speech to text with Whisper: windows, prompts, segments and seeking.
#include "pipelines/transcribe.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

#include "core/isa.h"
#include "core/threads.h"
#include "frontends/bpe_tokenizer.h"
#include "frontends/log_mel.h"
#include "frontends/utf8.h"
#include "loops/alignment.h"
#include "loops/random.h"
#include "loops/seq2seq.h"
#include "loops/whisper_programs.h"
#include "pipelines/audio_buffer.h"
#include "pipelines/fallback.h"
#include "pipelines/language_detection.h"
#include "pipelines/prompt.h"
#include "pipelines/segmentation.h"
#include "pipelines/silence_skip.h"
#include "pipelines/speech_gate.h"
#include "pipelines/speech_signal.h"
#include "pipelines/text.h"
#include "pipelines/word_timing.h"

namespace anyon {

namespace {

constexpr int64_t kForever = std::numeric_limits<int64_t>::max() / 4;  // frames

// Samples beyond a window that its first and last mel frames see.
constexpr int64_t kMelContext = LogMel::kFftSize / 2;

// Frames after a timestamp in which the word before it may still sound.
constexpr int64_t kWordTail = 100;

// Windows that move on by less than this (frames of 10 ms), one after the other, are stuck.
constexpr int64_t kSmallAdvance = 100;
constexpr int kMaxSmallAdvances = 3;

class Stopwatch {
 public:
  explicit Stopwatch(double& total) : total_(total) {}
  ~Stopwatch() { total_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& total_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

LogitRuleOptions rule_options(const WhisperInfo& model, const TranscribeOptions& options) {
  LogitRuleOptions rules;
  rules.n_vocab = model.n_vocab;
  rules.eot = model.eot;
  rules.timestamp_begin = model.timestamp_begin;
  for (const int32_t token : options.suppress_tokens) {
    if (token >= 0) {
      rules.suppress.push_back(token);
    } else {
      rules.suppress.insert(rules.suppress.end(), model.suppress_tokens.begin(), model.suppress_tokens.end());
    }
  }
  if (options.suppress_blank) rules.begin_suppress = model.begin_suppress_tokens;
  rules.timestamps = !options.without_timestamps;
  if (options.max_initial_timestamp) {
    rules.max_initial_timestamp =
        static_cast<int32_t>(std::lround(*options.max_initial_timestamp / model.time_precision()));
  }
  rules.repetition_penalty = options.repetition_penalty;
  rules.no_repeat_ngram_size = options.no_repeat_ngram_size;
  return rules;
}

AlignmentShape alignment_shape(const WhisperInfo& model) {
  AlignmentShape shape;
  for (const AlignmentHead& head : model.alignment_heads) shape.heads.push_back({head.layer, head.head});
  shape.n_heads = model.n_heads;
  shape.head_dim = model.head_dim;
  shape.n_vocab = model.n_vocab;
  shape.n_text_ctx = model.n_text_ctx;
  shape.eot = model.eot;
  return shape;
}

struct Clip {
  int64_t begin = 0;  // frames
  int64_t end = kForever;
};

std::vector<Clip> clips_of(const std::vector<double>& times, int frames_per_second) {
  std::vector<Clip> clips;
  for (size_t i = 0; i < times.size(); i += 2) {
    Clip clip;
    clip.begin = std::llround(times[i] * frames_per_second);
    if (i + 1 < times.size()) clip.end = std::llround(times[i + 1] * frames_per_second);
    clips.push_back(clip);
  }
  if (clips.empty()) clips.emplace_back();
  return clips;
}

double round_to_milliseconds(double seconds) {
  return std::round(seconds * 1000.0) / 1000.0;
}

}  // namespace

class Transcriber::Impl {
 public:
  Impl(WhisperInfo model, const BpeTokenizer& tokenizer, Session& encoder, Session& decoder, ThreadPool& pool,
       TranscribeOptions options)
      : model_(std::move(model)),
        options_(std::move(options)),
        tokenizer_(tokenizer),
        pool_(pool),
        math_(row_math(selected_isa())),
        programs_(encoder, decoder, model_.n_layers, model_.n_vocab),
        decoder_(programs_, pool, math_, model_.n_vocab, model_.n_text_ctx),
        rules_(rule_options(model_, options_), math_),
        fallback_(decoder_, rules_, tokenizer, model_, options_),
        aligner_(programs_, pool, math_, alignment_shape(model_)),
        log_mel_(model_.n_mels),
        signal_(model_.n_mels, math_),
        mel_(static_cast<size_t>(model_.n_mels) * model_.chunk_frames()),
        audio_(model_.sample_rate),
        history_(model_, tokenizer, options_),
        detector_(model_, options_.language_detection_threshold, options_.language_detection_segments),
        clips_(clips_of(options_.clip_timestamps, model_.frames_per_second())),
        language_(model_.multilingual ? options_.language : "en"),
        language_probability_(language_.empty() ? 0.0 : 1.0) {}

  StepResult step(FunctionRef<bool()> should_stop);

  AudioBuffer& audio() { return audio_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const std::string& language() const { return language_; }
  double language_probability() const { return language_probability_; }
  const std::vector<std::pair<std::string, float>>& language_probabilities() const { return detector_.probabilities(); }
  const TranscribeInfo& info() const { return counters_; }
  double duration() const { return static_cast<double>(audio_.end()) / model_.sample_rate; }
  double progress() const { return done_ ? duration() : std::min(duration(), seconds(std::min(seek_, kForever / 2))); }

 private:
  enum class Wait { kNo, kAudio, kDone };

  double seconds(int64_t frames) const { return static_cast<double>(frames) / model_.frames_per_second(); }
  int64_t frames(double time) const { return std::llround(time * model_.frames_per_second()); }
  // Frames of the recording; a last frame may be partly filled. Unknown (kForever) before it is finished.
  int64_t content_frames() const;
  // Whether samples up to the end of `size` frames from `seek`, with the context that mel frames need, are here.
  bool is_heard(int64_t seek, int64_t size) const;
  Wait find_window();
  void encode(int64_t seek, int64_t size);
  // False when more audio is needed.
  bool detect_language();
  StepResult transcribe_window(FunctionRef<bool()> should_stop);
  std::vector<Segment> make_segments(const WindowText& text, const Segmentation& split) const;
  bool align_words(std::vector<Segment>& segments, FunctionRef<bool()> should_stop);
  // Where the next window begins, from what the words say; drops segments that look made up.
  void seek_by_words(std::vector<Segment>& segments, const Segmentation& split, int64_t& next);
  void keep(std::vector<Segment> segments, const WindowText& text);
  void advance_to(int64_t next);

  const WhisperInfo model_;
  const TranscribeOptions options_;
  const BpeTokenizer& tokenizer_;
  ThreadPool& pool_;
  const RowMath& math_;
  WhisperPrograms programs_;
  Seq2SeqDecoder decoder_;
  LogitRules rules_;
  FallbackDecoder fallback_;
  Aligner aligner_;
  LogMel log_mel_;
  SpeechSignal signal_;
  std::vector<float> mel_;
  AudioBuffer audio_;
  PromptHistory history_;
  LanguageDetector detector_;

  std::vector<Clip> clips_;
  size_t clip_ = 0;
  int64_t seek_ = 0;  // frames; the window is [seek_, seek_ + window_)
  int64_t window_ = 0;
  int small_advances_ = 0;
  bool first_window_ = true;
  bool done_ = false;
  int64_t encoded_seek_ = -1;  // the window that the encoder saw last
  int64_t encoded_window_ = 0;
  double last_speech_ = 0.0;    // seconds: end of the last word
  double last_word_end_ = 0.0;  // of the words returned so far, so that times never run backwards
  int64_t next_id_ = 0;
  std::string language_;
  double language_probability_;
  std::vector<Segment> segments_;
  TranscribeInfo counters_;
};

int64_t Transcriber::Impl::content_frames() const {
  if (!audio_.finished()) return kForever;
  return (audio_.end() + model_.hop_length - 1) / model_.hop_length;
}

bool Transcriber::Impl::is_heard(int64_t seek, int64_t size) const {
  return audio_.finished() || audio_.end() >= (seek + size) * model_.hop_length + kMelContext;
}

Transcriber::Impl::Wait Transcriber::Impl::find_window() {
  while (clip_ < clips_.size()) {
    const Clip& clip = clips_[clip_];
    seek_ = std::max(seek_, clip.begin);
    const int64_t end = std::min(clip.end, content_frames());
    if (seek_ >= end) {
      if (seek_ < clip.end && !audio_.finished()) return Wait::kAudio;
      ++clip_;
      continue;
    }
    audio_.discard_before(seek_ * model_.hop_length - kMelContext);
    window_ = std::min<int64_t>(model_.chunk_frames(), end - seek_);
    return is_heard(seek_, window_) ? Wait::kNo : Wait::kAudio;
  }
  audio_.discard_before(std::numeric_limits<int64_t>::max() / 2);
  done_ = true;
  return Wait::kDone;
}

void Transcriber::Impl::encode(int64_t seek, int64_t size) {
  if (seek == encoded_seek_ && size == encoded_window_) return;
  encoded_seek_ = -1;
  const int64_t begin = seek * model_.hop_length;
  const int64_t end = (seek + size) * model_.hop_length;
  const std::span<const float> samples = audio_.range(begin, end);
  {
    const Stopwatch stopwatch(counters_.mel_seconds);
    // The audio is padded with silence, not the features with zeros, as the model was trained; a window inside the
    // recording sees the real samples beside it. The floor of the spectrum follows each window's own maximum, because
    // the maximum of the recording is not known while it is still coming in.
    LogMelOptions options;
    options.window_samples = model_.chunk_samples();
    options.left = audio_.range(begin - kMelContext, begin);
    if (static_cast<int64_t>(samples.size()) == options.window_samples) {
      options.right = audio_.range(end, end + kMelContext);
    }
    log_mel_.compute(samples, model_.chunk_frames(), mel_.data(), pool_, options);
  }
  const Stopwatch stopwatch(counters_.encoder_seconds);
  programs_.encode(mel_.data(), model_.n_mels, model_.chunk_frames());
  encoded_seek_ = seek;
  encoded_window_ = size;
}

bool Transcriber::Impl::detect_language() {
  while (!detector_.done()) {
    const int64_t seek = seek_ + detector_.heard() * model_.chunk_frames();
    const int64_t size = std::min<int64_t>(model_.chunk_frames(), std::min(clips_[clip_].end, content_frames()) - seek);
    if (size <= 0) break;
    if (!is_heard(seek, size)) return false;
    encode(seek, size);
    const Stopwatch stopwatch(counters_.decoder_seconds);
    const int32_t sot[1] = {model_.sot};
    decoder_.start(sot, 0);
    detector_.hear(decoder_.logits_at_sot());
  }
  language_ = detector_.language();
  language_probability_ = detector_.probability();
  return true;
}

StepResult Transcriber::Impl::step(FunctionRef<bool()> should_stop) {
  segments_.clear();
  if (should_stop()) return StepResult::kCancelled;
  switch (find_window()) {
    case Wait::kAudio:
      return StepResult::kNeedAudio;
    case Wait::kDone:
      return StepResult::kDone;
    case Wait::kNo:
      break;
  }
  if (language_.empty() && !detect_language()) return StepResult::kNeedAudio;
  return transcribe_window(should_stop);
}

StepResult Transcriber::Impl::transcribe_window(FunctionRef<bool()> should_stop) {
  if (should_stop()) return StepResult::kCancelled;
  encode(seek_, window_);
  SignalEvidence evidence;
  if (options_.speech_gate) {
    signal_.hear(mel_.data(), model_.chunk_frames(), window_);
    evidence = signal_.between(0, window_);
    if (!signal_has_speech(evidence)) {
      ++counters_.windows;
      ++counters_.gated;
      first_window_ = false;
      advance_to(seek_ + window_);
      return StepResult::kSegments;
    }
  }

  WindowText text;
  {
    const Stopwatch stopwatch(counters_.decoder_seconds);
    const int64_t runs = programs_.runs();
    const uint64_t seed = stream_seed(options_.seed, static_cast<uint64_t>(seek_));
    text = fallback_.decode(history_.next(language_, first_window_), seed, should_stop);
    counters_.steps += programs_.runs() - runs;
  }
  if (text.cancelled) return StepResult::kCancelled;

  // The model itself takes the window for silence, or the signal is hardly speech, and the text is not likely enough to
  // contradict that.
  const bool doubtful = options_.speech_gate && (model_doubts_speech(text.no_speech_prob, text.avg_logprob) ||
                                                 text_is_unfounded(evidence, text.avg_logprob));
  if (doubtful) ++counters_.gated;
  const bool silent =
      doubtful || (options_.no_speech_threshold && text.no_speech_prob > *options_.no_speech_threshold &&
                   !(options_.log_prob_threshold && text.avg_logprob > *options_.log_prob_threshold));
  int64_t next = seek_ + window_;
  std::vector<Segment> segments;
  if (!silent) {
    const int64_t stride = model_.frames_per_token();
    const Segmentation split =
        split_by_timestamps(text.tokens, model_.timestamp_begin, (window_ + stride - 1) / stride);
    next = std::min(next, seek_ + split.advance * stride);
    if (split.ends_with_single_timestamp && options_.speech_gate) {
      // One timestamp at the end means that nothing is said after it. Where the signal contradicts, the model has
      // stopped early: the rest is heard again instead of being skipped.
      const int64_t end = split.segments.back().end * stride;
      if (signal_has_speech(signal_.between(end + kWordTail, window_))) next = seek_ + end;
    }
    segments = make_segments(text, split);
    if (options_.word_timestamps) {
      if (!align_words(segments, should_stop)) return StepResult::kCancelled;
      seek_by_words(segments, split, next);
    }
  }

  ++counters_.windows;
  counters_.fallbacks += text.fallbacks;
  counters_.tokens += static_cast<int64_t>(text.tokens.size());
  keep(std::move(segments), text);
  first_window_ = false;
  advance_to(next);
  return StepResult::kSegments;
}

std::vector<Segment> Transcriber::Impl::make_segments(const WindowText& text, const Segmentation& split) const {
  std::vector<Segment> segments;
  for (const TokenSegment& part : split.segments) {
    Segment segment;
    segment.seek = seek_;
    const double heard = seconds(window_);
    segment.start = seconds(seek_) + std::min(heard, static_cast<double>(part.start) * model_.time_precision());
    segment.end = seconds(seek_) + std::min(heard, static_cast<double>(part.end) * model_.time_precision());
    segment.tokens.assign(part.tokens.begin(), part.tokens.end());
    std::vector<int32_t> words;
    for (const int32_t token : part.tokens) {
      if (token < model_.eot) words.push_back(token);
    }
    segment.text = utf8_lossy(tokenizer_.decode(words));
    segment.avg_logprob = text.avg_logprob;
    segment.compression_ratio = text.compression_ratio;
    segment.no_speech_prob = text.no_speech_prob;
    segment.temperature = text.temperature;
    segments.push_back(std::move(segment));
  }
  return segments;
}

bool Transcriber::Impl::align_words(std::vector<Segment>& segments, FunctionRef<bool()> should_stop) {
  const Stopwatch stopwatch(counters_.align_seconds);
  std::vector<int32_t> words;
  std::vector<size_t> counts;
  for (const Segment& segment : segments) {
    const size_t before = words.size();
    for (const int32_t token : segment.tokens) {
      if (token < model_.eot) words.push_back(token);
    }
    counts.push_back(words.size() - before);
  }
  if (words.empty()) return true;
  std::vector<int32_t> before = start_sequence(model_, options_.task, language_);
  before.push_back(model_.no_timestamps);
  const int64_t frames_heard = std::max<int64_t>(1, window_ / model_.frames_per_token());
  const TokenAlignment alignment = aligner_.align(before, words, frames_heard, should_stop);
  if (alignment.frames.empty()) return false;
  std::vector<AlignedWord> aligned =
      group_words(tokenizer_, language_, words, model_.eot, alignment, model_.time_precision());
  const WordLengths lengths = measure_words(aligned);
  shorten_at_sentence_ends(aligned, lengths);
  merge_punctuations(aligned, options_.prepend_punctuations, options_.append_punctuations);
  assign_words(aligned, counts, lengths, seconds(seek_), last_speech_, segments);
  return true;
}

void Transcriber::Impl::seek_by_words(std::vector<Segment>& segments, const Segmentation& split, int64_t& next) {
  const auto last_word_end = [&]() -> std::optional<double> {
    for (size_t i = segments.size(); i-- > 0;) {
      if (!segments[i].words.empty()) return segments[i].words.back().end;
    }
    return std::nullopt;
  };
  const double start = seconds(seek_);
  const std::optional<double> end = last_word_end();
  // The last word is now and then aligned seconds late, over speech that belongs to the next window; the model's own
  // timestamp, where `next` is so far, bounds it.
  const bool cut_by_words = !split.ends_with_single_timestamp && end && *end > start;
  if (cut_by_words) next = std::min(next, frames(*end));

  if (options_.hallucination_silence_threshold) {
    const double threshold = *options_.hallucination_silence_threshold;
    WindowTimes window;
    window.start = start;
    window.full_end = start + model_.chunk_seconds;
    window.heard = seconds(window_);
    window.last_speech = last_speech_;
    if (audio_.finished()) window.recording_end = duration();
    if (cut_by_words && window.full_end - *end <= threshold) next = seek_ + window_;
    const SilenceSkip skip =
        skip_silence(segments, window, threshold, options_.prepend_punctuations + options_.append_punctuations);
    segments.resize(skip.keep);
    if (skip.seek) next = std::isinf(*skip.seek) ? kForever : frames(*skip.seek);
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
    if (segment.start == segment.end || trim(segment.text).empty()) continue;
    for (Word& word : segment.words) {
      word.start = round_to_milliseconds(std::clamp(word.start, last_word_end_, std::max(last_word_end_, limit)));
      word.end = round_to_milliseconds(std::clamp(word.end, word.start, std::max(word.start, limit)));
      last_word_end_ = word.end;
    }
    if (!segment.words.empty()) {
      segment.start = segment.words.front().start;
      segment.end = segment.words.back().end;
    }
    segment.start = round_to_milliseconds(std::min(segment.start, limit));
    segment.end = round_to_milliseconds(std::clamp(segment.end, segment.start, std::max(segment.start, limit)));
    segment.id = next_id_++;
    history_.append(segment.tokens);
    segments_.push_back(std::move(segment));
  }
  if (!options_.condition_on_previous_text || text.temperature > options_.prompt_reset_on_temperature) {
    history_.forget();
  }
}

void Transcriber::Impl::advance_to(int64_t next) {
  // A model that keeps writing tiny segments, or a rule that sends the window back, must not stop the clock.
  small_advances_ = next - seek_ < kSmallAdvance ? small_advances_ + 1 : 0;
  const int64_t least = small_advances_ >= kMaxSmallAdvances ? std::min(kSmallAdvance, window_) : 1;
  seek_ = std::max(next, seek_ + least);
}

Transcriber::Transcriber(WhisperInfo model, const BpeTokenizer& tokenizer, Session& encoder, Session& decoder,
                         ThreadPool& pool, TranscribeOptions options) {
  options.validate(model);
  if (tokenizer.n_vocab() > model.n_vocab) {
    throw Error(Status::kBadBundle, "tokenizer: it has more tokens than the model");
  }
  impl_ = std::make_unique<Impl>(std::move(model), tokenizer, encoder, decoder, pool, std::move(options));
}

Transcriber::~Transcriber() = default;

void Transcriber::push(std::span<const float> mono, int sample_rate) {
  impl_->audio().push(mono, sample_rate);
}

void Transcriber::finish() {
  impl_->audio().finish();
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
  return impl_->language();
}
double Transcriber::language_probability() const {
  return impl_->language_probability();
}
const std::vector<std::pair<std::string, float>>& Transcriber::language_probabilities() const {
  return impl_->language_probabilities();
}
const TranscribeInfo& Transcriber::info() const {
  return impl_->info();
}

}  // namespace anyon
