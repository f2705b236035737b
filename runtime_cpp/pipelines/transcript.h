// What a transcription returns; field names are those of openai-whisper and faster-whisper.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace anyon {

struct Word {
  double start = 0.0;  // seconds on the clock of the recording
  double end = 0.0;
  std::string word;  // UTF-8, with the leading space and the punctuation merged into it
  double probability = 0.0;
};

struct Segment {
  int64_t id = 0;      // counts from 0 over the recording
  int64_t seek = 0;    // first frame (10 ms each) of the window that held it
  double start = 0.0;  // seconds on the clock of the recording
  double end = 0.0;
  std::string text;             // UTF-8
  std::vector<int32_t> tokens;  // text and timestamp tokens as the model gave them
  double avg_logprob = 0.0;     // of the window's tokens and the end of text
  double compression_ratio = 0.0;
  double no_speech_prob = 0.0;
  double temperature = 0.0;
  std::vector<Word> words;  // empty unless word_timestamps
};

}  // namespace anyon
