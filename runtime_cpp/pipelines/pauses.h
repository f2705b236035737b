// Where a stretch of speech can be cut: pauses between words, found in its loudness.
#pragma once

#include <cstdint>
#include <span>

namespace anyon {

// The frame of 10 ms at which to cut `loudness` (dB, one value a frame): inside a pause, rather a late one and rather a
// long one; where no pause is, the quietest place of the last third. Above 0 and below its size, which must be 2 or
// more.
int64_t find_cut(std::span<const float> loudness);

}  // namespace anyon
