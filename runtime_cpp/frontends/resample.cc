#include "frontends/resample.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>

#include "core/status.h"
#include "frontends/audio_check.h"
#include "frontends/resample_kernel.h"

namespace anyon {
namespace {

// Kaiser's design (Kaiser 1974): 96 dB over a transition from 0.9 to 1.0 of the lower Nyquist frequency needs
// (96 - 7.95) / (2.285 * 2 pi * 0.05) = 123 samples of the lower rate.
constexpr double kAttenuation = 96.0;
constexpr double kBeta = 0.1102 * (kAttenuation - 8.7);
constexpr double kHalfLength = 62.0;  // samples of the lower rate
constexpr double kCutoff = 0.475;     // cycles per sample of the lower rate: the middle of the transition

// Above this many coefficients (1 MiB) the bank holds fewer phases and neighbours are interpolated.
constexpr int64_t kMaxExactBank = int64_t{1} << 18;
// Phases per sample of the lower rate then; linear interpolation errs by (2 pi kCutoff / 512)^2 / 8: -107 dB.
constexpr double kPhasesPerSample = 512.0;

// Input is worked on in pieces of this many samples, so that a push of hours copies little at a time.
constexpr size_t kPiece = size_t{1} << 16;

resampling::Dot dot_for(Isa isa) {
#if defined(__x86_64__)
#if !defined(ANYON_WITHOUT_AVX512)
  if (float_isa(isa) == Isa::kAvx512) return resampling::dot_avx512;
#endif
  if (float_isa(isa) == Isa::kAvx2) return resampling::dot_avx2;
#endif
  return resampling::dot_baseline;
}

// The modified Bessel function of order zero, by its power series.
double bessel_i0(double x) {
  const double quarter = x * x / 4.0;
  double term = 1.0, sum = 1.0;
  for (int k = 1; term > sum * 1e-10; ++k) {  // far below what a float coefficient can hold
    term *= quarter / (static_cast<double>(k) * k);
    sum += term;
  }
  return sum;
}

int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// The low-pass filter sampled at every phase that an output can have between two input samples.
class FilterBank {
 public:
  // up / down = to / from in lowest terms.
  FilterBank(int64_t up, int64_t down) : up_(up) {
    const double scale = down > up ? static_cast<double>(down) / static_cast<double>(up) : 1.0;  // input per low sample
    half_ = static_cast<int64_t>(std::ceil(kHalfLength * scale));
    taps_ = round_up(2 * half_, resampling::kDotBlock);
    phases_ = up;
    if (up * taps_ > kMaxExactBank) {
      phases_ = std::min(up, static_cast<int64_t>(std::ceil(kPhasesPerSample / scale)));
    }
    rows_.assign(static_cast<size_t>((phases_ + 1) * taps_), 0.0F);
    const double norm = bessel_i0(kBeta);
    std::vector<double> row(static_cast<size_t>(2 * half_));
    for (int64_t phase = 0; 2 * phase <= phases_; ++phase) {
      const double offset = static_cast<double>(phase) / static_cast<double>(phases_);
      for (int64_t j = 0; j < 2 * half_; ++j) {
        row[static_cast<size_t>(j)] = value((static_cast<double>(j - half_ + 1) - offset) / scale, norm);
      }
      // The filter is even: the phase as far before the next sample holds the same row backwards.
      const double sum = std::accumulate(row.begin(), row.end(), 0.0);
      float* const to = rows_.data() + phase * taps_;
      float* const mirrored = rows_.data() + (phases_ - phase) * taps_;
      for (int64_t j = 0; j < 2 * half_; ++j) {
        to[j] = static_cast<float>(row[static_cast<size_t>(j)] / sum);
        mirrored[2 * half_ - 1 - j] = to[j];
      }
    }
  }

  // Input samples before the one at or before an output, and after it.
  int64_t before() const { return half_ - 1; }
  int64_t after() const { return half_; }
  // What one output reads, from before() samples back; the last of them have weight zero.
  int64_t taps() const { return taps_; }

  // The output at phase / up of the way from input[before()] to the next sample.
  float apply(resampling::Dot dot, const float* input, int64_t phase) const {
    if (phases_ == up_) return dot(input, rows_.data() + phase * taps_, taps_);
    const int64_t fine = phase * phases_;
    const float* const row = rows_.data() + fine / up_ * taps_;
    const float low = dot(input, row, taps_), high = dot(input, row + taps_, taps_);
    return low + (high - low) * (static_cast<float>(fine % up_) / static_cast<float>(up_));
  }

