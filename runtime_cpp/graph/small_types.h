// Types narrower than a byte, and floats of 8 and 4 bits: their values lie in tensors of a wider type, so that only
// the ops that round to them know them.
#pragma once

#include <optional>
#include <string_view>

#include "core/tensor.h"

namespace anyon::graph {

// A set of values and the dtype of the tensors that hold them.
struct ValueType {
  DType storage = DType::kF32;
  int integer_bits = 0;  // of a narrow integer: 2 or 4
  bool is_signed = false;
  // Of a narrow float; mantissa_bits < 0 for everything else.
  int mantissa_bits = -1;
  int min_exponent = 0;  // of normal numbers
  float largest = 0;
  bool has_infinity = false;
  bool has_nan = true;
  bool power_of_two = false;  // f8e8m0: no sign and no zero
};

// "f32" ... "bool"; "i4", "u4", "i2", "u2"; "f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz", "f8e8m0", "f4e2m1".
std::optional<ValueType> value_type_from_text(std::string_view text);

enum class RoundMode { kUp, kDown, kNearest };

// The nearest value of a narrow float type. Beyond the largest: that when `saturate`, else infinity or NaN.
float round_to(const ValueType& type, float x, bool saturate, RoundMode mode = RoundMode::kUp);

// The integer with its higher bits dropped.
int64_t wrap_to(const ValueType& type, int64_t x);

// Least and greatest value of an integer type.
int64_t least_of(const ValueType& type);
int64_t greatest_of(const ValueType& type);

}  // namespace anyon::graph
