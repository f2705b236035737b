// What every window goes through, whoever decides where windows lie.
#include "pipelines/listener.h"

#include <algorithm>
#include <cmath>

#include "frontends/utf8.h"
#include "pipelines/model_setup.h"
#include "pipelines/prompt.h"
#include "pipelines/speech_gate.h"
#include "pipelines/stopwatch.h"

namespace anyon {

namespace {

// Frames after a timestamp in which the word before it may still sound.
constexpr int64_t kWordTail = 100;

}  // namespace

Listener::Listener(WhisperInfo model, const BpeTokenizer& tokenizer, Session& encoder, Session& decoder,
                   ThreadPool& pool, TranscribeOptions options, Isa isa)
    : model_(std::move(model)),
      options_(std::move(options)),
      tokenizer_(tokenizer),
      pool_(pool),
      isa_(isa),
      math_(row_math(isa)),
      programs_(encoder, decoder, model_.n_layers, model_.n_vocab),
      decoder_(programs_, pool, math_, model_.n_vocab, model_.n_text_ctx),
      rules_(rule_options(model_, options_), math_),
      fallback_(decoder_, rules_, tokenizer, model_, options_),
      aligner_(programs_, pool, math_, alignment_shape(model_)),
      log_mel_(model_.n_mels, isa),
      mel_(static_cast<size_t>(model_.n_mels) * model_.chunk_frames()),
      audio_(model_.sample_rate, isa),
      detector_(model_, options_.language_detection_threshold, options_.language_detection_segments),
      language_(model_.multilingual ? options_.language : "en"),
      language_probability_(language_.empty() ? 0.0 : 1.0) {}

void Listener::compute_mel(const Window& window) {
  const Stopwatch stopwatch(info_.mel_seconds);
  const int64_t begin = window.seek * model_.hop_length;
  const int64_t end = window.end() * model_.hop_length;
  const std::span<const float> samples = audio_.range(begin, end);
  // The audio is padded with silence, not the features with zeros, as the model was trained; a window inside the
  // recording sees the real samples beside it. The floor of the spectrum follows each window's own maximum, because
  // the maximum of the recording is not known while it is still coming in.
  LogMelOptions options;
  options.window_samples = model_.chunk_samples();
  options.left = audio_.range(begin - WindowFinder::kMelContext, begin);
  if (static_cast<int64_t>(samples.size()) == options.window_samples) {
    options.right = audio_.range(end, end + WindowFinder::kMelContext);
  }
  log_mel_.compute(samples, model_.chunk_frames(), mel_.data(), pool_, options);
}

void Listener::measure(const Window& window, SpeechSignal& signal) const {
  signal.hear(mel_.data(), model_.chunk_frames(), window.size);
}

void Listener::encode(const Window& window) {
  if (encoded_ && encoded_->seek == window.seek && encoded_->size == window.size) return;
  compute_mel(window);
  encode_mel();
  encoded_ = window;
}

void Listener::encode_mel() {
  encoded_.reset();
  const Stopwatch stopwatch(info_.encoder_seconds);
  programs_.encode(mel_.data(), model_.n_mels, model_.chunk_frames());
}

void Listener::keep_for_alignment() {
  std::vector<int> layers;
  for (const AlignmentHead& head : model_.alignment_heads) {
    if (std::find(layers.begin(), layers.end(), head.layer) == layers.end()) layers.push_back(head.layer);
  }
  programs_.keep_cross_keys(layers);
}

bool Listener::detect_language(const WindowFinder& finder) {
  while (!detector_.done()) {
    Window window;
    window.seek = finder.seek() + detector_.heard() * model_.chunk_frames();
    window.size =
        std::min<int64_t>(model_.chunk_frames(), std::min(finder.clip_end(), finder.content_frames()) - window.seek);
    if (window.size <= 0) break;
    if (!finder.is_heard(window)) return false;
    encode(window);
    const Stopwatch stopwatch(info_.decoder_seconds);
    const int32_t sot[1] = {model_.sot};
    decoder_.start(sot, 0);
    detector_.hear(decoder_.logits_at_sot());
  }
  language_ = detector_.language();
  language_probability_ = detector_.probability();
  return true;
}

bool Listener::believe(const WindowText& text, const SignalEvidence& evidence) {
  ++info_.windows;
  info_.fallbacks += text.fallbacks;
  info_.tokens += static_cast<int64_t>(text.tokens.size());
  const bool doubtful = is_doubtful(text, evidence);
  if (doubtful) ++info_.gated;
  return !doubtful && !is_silent(text);
}

bool Listener::is_doubtful(const WindowText& text, const SignalEvidence& evidence) const {
  return options_.speech_gate && (model_doubts_speech(text.no_speech_prob, text.avg_logprob, text.compression_ratio) ||
                                  text_is_unfounded(evidence, text.avg_logprob));
}

bool Listener::is_silent(const WindowText& text) const {
  return options_.no_speech_threshold && text.no_speech_prob > *options_.no_speech_threshold &&
         !(options_.log_prob_threshold && text.avg_logprob > *options_.log_prob_threshold);
}

bool Listener::clear_speech_after(int32_t token, const SpeechSignal& signal, int64_t size) const {
  if (token < model_.timestamp_begin) return false;
  const int64_t end = (token - model_.timestamp_begin) * model_.frames_per_token();
  return signal_is_clear_speech(signal.between(end + kWordTail, size));
}

Segmentation Listener::split(const WindowText& text, const Window& window, const SpeechSignal& signal,
                             int64_t* next) const {
  const int64_t stride = model_.frames_per_token();
  Segmentation split = split_by_timestamps(text.tokens, model_.timestamp_begin, (window.size + stride - 1) / stride);
  *next = std::min(window.end(), window.seek + split.advance * stride);
  if (split.ends_with_single_timestamp && options_.speech_gate) {
    // One timestamp at the end means that nothing is said after it. Where the signal contradicts, the model has
    // stopped early: the rest is heard again instead of being skipped.
    const int64_t end = split.segments.back().end * stride;
    if (signal_has_speech(signal.between(end + kWordTail, window.size))) *next = window.seek + end;
  }
  return split;
}

std::vector<Segment> Listener::make_segments(const WindowText& text, const Segmentation& split,
                                             const Window& window) const {
  std::vector<Segment> segments;
  for (const TokenSegment& part : split.segments) {
    Segment segment;
    segment.seek = window.seek;
    const double heard = seconds(window.size);
    segment.start = seconds(window.seek) + std::min(heard, static_cast<double>(part.start) * model_.time_precision());
    segment.end = seconds(window.seek) + std::min(heard, static_cast<double>(part.end) * model_.time_precision());
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

std::optional<WindowWords> Listener::align(const std::vector<Segment>& segments, const Window& window,
                                           FunctionRef<bool()> should_stop) {
  const Stopwatch stopwatch(info_.align_seconds);
  WindowWords result;
  std::vector<int32_t> words;
  for (const Segment& segment : segments) {
    const size_t before = words.size();
    for (const int32_t token : segment.tokens) {
      if (token < model_.eot) words.push_back(token);
    }
    result.counts.push_back(words.size() - before);
  }
  if (words.empty()) return result;
  std::vector<int32_t> before = start_sequence(model_, options_.task, language_);
  before.push_back(model_.no_timestamps);
  const int64_t frames_heard = std::max<int64_t>(1, window.size / model_.frames_per_token());
  const TokenAlignment alignment = aligner_.align(before, words, frames_heard, should_stop);
  if (alignment.frames.empty()) return std::nullopt;
  result.words = group_words(tokenizer_, language_, words, model_.eot, alignment, model_.time_precision());
  result.lengths = measure_words(result.words);
  shorten_at_sentence_ends(result.words, result.lengths);
  merge_punctuations(result.words, options_.prepend_punctuations, options_.append_punctuations);
  return result;
}

}  // namespace anyon
