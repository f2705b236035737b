// Decodes one window, again at rising temperatures while the result is not believed.
#include "pipelines/fallback.h"

#include <algorithm>

#include "loops/compression_ratio.h"
#include "loops/random.h"
#include "pipelines/text.h"

namespace anyon {

namespace {

// Bounds for what a token can still add to a text: bytes, and bytes of the compressed text (nothing of it compresses).
// English and most other text stays below 6 bytes a token; a text that has begun to repeat itself adds next to nothing.
constexpr double kMaxBytesPerToken = 8.0;
constexpr size_t kMinRepeats = 3;
constexpr size_t kMinRepeatedTokens = 24;

// Whether the sequence ends in at least kMinRepeats times the same tokens, kMinRepeatedTokens altogether.
bool ends_in_cycle(std::span<const int32_t> tokens) {
  const size_t n = tokens.size();
  for (size_t period = 1; period * kMinRepeats <= n; ++period) {
    const size_t length = std::max(period * kMinRepeats, kMinRepeatedTokens);
    if (length > n) continue;
    const std::span<const int32_t> tail = tokens.last(length);
    if (std::equal(tail.begin() + static_cast<int64_t>(period), tail.end(), tail.begin())) return true;
  }
  return false;
}

}  // namespace

FallbackDecoder::FallbackDecoder(Seq2SeqDecoder& decoder, const LogitRules& rules, const BpeTokenizer& tokenizer,
                                 const WhisperInfo& model, const TranscribeOptions& options)
    : decoder_(decoder), rules_(rules), tokenizer_(tokenizer), model_(model), options_(options) {}

std::string FallbackDecoder::text_of(std::span<const int32_t> tokens) const {
  std::vector<int32_t> text;
  for (const int32_t token : tokens) {
    if (token < model_.eot) text.push_back(token);
  }
  return std::string(trim(tokenizer_.decode(text)));
}

bool FallbackDecoder::repeats(const WindowText& text) const {
  return options_.compression_ratio_threshold && text.compression_ratio > *options_.compression_ratio_threshold;
}

bool FallbackDecoder::is_unlikely(const WindowText& text) const {
  return options_.log_prob_threshold && text.avg_logprob < *options_.log_prob_threshold;
}

bool FallbackDecoder::is_silence(const WindowText& text) const {
  return options_.no_speech_threshold && text.no_speech_prob > *options_.no_speech_threshold && is_unlikely(text);
}

bool FallbackDecoder::is_hopeless(const Hypothesis& hypothesis, int max_tokens) const {
  if (!options_.compression_ratio_threshold) return false;
  std::vector<int32_t> words;
  for (const int32_t token : hypothesis.tokens) {
    if (token < model_.eot) words.push_back(token);
  }
  if (!ends_in_cycle(words)) return false;
  const std::string text = text_of(words);
  if (text.empty()) return false;
  const double rest = kMaxBytesPerToken * (max_tokens - static_cast<double>(hypothesis.tokens.size()));
  const double bytes = static_cast<double>(text.size());
  const double compressed = bytes / compression_ratio(text);
  return (bytes + rest) / (compressed + rest) > *options_.compression_ratio_threshold;
}

SearchTask FallbackDecoder::attempt(size_t number, const WindowTask& window) const {
  SearchTask task;
  task.rules = &rules_;
  task.prefix = window.prompt.prefix;
  task.may_end = window.may_end;
  task.max_tokens = options_.max_new_tokens > 0 ? options_.max_new_tokens : model_.n_text_ctx / 2;
  SearchOptions& search = task.options;
  search.temperature = options_.temperatures[number];
  search.beam_size = options_.beam_size;
  search.best_of = options_.best_of;
  search.patience = options_.patience;
  search.length_penalty = options_.length_penalty;
  search.seed = stream_seed(window.seed, number);

  // Where the model hears silence, a result that repeats itself may still be taken; the last result always may.
  const bool may_give_up = number + 1 < options_.temperatures.size() &&
                           !(options_.no_speech_threshold && window.no_speech_prob > *options_.no_speech_threshold);
  if (may_give_up) {
    task.is_hopeless = [this, max_tokens = task.max_tokens](const Hypothesis& hypothesis) {
      return is_hopeless(hypothesis, max_tokens);
    };
  }
  return task;
}

WindowText FallbackDecoder::text_at(size_t attempt, const WindowTask& window, DecodeResult result) const {
  WindowText text;
  text.cancelled = result.cancelled;
  text.text = text_of(result.tokens);
  text.tokens = std::move(result.tokens);
  text.avg_logprob = result.avg_logprob;
  text.compression_ratio = compression_ratio(text.text);
  text.no_speech_prob = window.no_speech_prob;
  text.temperature = options_.temperatures[attempt];
  return text;
}

WindowTask FallbackDecoder::start(DecoderPrompt prompt, uint64_t seed) {
  decoder_.start(prompt.tokens, prompt.sot_index);
  const double no_speech_prob =
      model_.no_speech == WhisperInfo::kNone ? 0.0 : decoder_.probability_at_sot(model_.no_speech);
  return {std::move(prompt), seed, no_speech_prob, {}};
}

WindowText FallbackDecoder::decode(DecoderPrompt prompt, uint64_t seed, Draft* draft, FunctionRef<bool()> should_stop) {
  const WindowTask window = start(std::move(prompt), seed);
  SearchTask task = attempt(0, window);
  task.draft = draft;
  return decode_rest(window, decoder_.search(std::move(task), should_stop), should_stop);
}

WindowTask FallbackDecoder::begin(DecoderPrompt prompt, uint64_t seed,
                                  std::function<bool(std::span<const int32_t>)> may_end) {
  WindowTask window = start(std::move(prompt), seed);
  window.may_end = std::move(may_end);
  decoder_.begin(attempt(0, window));
  return window;
}

WindowText FallbackDecoder::finish(const WindowTask& window, FunctionRef<bool()> should_stop) {
  return decode_rest(window, decoder_.result(), should_stop);
}

WindowText FallbackDecoder::decode_rest(const WindowTask& window, DecodeResult first, FunctionRef<bool()> should_stop) {
  WindowText best;
  for (size_t number = 0; number < options_.temperatures.size(); ++number) {
    if (number > 0) first = decoder_.search(attempt(number, window), should_stop);
    WindowText text = text_at(number, window, std::move(first));
    text.fallbacks = static_cast<int>(number);
    if (text.cancelled) return text;
    if (is_silence(text) || (!repeats(text) && !is_unlikely(text))) return text;
    const bool better = number == 0 || repeats(best) || (!repeats(text) && text.avg_logprob > best.avg_logprob);
    if (better) best = std::move(text);
  }
  // The prompt of the next window must not rest on a text that took all temperatures.
  best.temperature = options_.temperatures.back();
  best.fallbacks = static_cast<int>(options_.temperatures.size());
  return best;
}

}  // namespace anyon
