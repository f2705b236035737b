// Typed access to JSON.
#include "program/json_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/number_text.h"
#include "core/status.h"

namespace anyon {
namespace {

using Json = nlohmann::json;

const Json::object_t& object_of(const Json& value, const JsonReader& reader) {
  if (!value.is_object()) reader.fail({"is not an object"});
  return value.get_ref<const Json::object_t&>();
}

std::string short_text(const std::string& text) {
  return text.size() <= 100 ? text : text.substr(0, 100) + "...";
}

}  // namespace

void JsonReader::fail(Parts problem) const {
  throw_error(Status::kBadProgram, {where_, ": ", problem});
}

const Json* JsonReader::find(const char* key) const {
  const Json::object_t& members = object_of(*value_, *this);
  const auto found = members.find(key);
  return found == members.end() ? nullptr : &found->second;
}

JsonReader JsonReader::at(const char* key) const {
  const Json* member = find(key);
  if (member == nullptr) fail({"'", key, "' is missing"});
  return {*member, where_ + ": '" + key + "'"};
}

bool JsonReader::has(const char* key) const {
  return find(key) != nullptr;
}

void JsonReader::only(std::initializer_list<std::string_view> known) const {
  for (const auto& [key, member] : object_of(*value_, *this)) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      std::string problem = "'";
      problem += short_text(key);
      problem += "' is not known to this version (made by a newer anyon?)";
      fail({problem});
    }
  }
}

std::vector<std::pair<std::string, JsonReader>> JsonReader::members(size_t max_count) const {
  const Json::object_t& object = object_of(*value_, *this);
  if (object.size() > max_count) fail({"has more than ", max_count, " members"});
  std::vector<std::pair<std::string, JsonReader>> readers;
  readers.reserve(object.size());
  for (const auto& [key, member] : object) {
    readers.emplace_back(key, JsonReader(member, where_ + ": '" + short_text(key) + "'"));
  }
  return readers;
}

std::vector<JsonReader> JsonReader::items(size_t max_count) const {
  if (!value_->is_array()) fail({"is not a list"});
  if (value_->size() > max_count) fail({"has more than ", max_count, " items"});
  std::vector<JsonReader> readers;
  readers.reserve(value_->size());
  for (const Json& item : *value_) readers.emplace_back(item, where_ + ", item " + std::to_string(readers.size()));
  return readers;
}

bool JsonReader::is_text() const {
  return value_->is_string();
}

bool JsonReader::is_integer() const {
  return value_->is_number_integer();
}

bool JsonReader::is_number() const {
  return value_->is_number();
}

bool JsonReader::is_list() const {
  return value_->is_array();
}

bool JsonReader::is_object() const {
  return value_->is_object();
}

const std::string& JsonReader::text(size_t max_bytes) const {
  if (!is_text()) fail({"is not text"});
  const auto& text = value_->get_ref<const std::string&>();
  if (text.size() > max_bytes) fail({"has more than ", max_bytes, " bytes"});
  return text;
}

int64_t JsonReader::integer(int64_t min, int64_t max) const {
  if (!value_->is_number_integer()) fail({"is not a whole number"});
  const bool fits = !value_->is_number_unsigned() || value_->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
  if (!fits || value_->get<int64_t>() < min || value_->get<int64_t>() > max) {
    const bool huge = value_->is_number_unsigned();
    fail({(huge ? std::to_string(value_->get<uint64_t>()) : std::to_string(value_->get<int64_t>())), " is outside ",
          min, "..", max});
  }
  return value_->get<int64_t>();
}

double JsonReader::number(double min, double max) const {
  if (!value_->is_number()) fail({"is not a number"});
  const auto number = value_->get<double>();
  if (!(number >= min && number <= max)) {
    fail({number_text(number), " is outside ", number_text(min), "..", number_text(max)});
  }
  return number;
}

bool JsonReader::boolean() const {
  if (!value_->is_boolean()) fail({"is not true or false"});
  return value_->get<bool>();
}

}  // namespace anyon
