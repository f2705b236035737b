#include "frontends/audio_check.h"

#include <cmath>
#include <cstddef>
#include <string>

#include "core/number_text.h"
#include "core/status.h"

namespace anyon {
namespace {

// A comparison with NaN is false, so one comparison finds NaN, infinity and absurd loudness.
bool is_audio(float sample) {
  return std::fabs(sample) <= kMaxSampleMagnitude;
}

// Blocks let the compiler vectorise the count; the search for the index only runs when something is wrong.
constexpr size_t kBlock = 4096;

[[noreturn]] void refuse(float sample, int64_t index) {
  const std::string where = "audio: sample " + std::to_string(index) + " is ";
  if (std::isnan(sample)) throw_error(Status::kBadAudio, {where, "NaN; clean or decode the audio again"});
  if (std::isinf(sample)) throw_error(Status::kBadAudio, {where, "infinite; clean or decode the audio again"});
  throw_error(Status::kBadAudio,
              {where, number_text(sample), ", full scale is 1; divide integer samples by their full scale"});
}

}  // namespace

void require_audio(std::span<const float> samples, int64_t first_index) {
  for (size_t begin = 0; begin < samples.size(); begin += kBlock) {
    const std::span<const float> block = samples.subspan(begin, std::min(kBlock, samples.size() - begin));
    int good = 0;
    for (const float sample : block) good += is_audio(sample) ? 1 : 0;
    if (good == static_cast<int>(block.size())) continue;
    for (size_t i = 0; i < block.size(); ++i) {
      if (!is_audio(block[i])) refuse(block[i], first_index + static_cast<int64_t>(begin + i));
    }
  }
}

void require_sample_rate(int64_t rate) {
  if (rate >= kMinSampleRate && rate <= kMaxSampleRate) return;
  throw_error(Status::kInvalidArgument,
              {"sample rate: ", rate, " Hz is outside ", kMinSampleRate, " to ", kMaxSampleRate, " Hz"});
}

}  // namespace anyon
