// Looking attributes up: nodes have few, so a walk is the fastest way.
#include "graph/attributes.h"

namespace anyon::graph {

const Attribute* Attributes::find(std::string_view name) const {
  for (const auto& [known, value] : items_) {
    if (known == name) return &value;
  }
  return nullptr;
}

void Attributes::wrong(std::string_view name, const char* kind) {
  throw_error(Status::kBadProgram, {"attribute '", name, "' is not ", kind});
}

int64_t Attributes::integer(std::string_view name, int64_t otherwise) const {
  const auto* value = get<int64_t>(name, "a whole number");
  return value == nullptr ? otherwise : *value;
}

double Attributes::number(std::string_view name, double otherwise) const {
  const Attribute* found = find(name);
  if (found == nullptr) return otherwise;
  if (const auto* whole = std::get_if<int64_t>(found)) return static_cast<double>(*whole);
  return *get<double>(name, "a number");
}

std::string Attributes::text(std::string_view name, std::string_view otherwise) const {
  const auto* value = get<std::string>(name, "text");
  return value == nullptr ? std::string(otherwise) : *value;
}

std::span<const int64_t> Attributes::integers(std::string_view name) const {
  const auto* value = get<std::vector<int64_t>>(name, "a list of whole numbers");
  return value == nullptr ? std::span<const int64_t>() : *value;
}

std::vector<double> Attributes::numbers(std::string_view name) const {
  const Attribute* found = find(name);
  if (found == nullptr) return {};
  if (const auto* whole = std::get_if<std::vector<int64_t>>(found)) return {whole->begin(), whole->end()};
  return *get<std::vector<double>>(name, "a list of numbers");
}

std::span<const std::string> Attributes::texts(std::string_view name) const {
  const Attribute* found = find(name);
  // An empty list has no type.
  if (found == nullptr || std::holds_alternative<std::vector<int64_t>>(*found)) return {};
  return *get<std::vector<std::string>>(name, "a list of texts");
}

const Tensor* Attributes::tensor(std::string_view name) const {
  return get<Tensor>(name, "a tensor");
}

const Block& Attributes::block(std::string_view name) const {
  const auto* value = get<std::shared_ptr<const Block>>(name, "a graph");
  if (value == nullptr) throw_error(Status::kBadProgram, {"attribute '", name, "' is missing"});
  return **value;
}

}  // namespace anyon::graph
