// The one place that decides which samples are audio: finite, and not absurdly loud.
#pragma once

#include <cstdint>
#include <span>

#include "core/limits.h"

namespace anyon {

// Full scale is 1.0; integers passed as floats still fit. Louder samples would overflow float power spectra.
inline constexpr float kMaxSampleMagnitude = limits::kSampleMagnitude;

// Sample rates, in Hz, that the front ends accept.
inline constexpr int kMinSampleRate = limits::kLowestSampleRate;
inline constexpr int kMaxSampleRate = limits::kHighestSampleRate;

// Throws Error kBadAudio naming the first sample that is NaN, infinite or above kMaxSampleMagnitude; `first_index` is
// the position of samples[0] in the recording, so that the message counts from the recording's start.
void require_audio(std::span<const float> samples, int64_t first_index = 0);

// Throws Error kInvalidArgument, naming the allowed range, unless kMinSampleRate <= rate <= kMaxSampleRate.
void require_sample_rate(int64_t rate);

}  // namespace anyon
