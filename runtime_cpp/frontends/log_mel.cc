#include "frontends/log_mel.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#include "core/status.h"
#include "core/threads.h"
#include "frontends/audio_check.h"
#include "frontends/log_mel_tables.h"

namespace anyon {
namespace {

static_assert(LogMel::kFftSize == log_mel::kFftSize && LogMel::kHop == log_mel::kHop);

constexpr int64_t kHalf = LogMel::kFftSize / 2;  // samples on either side of a frame's centre

log_mel::Compute kernel_for(Isa isa) {
#if defined(__x86_64__)
#if !defined(ANYON_WITHOUT_AVX512)
  if (float_isa(isa) == Isa::kAvx512) return log_mel::compute_avx512;
#endif
  if (float_isa(isa) == Isa::kAvx2) return log_mel::compute_avx2;
#endif
  return log_mel::compute_baseline;
}

// The window with its surroundings: a sample for every position, however far outside.
class Signal {
 public:
  Signal(std::span<const float> samples, const LogMelOptions& options)
      : samples_(samples), options_(options), left_(tail(options.left)), right_(head(options.right)) {}

  float at(int64_t position) const {
    const int64_t begin = -static_cast<int64_t>(left_.size());
    const int64_t end = options_.window_samples + static_cast<int64_t>(right_.size());
    while (position < begin || position >= end) {
      const bool before = position < begin;
      if ((before ? options_.left_edge : options_.right_edge) == LogMelEdge::kZero || end - begin == 1) return 0.0F;
      position = before ? 2 * begin - position : 2 * (end - 1) - position;
    }
    if (position < 0) return left_[static_cast<size_t>(position - begin)];
    if (position >= options_.window_samples) return right_[static_cast<size_t>(position - options_.window_samples)];
    return position < static_cast<int64_t>(samples_.size()) ? samples_[static_cast<size_t>(position)] : 0.0F;
  }

 private:
  static std::span<const float> tail(std::span<const float> left) {
    return left.last(std::min<size_t>(left.size(), kHalf));
  }
  static std::span<const float> head(std::span<const float> right) {
    return right.first(std::min<size_t>(right.size(), kHalf));
  }

  std::span<const float> samples_;
  const LogMelOptions& options_;
  std::span<const float> left_, right_;
};

void check(std::span<const float> samples, int64_t frames, const LogMelOptions& options) {
  const int64_t size = static_cast<int64_t>(samples.size());
  if (size > options.window_samples) {
    throw_error(Status::kInvalidArgument, {"log-mel: ", size, " samples do not fit a window of ",
                                           options.window_samples, "; cut the audio or set window_samples"});
  }
  if (frames < 0 || frames > options.window_samples / LogMel::kHop) {
    throw_error(Status::kInvalidArgument,
                {"log-mel: ", frames, " frames asked for, a window of ", options.window_samples, " samples has 0 to ",
                 options.window_samples / LogMel::kHop});
  }
  if (!options.right.empty() && size != options.window_samples) {
    throw_error(Status::kInvalidArgument, {"log-mel: samples to the right of a window that is not full; append them"});
  }
  require_audio(options.left, -static_cast<int64_t>(options.left.size()));
  require_audio(samples);
  require_audio(options.right, size);
}

void raise(std::atomic<float>& maximum, float value) {
  float known = maximum.load(std::memory_order_relaxed);
  while (known < value && !maximum.compare_exchange_weak(known, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

LogMel::LogMel(int n_mels, Isa isa) : n_mels_(n_mels), compute_(kernel_for(isa)) {
  if (n_mels != 80 && n_mels != 128) {
    throw_error(Status::kInvalidArgument,
                {"log-mel: ", n_mels, " mel bands asked for; Whisper's front end has 80 or 128"});
  }
  tables_ = std::make_unique<const log_mel::Tables>(n_mels);
}

LogMel::~LogMel() = default;
LogMel::LogMel(LogMel&&) noexcept = default;
LogMel& LogMel::operator=(LogMel&&) noexcept = default;

float LogMel::compute(std::span<const float> samples, int64_t frames, float* out, ThreadPool& pool,
                      const LogMelOptions& options) const {
  check(samples, frames, options);
  const Signal signal(samples, options);
  const int64_t size = static_cast<int64_t>(samples.size());

  // Frames that lie wholly in the padding need no transform. (What the window's end mirrors is padding to them, too.)
  int64_t sounding = frames;
  if (size < options.window_samples) sounding = std::min(frames, (size + kHalf + kHop - 1) / kHop);

  std::atomic<float> maximum{frames > sounding ? kSilence : -std::numeric_limits<float>::infinity()};
  pool.run((sounding + log_mel::kMaxFrames - 1) / log_mel::kMaxFrames, [&](int64_t task, int /*worker*/) {
    const int64_t first = task * log_mel::kMaxFrames;
    const int64_t count = std::min<int64_t>(log_mel::kMaxFrames, sounding - first);
    const int64_t begin = first * kHop - kHalf;
    const int64_t length = (count - 1) * kHop + kFftSize;
    float assembled[(log_mel::kMaxFrames - 1) * kHop + kFftSize];
    const float* from = assembled;
    if (begin >= 0 && begin + length <= size) {
      from = samples.data() + begin;
    } else {
      for (int64_t i = 0; i < length; ++i) assembled[i] = signal.at(begin + i);
    }
    float largest = -std::numeric_limits<float>::infinity();
    compute_(*tables_, from, count, out + first, frames, &largest);
    raise(maximum, largest);
  });

  const float floor = std::max(maximum.load(), options.reference_max) - 8.0F;
  parallel_for(pool, n_mels_, 8, [&](int64_t begin, int64_t end, int /*worker*/) {
    for (int64_t m = begin; m < end; ++m) {
      float* const row = out + m * frames;
      for (int64_t f = 0; f < sounding; ++f) row[f] = (std::max(row[f], floor) + 4.0F) * 0.25F;
      std::fill(row + sounding, row + frames, (std::max(kSilence, floor) + 4.0F) * 0.25F);
    }
  });
  return maximum.load();
}

std::vector<float> LogMel::filters() const {
  const std::vector<double> exact = log_mel::slaney_filters(n_mels_);
  return {exact.begin(), exact.end()};
}

}  // namespace anyon
