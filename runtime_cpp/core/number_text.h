// Numbers in messages.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>

namespace anyon {

// At most six digits. std::to_chars would say it without a locale, but brings 170 KB of tables into an application;
// streams of another libstdc++ in the same process (PyTorch brings one) would print nothing.
inline std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", value);
  std::replace(text, text + sizeof(text), ',', '.');
  return text;
}

}  // namespace anyon
