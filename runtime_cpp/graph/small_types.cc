// Rounding to a float of few bits: a multiple of the last place of the exponent x has.
#include "graph/small_types.h"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "program/describe.h"

namespace anyon::graph {
namespace {

ValueType narrow_integer(int bits, bool is_signed) {
  return {is_signed ? DType::kI8 : DType::kU8, bits, is_signed};
}

ValueType narrow_float(int mantissa_bits, int min_exponent, float largest, bool has_infinity) {
  ValueType type;
  type.mantissa_bits = mantissa_bits;
  type.min_exponent = min_exponent;
  type.largest = largest;
  type.has_infinity = has_infinity;
  return type;
}

// OCP 8-bit floating point, and "8-bit numerical formats for deep neural networks" (arXiv 2206.02915) for fnuz.
float round_power_of_two(float x, bool saturate, RoundMode mode) {
  constexpr float kLeast = 0x1p-127f, kMost = 0x1p127f, kNan = std::numeric_limits<float>::quiet_NaN();
  if (std::isnan(x) || x < 0) return kNan;
  if (std::isinf(x)) return saturate ? kMost : kNan;
  if (x < kLeast) return saturate || (x > 0 && mode == RoundMode::kUp) ? kLeast : kNan;
  const float below = std::ldexp(1.0f, std::ilogb(x));
  if (below == x) return x;
  const bool up = mode == RoundMode::kUp || (mode == RoundMode::kNearest && x >= 1.5f * below);
  if (!up) return below;
  return below == kMost ? (saturate ? kMost : kNan) : 2 * below;
}

}  // namespace

std::optional<ValueType> value_type_from_text(std::string_view text) {
  if (const std::optional<DType> dtype = dtype_from_text(text)) {
    ValueType type;
    type.storage = *dtype;
    return type;
  }
  if (text == "i4") return narrow_integer(4, true);
  if (text == "u4") return narrow_integer(4, false);
  if (text == "i2") return narrow_integer(2, true);
  if (text == "u2") return narrow_integer(2, false);
  if (text == "f8e4m3fn") return narrow_float(3, -6, 448, false);
  if (text == "f8e4m3fnuz") return narrow_float(3, -7, 240, false);
  if (text == "f8e5m2") return narrow_float(2, -14, 57344, true);
  if (text == "f8e5m2fnuz") return narrow_float(2, -15, 57344, false);
  if (text == "f4e2m1") {
    ValueType type = narrow_float(1, 0, 6, false);
    type.has_nan = false;
    return type;
  }
  if (text == "f8e8m0") {
    ValueType type = narrow_float(0, -127, 0x1p127f, false);
    type.power_of_two = true;
    return type;
  }
  return std::nullopt;
}

float round_to(const ValueType& type, float x, bool saturate, RoundMode mode) {
  if (type.power_of_two) return round_power_of_two(x, saturate, mode);
  const float beyond = saturate || !type.has_nan ? type.largest
                       : type.has_infinity       ? std::numeric_limits<float>::infinity()
                                                 : std::numeric_limits<float>::quiet_NaN();
  if (std::isnan(x)) return type.has_nan ? x : -0.0f;  // as ml_dtypes, by which ONNX is tested
  if (std::isinf(x)) return std::copysign(beyond, x);
  const int exponent = x == 0 ? type.min_exponent : std::max(std::ilogb(x), type.min_exponent);
  const float place = std::ldexp(1.0f, exponent - type.mantissa_bits);
  const float rounded = std::nearbyint(x / place) * place;
  return std::fabs(rounded) > type.largest ? std::copysign(beyond, x) : rounded;
}

int64_t wrap_to(const ValueType& type, int64_t x) {
  const int shift = 64 - type.integer_bits;
  const auto moved = static_cast<uint64_t>(x) << shift;
  return type.is_signed ? static_cast<int64_t>(moved) >> shift : static_cast<int64_t>(moved >> shift);
}

int64_t least_of(const ValueType& type) {
  if (type.integer_bits != 0) return type.is_signed ? -(int64_t{1} << (type.integer_bits - 1)) : 0;
  switch (type.storage) {
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
    case DType::kI64:
      return std::numeric_limits<int64_t>::min() >> (64 - 8 * size_of(type.storage));
    default:
      return 0;
  }
}

int64_t greatest_of(const ValueType& type) {
  if (type.integer_bits != 0) return (int64_t{1} << (type.integer_bits - (type.is_signed ? 1 : 0))) - 1;
  const int64_t least = least_of(type);
  if (least != 0) return -(least + 1);
  const int64_t bits = 8 * size_of(type.storage);
  return bits == 64 ? std::numeric_limits<int64_t>::max() : (int64_t{1} << bits) - 1;
}

}  // namespace anyon::graph
