// The options that Java set, by the names of the C API's fields, and the C structs that they become.
#pragma once

#include <deque>
#include <vector>

#include "wire.h"

namespace anyon::jni {

// Keeps what the parameters point to.
struct Lists {
  std::deque<std::vector<float>> floats;
  std::deque<std::vector<double>> doubles;
  std::deque<std::vector<int32_t>> ints;
  std::deque<std::vector<char>> bytes;
};

// What they return points into `reader` and `lists`. They throw std::invalid_argument with the option's name.
anyon_transcribe_params transcribe_params(Reader& reader, Lists& lists);
anyon_model_params model_params(Reader& reader, Lists& lists);

}  // namespace anyon::jni
