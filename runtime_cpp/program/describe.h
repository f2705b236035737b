// Names of types and shapes as programs write them, for parsing and for messages.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/tensor.h"

namespace anyon {

// "f32", "f16", "bf16", "f64", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64" or "bool".
const char* dtype_text(DType dtype);
std::optional<DType> dtype_from_text(std::string_view text);

// "[2, 3]".
std::string shape_text(const Shape& shape);

}  // namespace anyon
