// What tests with expected values share: where those lie, and a signal that needs no file.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace anyon {

// The content of tests/cpp/data/<name>.
inline std::string data_text(const std::string& name) {
  const std::string path = std::string(ANYON_TEST_DATA_FOLDER) + "/" + name;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("no such test data: " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Its lines without comments.
inline std::vector<std::string> data_lines(const std::string& name) {
  std::istringstream file(data_text(name));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') lines.push_back(line);
  }
  return lines;
}

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

inline std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// Noise with a swelling sawtooth: test_signal() of tests/cpp/data/make_frontend_data.py.
inline std::vector<float> test_signal(int64_t samples) {
  std::vector<float> signal(static_cast<size_t>(samples));
  uint32_t state = 1;
  for (int64_t i = 0; i < samples; ++i) {
    state = state * 1664525U + 1013904223U;
    const float noise = static_cast<float>(state >> 8) / 16777216.0F - 0.5F;
    const float tone = static_cast<float>((i * 7) % 100) / 100.0F - 0.5F;
    signal[static_cast<size_t>(i)] = noise * 0.02F + tone * (static_cast<float>(i % 8000) / 16000.0F);
  }
  return signal;
}

}  // namespace anyon
