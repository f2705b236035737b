// A SAX handler that builds the document and stops at the first thing it must not accept.
#include "bundle/json.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace anyon {
namespace {

using Json = nlohmann::json;

class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(Json& root, const JsonLimits& limits) : root_(root), limits_(limits) {}

  const std::string& problem() const { return problem_; }

  bool null() override { return add(nullptr) != nullptr; }
  bool boolean(bool value) override { return add(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t&) override { return add(value) != nullptr; }
  bool string(string_t& value) override { return add(std::move(value)) != nullptr; }
  bool binary(binary_t&) override { return fail({"binary data"}); }

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    const auto [slot, added] = open_.back()->get_ref<Json::object_t&>().try_emplace(std::move(value), nullptr);
    if (!added) return fail({"the key '", slot->first, "' appears twice in one object"});
    slot_ = &slot->second;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return fail({"not valid JSON at byte ", position});
  }

 private:
  bool fail(Parts problem) {
    problem_ = text_of(problem);
    return false;
  }

  template <class Value>
  Json* add(Value&& value) {
    if (++values_ > limits_.values) {
      fail({"more than ", limits_.values, " values"});
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::forward<Value>(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      return &open_.back()->get_ref<Json::array_t&>().emplace_back(std::forward<Value>(value));
    }
    *slot_ = std::forward<Value>(value);
    return slot_;
  }

  bool open(Json&& container) {
    if (static_cast<int>(open_.size()) >= limits_.depth) {
      return fail({"nested deeper than ", limits_.depth});
    }
    Json* added = add(std::move(container));
    if (added == nullptr) return false;
    open_.push_back(added);
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  Json& root_;
  const JsonLimits limits_;
  // Containers being filled. A parent does not grow while a child is open, so the pointers stay valid.
  std::vector<Json*> open_;
  Json* slot_ = nullptr;  // where the value of the last key goes
  int64_t values_ = 0;
  std::string problem_;
};

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& what, const JsonLimits& limits, Status status) {
  Json root;
  Builder builder(root, limits);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    throw_error(status, {what, ": ", builder.problem()});
  }
  return root;
}

}  // namespace anyon
