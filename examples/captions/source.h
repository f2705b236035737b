// Where the audio comes from.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

class Source {
 public:
  virtual ~Source() = default;
  virtual int sample_rate() const = 0;
  // The next mono samples (-1..1), at most `most` of them; none at the end. Waits for a microphone.
  virtual std::vector<float> read(std::size_t most) = 0;
};

// A WAV file, or raw 16-bit mono samples at 16 kHz from standard input ("-"). Throws std::runtime_error.
std::unique_ptr<Source> open_file(const std::string& path);
// The default microphone. Throws std::runtime_error.
std::unique_ptr<Source> open_microphone();
