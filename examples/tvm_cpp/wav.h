// WAV files of 16-bit samples.
#pragma once

#include <string>
#include <vector>

struct Recording {
  std::vector<float> samples;  // mono: the mean of the channels, in [-1, 1]
  int rate = 0;                // Hz
};

// Throws anyon::Error for a file that is missing, cut, or no 16-bit PCM.
Recording read_wav(const std::string& path);
