// The attributes of one op as its constructor reads them: typed, range-checked, none left over.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "core/status.h"
#include "program/json_reader.h"

namespace anyon {

struct ProgramState;

// Every getter fails with Error(kBadProgram), naming op and attribute, when the attribute has another type, is out of
// range, or is missing and has no default.
class AttrReader {
 public:
  static constexpr size_t kMaxAttributes = limits::kAttributes;
  static constexpr int64_t kMaxSize = limits::kDimension;  // of any count or width an attribute may state

  // `attrs` is the "attrs" object of the op that `where` describes.
  AttrReader(const JsonReader& attrs, const std::string& where, std::span<const ProgramState> states);

  int64_t integer(const char* name, int64_t min, int64_t max);
  int64_t integer_or(const char* name, int64_t min, int64_t max, int64_t otherwise);
  // A finite number in [min, max].
  float number(const char* name, double min = std::numeric_limits<float>::lowest(),
               double max = std::numeric_limits<float>::max());
  bool boolean_or(const char* name, bool otherwise);
  std::vector<int64_t> integers(const char* name, int64_t min, int64_t max, size_t max_count);

  // The value that stands beside the attribute's text in `choices`.
  template <class T>
  T choice(const char* name, std::span<const std::pair<const char*, T>> choices) {
    const std::string& text = this->text(name);
    for (const auto& [known, value] : choices) {
      if (text == known) return value;
    }
    std::string all;
    for (const auto& [known, value] : choices) all.append(all.empty() ? "" : ", ").append(known);
    fail({std::string("'").append(name).append("': '").append(text).append("' is none of ").append(all)});
  }
  template <class T>
  T choice_or(const char* name, std::span<const std::pair<const char*, T>> choices, T otherwise) {
    return has(name) ? choice(name, choices) : otherwise;
  }

  // Index of the append state the attribute names, or -1 when it is absent or "". The op becomes the state's writer.
  int append_state_or_none(const char* name);
  const ProgramState& state(int index) const;
  const std::vector<int>& written_states() const { return written_; }

  [[noreturn]] void fail(Parts problem) const;
  // Fails when an attribute was given that nothing asked for.
  void finish() const;

 private:
  JsonReader take(const char* name);
  bool has(const char* name) const { return attrs_.has(name); }
  const std::string& text(const char* name) { return take(name).text(); }

  const JsonReader attrs_;
  std::span<const ProgramState> states_;
  std::vector<std::string_view> taken_;
  std::vector<int> written_;
};

}  // namespace anyon
