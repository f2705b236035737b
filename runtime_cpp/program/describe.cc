// The table of dtype names.
#include "program/describe.h"

#include <array>
#include <utility>

namespace anyon {
namespace {

constexpr std::array<std::pair<DType, const char*>, 13> kNames = {{{DType::kF32, "f32"},
                                                                   {DType::kF16, "f16"},
                                                                   {DType::kBF16, "bf16"},
                                                                   {DType::kF64, "f64"},
                                                                   {DType::kI8, "i8"},
                                                                   {DType::kU8, "u8"},
                                                                   {DType::kI16, "i16"},
                                                                   {DType::kU16, "u16"},
                                                                   {DType::kI32, "i32"},
                                                                   {DType::kU32, "u32"},
                                                                   {DType::kI64, "i64"},
                                                                   {DType::kU64, "u64"},
                                                                   {DType::kBool, "bool"}}};

}  // namespace

const char* dtype_text(DType dtype) {
  for (const auto& [known, name] : kNames) {
    if (known == dtype) return name;
  }
  return "unknown";
}

std::optional<DType> dtype_from_text(std::string_view text) {
  for (const auto& [dtype, name] : kNames) {
    if (text == name) return dtype;
  }
  return std::nullopt;
}

std::string shape_text(const Shape& shape) {
  std::string text = "[";
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axis != 0) text += ", ";
    text += std::to_string(shape[axis]);
  }
  return text + "]";
}

}  // namespace anyon