 private:
  // The filter at a distance in samples of the lower rate.
  static double value(double distance, double norm) {
    const double edge = distance / kHalfLength;
    if (std::fabs(edge) >= 1.0) return 0.0;
    const double turn = 2.0 * std::numbers::pi * kCutoff * distance;
    const double sinc = std::fabs(turn) < 1e-9 ? 1.0 : std::sin(turn) / turn;
    return sinc * bessel_i0(kBeta * std::sqrt(1.0 - edge * edge)) / norm;
  }

  int64_t up_;
  int64_t phases_ = 0;
  int64_t half_ = 0;
  int64_t taps_ = 0;
  std::vector<float> rows_;  // (phases + 1, taps)
};

}  // namespace

struct Resampler::State {
  State(int from_rate, int to_rate, Isa isa)
      : from(from_rate),
        to(to_rate),
        down(from_rate / std::gcd(from_rate, to_rate)),
        up(to_rate / std::gcd(from_rate, to_rate)),
        dot(dot_for(isa)),
        bank(from_rate == to_rate ? FilterBank(1, 1) : FilterBank(up, down)) {
    restart();
  }

  void restart() {
    input.assign(static_cast<size_t>(bank.before()), 0.0F);
    begin = 0;
    phase = 0;
    received = 0;
    sent = 0;
    finished = false;
  }

  // Sends every output, at most `limit` in all, that the buffered input covers, then forgets what no output needs.
  void drain(int64_t limit, std::vector<float>& out) {
    // Rows end in zero weights; they still read their samples, so those must exist.
    const int64_t size = static_cast<int64_t>(input.size());
    while (begin + bank.taps() <= size && sent < limit) {
      out.push_back(bank.apply(dot, input.data() + begin, phase));
      ++sent;
      begin += down / up;
      phase += down % up;
      if (phase >= up) {
        phase -= up;
        ++begin;
      }
    }
    const int64_t drop = std::min(begin, size);
    if (drop > bank.taps()) {
      input.erase(input.begin(), input.begin() + drop);
      begin -= drop;
    }
  }

  int from, to;
  int64_t down, up;
  resampling::Dot dot;
  FilterBank bank;
  std::vector<float> input;  // what outputs still need, oldest first, preceded by the silence before the signal
  int64_t begin = 0;         // where in `input` the next output starts to read
  int64_t phase = 0;         // of the next output, in units of 1 / up
  int64_t received = 0;
  int64_t sent = 0;
  bool finished = false;
};

Resampler::Resampler(int from, int to, Isa isa) {
  require_sample_rate(from);
  require_sample_rate(to);
  state_ = std::make_unique<State>(from, to, isa);
}

Resampler::~Resampler() = default;
Resampler::Resampler(Resampler&&) noexcept = default;
Resampler& Resampler::operator=(Resampler&&) noexcept = default;

int Resampler::from() const {
  return state_->from;
}
int Resampler::to() const {
  return state_->to;
}
void Resampler::reset() {
  state_->restart();
}

void Resampler::push(std::span<const float> in, std::vector<float>& out) {
  State& state = *state_;
  if (state.finished) throw_error(Status::kInvalidArgument, {"resampler: push after finish; call reset() first"});
  require_audio(in, state.received);
  state.received += static_cast<int64_t>(in.size());
  if (state.from == state.to) {
    out.insert(out.end(), in.begin(), in.end());
    return;
  }
  while (!in.empty()) {
    const std::span<const float> piece = in.first(std::min(in.size(), kPiece));
    in = in.subspan(piece.size());
    state.input.insert(state.input.end(), piece.begin(), piece.end());
    state.drain(output_length(state.received, state.from, state.to), out);
  }
}

void Resampler::finish(std::vector<float>& out) {
  State& state = *state_;
  if (state.finished) throw_error(Status::kInvalidArgument, {"resampler: finished twice; call reset() first"});
  state.finished = true;
  if (state.from == state.to) return;
  state.input.resize(state.input.size() + static_cast<size_t>(state.bank.taps() + state.down / state.up + 1), 0.0F);
  state.drain(output_length(state.received, state.from, state.to), out);
}

int64_t Resampler::output_length(int64_t samples, int from, int to) {
  require_sample_rate(from);
  require_sample_rate(to);
  if (samples < 0) throw_error(Status::kInvalidArgument, {"resampler: a negative number of samples"});
  return samples / from * to + (samples % from * to + from - 1) / from;
}

std::vector<float> resample(std::span<const float> in, int from, int to) {
  Resampler resampler(from, to);
  std::vector<float> out;
  out.reserve(static_cast<size_t>(Resampler::output_length(static_cast<int64_t>(in.size()), from, to)));
  resampler.push(in, out);
  resampler.finish(out);
  return out;
}

}  // namespace anyon
