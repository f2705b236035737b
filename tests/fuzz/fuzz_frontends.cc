// Any samples, rates, chunks and windows through the resampler, the audio buffer and the log-mel front end: what came
// whole equals what came in pieces, features are finite, or an Error.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/status.h"
#include "core/threads.h"
#include "frontends/log_mel.h"
#include "frontends/resample.h"
#include "pipelines/audio_buffer.h"

namespace {

// Numbers come from the front of the input, samples are what is left.
class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint32_t number() {
    uint32_t value = 0;
    const size_t taken = std::min(size_, sizeof(value));
    if (taken > 0) std::memcpy(&value, data_, taken);
    data_ += taken;
    size_ -= taken;
    return value;
  }
  std::vector<float> samples() const {
    std::vector<float> out(size_ / sizeof(float));
    if (!out.empty()) std::memcpy(out.data(), data_, out.size() * sizeof(float));
    return out;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

// Rates in the accepted range, and now and then any int at all.
int rate(uint32_t number) {
  return number % 8 == 0 ? static_cast<int>(number) : 4000 + static_cast<int>(number % 764001);
}

std::vector<float> in_chunks(anyon::Resampler& resampler, std::span<const float> in, size_t chunk) {
  std::vector<float> out;
  for (size_t i = 0; i < in.size(); i += chunk) resampler.push(in.subspan(i, std::min(chunk, in.size() - i)), out);
  resampler.finish(out);
  resampler.reset();
  return out;
}

void resample(Reader& reader, std::span<const float> samples) {
  const int from = rate(reader.number()), to = rate(reader.number());
  anyon::Resampler resampler(from, to);
  const std::vector<float> whole = in_chunks(resampler, samples, samples.size() + 1);
  const int64_t expected = anyon::Resampler::output_length(static_cast<int64_t>(samples.size()), from, to);
  if (static_cast<int64_t>(whole.size()) != expected) std::abort();
  for (const float sample : whole) {
    if (!std::isfinite(sample)) std::abort();
  }
  if (in_chunks(resampler, samples, 1 + reader.number() % 97) != whole) std::abort();
}

// Pieces of any length at any moment, between them forgetting and reading; what is kept is a part of the whole.
void buffer(Reader& reader, std::span<const float> samples) {
  constexpr int kRate = 16000;
  const int from = rate(reader.number());
  anyon::AudioBuffer buffer(kRate);
  anyon::Resampler resampler(from, kRate);
  std::vector<float> whole;
  resampler.push(samples, whole);
  resampler.finish(whole);
  uint32_t choice = reader.number();
  const auto below = [&choice](size_t count) {
    choice = choice * 1664525u + 1013904223u;
    return (choice >> 8) % count;
  };
  while (!samples.empty() || !buffer.finished()) {
    const size_t piece = std::min<size_t>(samples.size(), below(3) == 0 ? below(2000) : below(40));
    buffer.push(samples.first(piece), from);
    samples = samples.subspan(piece);
    if (samples.empty()) buffer.finish();
    if (below(4) == 0) buffer.discard_before(buffer.begin() + static_cast<int64_t>(below(600)));
    const auto first = static_cast<int64_t>(below(whole.size() + 10)), last = first + static_cast<int64_t>(below(500));
    const std::span<const float> kept = buffer.range(first, last);
    const int64_t begin = std::max(first, buffer.begin());
    if (static_cast<int64_t>(kept.size()) > std::max<int64_t>(0, last - begin)) std::abort();
    for (size_t i = 0; i < kept.size(); ++i) {
      if (kept[i] != whole.at(static_cast<size_t>(begin) + i)) std::abort();
    }
  }
  if (buffer.end() != static_cast<int64_t>(whole.size()) && buffer.begin() < static_cast<int64_t>(whole.size())) {
    std::abort();
  }
}

void log_mel(Reader& reader, std::span<const float> samples) {
  static anyon::ThreadPool pool(1);
  static const anyon::LogMel bands80(80), bands128(128);
  const anyon::LogMel& mel = reader.number() % 2 == 0 ? bands80 : bands128;
  const size_t left = std::min<size_t>(reader.number() % 512, samples.size());
  anyon::LogMelOptions options;
  options.window_samples = static_cast<int64_t>(reader.number() % 4096);
  options.left = samples.first(left);
  samples = samples.subspan(left);
  if (reader.number() % 2 == 0 && samples.size() > static_cast<size_t>(options.window_samples)) {
    options.right = samples.subspan(static_cast<size_t>(options.window_samples));
    samples = samples.first(static_cast<size_t>(options.window_samples));
  }
  options.left_edge = static_cast<anyon::LogMelEdge>(reader.number() % 2);
  options.right_edge = static_cast<anyon::LogMelEdge>(reader.number() % 2);
  const int64_t frames = static_cast<int64_t>(reader.number() % 32);
  std::vector<float> out(static_cast<size_t>(mel.n_mels() * frames));
  mel.compute(samples, frames, out.data(), pool, options);
  for (const float value : out) {
    if (!std::isfinite(value)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const auto run : {resample, buffer, log_mel}) {
    Reader reader(data, size);
    Reader after(data + std::min<size_t>(size, 32), size - std::min<size_t>(size, 32));
    const std::vector<float> samples = after.samples();
    try {
      run(reader, samples);
    } catch (const anyon::Error&) {
    }
  }
  return 0;
}
