#include "wav.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/status.h"

namespace {

template <class T>
T number(const std::vector<char>& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

Recording read_wav(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const auto fail = [&path](const std::string& what) -> anyon::Error {
    return {anyon::Status::kBadAudio, path + ": " + what + " (a WAV file of 16-bit samples is needed)"};
  };
  if (bytes.size() < 12 || std::memcmp(bytes.data(), "RIFF", 4) != 0) throw fail("is no WAV file");
  uint16_t channels = 0;
  Recording recording;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const size_t size = number<uint32_t>(bytes, at + 4), body = at + 8;
    if (size > bytes.size() - body) throw fail("is cut");
    if (std::memcmp(bytes.data() + at, "fmt ", 4) == 0 && size >= 16) {
      if (number<uint16_t>(bytes, body) != 1 || number<uint16_t>(bytes, body + 14) != 16)
        throw fail("is not 16-bit PCM");
      channels = number<uint16_t>(bytes, body + 2);
      recording.rate = static_cast<int>(number<uint32_t>(bytes, body + 4));
    }
    if (std::memcmp(bytes.data() + at, "data", 4) == 0 && channels > 0) {
      recording.samples.resize(size / 2 / channels);
      for (size_t i = 0; i < recording.samples.size(); ++i) {
        float sum = 0.0f;
        for (size_t channel = 0; channel < channels; ++channel) {
          sum += number<int16_t>(bytes, body + 2 * (i * channels + channel));
        }
        recording.samples[i] = sum / 32768.0f / static_cast<float>(channels);
      }
      return recording;
    }
    at = body + size + size % 2;
  }
  throw fail("has no samples");
}
