// Reading op attributes.
#include "program/attributes.h"

#include <algorithm>

#include "core/status.h"
#include "program/program.h"

namespace anyon {

AttrReader::AttrReader(const JsonReader& attrs, const std::string& where, std::span<const ProgramState> states)
    : attrs_(attrs.called(where)), states_(states) {}

void AttrReader::fail(Parts problem) const {
  attrs_.fail({problem});
}

JsonReader AttrReader::take(const char* name) {
  taken_.emplace_back(name);
  return attrs_.at(name);
}

int64_t AttrReader::integer(const char* name, int64_t min, int64_t max) {
  return take(name).integer(min, max);
}

int64_t AttrReader::integer_or(const char* name, int64_t min, int64_t max, int64_t otherwise) {
  return has(name) ? integer(name, min, max) : otherwise;
}

float AttrReader::number(const char* name, double min, double max) {
  return static_cast<float>(take(name).number(min, max));
}

bool AttrReader::boolean_or(const char* name, bool otherwise) {
  return has(name) ? take(name).boolean() : otherwise;
}

std::vector<int64_t> AttrReader::integers(const char* name, int64_t min, int64_t max, size_t max_count) {
  std::vector<int64_t> numbers;
  for (const JsonReader& item : take(name).items(max_count)) numbers.push_back(item.integer(min, max));
  return numbers;
}

int AttrReader::append_state_or_none(const char* name) {
  if (!has(name)) return -1;
  const JsonReader attr = take(name);
  const std::string& wanted = attr.text();
  if (wanted.empty()) return -1;
  for (size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].name != wanted) continue;
    if (states_[i].kind != StateKind::kAppend) attr.fail({"state '", wanted, "' does not grow"});
    written_.push_back(static_cast<int>(i));
    return static_cast<int>(i);
  }
  attr.fail({"the program has no state '", wanted, "'"});
}

const ProgramState& AttrReader::state(int index) const {
  return states_[static_cast<size_t>(index)];
}

void AttrReader::finish() const {
  for (const auto& [name, value] : attrs_.members(kMaxAttributes)) {
    if (std::find(taken_.begin(), taken_.end(), name) == taken_.end()) {
      fail({std::string("'").append(name, 0, 100).append("' is not an attribute of this op in this version")});
    }
  }
}

}  // namespace anyon
