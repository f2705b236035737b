// Any samples, rates, chunks and windows through the resampler and the log-mel front end: finite features or an Error.
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
  for (const auto run : {resample, log_mel}) {
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
