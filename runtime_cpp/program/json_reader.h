// Typed, range-checked access to a parsed manifest; every failure says where in the program it is.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "core/status.h"

namespace anyon {

// A JSON value and the words that say where it stands. Points into the document, which must outlive it.
// Every getter throws Error(kBadProgram) when the value is of another type or outside the limits given.
class JsonReader {
 public:
  JsonReader(const nlohmann::json& value, std::string where) : value_(&value), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  // The same value, called something else in messages.
  JsonReader called(std::string where) const { return {*value_, std::move(where)}; }
  [[noreturn]] void fail(Parts problem) const;

  // The member `key` of an object; fails when it is missing.
  JsonReader at(const char* key) const;
  bool has(const char* key) const;
  // Fails when the object has a member that is not among `known`: nothing is silently ignored.
  void only(std::initializer_list<std::string_view> known) const;
  std::vector<std::pair<std::string, JsonReader>> members(size_t max_count) const;
  std::vector<JsonReader> items(size_t max_count) const;

  bool is_text() const;
  bool is_integer() const;
  bool is_number() const;
  bool is_list() const;
  bool is_object() const;
  const std::string& text(size_t max_bytes = limits::kText) const;
  int64_t integer(int64_t min, int64_t max) const;
  double number(double min, double max) const;
  bool boolean() const;

 private:
  const nlohmann::json* find(const char* key) const;

  const nlohmann::json* value_;
  std::string where_;
};

}  // namespace anyon
