// The attributes of one ONNX node as the manifest states them, read by type.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/status.h"
#include "graph/tensor.h"

namespace anyon::graph {

struct Block;

using Attribute = std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                               std::vector<std::string>, Tensor, std::shared_ptr<const Block>>;

// Every getter gives `otherwise` for an attribute that is absent and throws Error(kBadProgram) for one of another type.
class Attributes {
 public:
  void add(std::string name, Attribute value) { items_.emplace_back(std::move(name), std::move(value)); }

  bool has(std::string_view name) const { return find(name) != nullptr; }
  int64_t integer(std::string_view name, int64_t otherwise) const;
  bool flag(std::string_view name, bool otherwise = false) const { return integer(name, otherwise ? 1 : 0) != 0; }
  double number(std::string_view name, double otherwise) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  std::span<const int64_t> integers(std::string_view name) const;
  std::vector<double> numbers(std::string_view name) const;
  std::span<const std::string> texts(std::string_view name) const;
  const Tensor* tensor(std::string_view name) const;
  // Throws when it is absent: a control flow op has its blocks.
  const Block& block(std::string_view name) const;

 private:
  const Attribute* find(std::string_view name) const;
  template <class T>
  const T* get(std::string_view name, const char* kind) const {
    const Attribute* found = find(name);
    if (found == nullptr) return nullptr;
    const T* value = std::get_if<T>(found);
    if (value == nullptr) wrong(name, kind);
    return value;
  }
  [[noreturn]] static void wrong(std::string_view name, const char* kind);

  std::vector<std::pair<std::string, Attribute>> items_;
};

}  // namespace anyon::graph
