// Streaming sample rate conversion of mono float audio: polyphase windowed sinc, zero phase delay.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/isa.h"

namespace anyon {

// Output sample k lies at input time k * from / to, so sample 0 falls on sample 0; n input samples give exactly
// ceil(n * to / from) output samples. Beyond both ends the signal is zero. The passband reaches 0.9 of the lower
// Nyquist frequency within 0.01 dB; from the Nyquist frequency on, 90 dB are gone.
// The output does not depend, bit for bit, on how the input was cut into chunks, nor on the ISA.
// One thread at a time.
class Resampler {
 public:
  // Rates in Hz; outside [4000, 768000] throws Error kInvalidArgument.
  Resampler(int from, int to, Isa isa = selected_isa());
  ~Resampler();
  Resampler(Resampler&&) noexcept;
  Resampler& operator=(Resampler&&) noexcept;

  // Appends to `out` every output sample that `in` completes. Throws Error kBadAudio for NaN, infinite or absurd
  // samples, with the index in the whole stream, and kInvalidArgument after finish(); then nothing has changed.
  void push(std::span<const float> in, std::vector<float>& out);

  // Appends the rest of the output. After it only reset() may be called.
  void finish(std::vector<float>& out);

  // Ready for a new stream at the same rates.
  void reset();

  int from() const;
  int to() const;

  // ceil(samples * to / from), the length of the whole output.
  static int64_t output_length(int64_t samples, int from, int to);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The whole signal at once.
std::vector<float> resample(std::span<const float> in, int from, int to);

}  // namespace anyon
