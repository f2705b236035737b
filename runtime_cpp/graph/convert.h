// Element types: the few wide ones that ops compute in, and conversion between any two.
//
// 16-bit floats are computed as float and rounded at the end; integers and bools as int64, which holds them exactly,
// and uint64 as itself. So an op is compiled for four types, not for thirteen.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/tensor.h"

namespace anyon::graph {

constexpr DType wide(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
      return DType::kF32;
    case DType::kF64:
    case DType::kU64:
      return dtype;
    default:
      return DType::kI64;
  }
}

constexpr bool is_float(DType dtype) {
  return wide(dtype) == DType::kF32 || dtype == DType::kF64;
}

// Calls fn with a value of the C++ type of a wide dtype.
template <class F>
decltype(auto) with_wide(DType dtype, F&& fn) {
  switch (dtype) {
    case DType::kF32:
      return fn(float{});
    case DType::kF64:
      return fn(double{});
    case DType::kU64:
      return fn(uint64_t{});
    default:
      return fn(int64_t{});
  }
}

// Calls fn with an unsigned integer of as many bytes as the element has: for ops that only move elements.
template <class F>
decltype(auto) with_bytes(DType dtype, F&& fn) {
  switch (size_of(dtype)) {
    case 8:
      return fn(uint64_t{});
    case 4:
      return fn(uint32_t{});
    case 2:
      return fn(uint16_t{});
    default:
      return fn(uint8_t{});
  }
}

// static_cast where it is defined. Floats become integers by truncation; NaN becomes 0, what is out of range the
// nearest integer (a negative one of an unsigned type wraps around, as on the way to a narrower type).
template <class To, class From>
To number_cast(From x) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (std::isnan(x)) return 0;
    constexpr auto kEnd = static_cast<From>(std::is_signed_v<To> ? 0x1p63 : 0x1p64);
    if (x >= kEnd) return std::numeric_limits<To>::max();
    if constexpr (std::is_signed_v<To>) {
      if (x < -kEnd) return std::numeric_limits<To>::min();
    } else {
      if (x < 0) return static_cast<To>(number_cast<int64_t>(x));
    }
  }
  return static_cast<To>(x);
}

// y = x converted; the same number of elements. Integers wrap around, and anything but 0 becomes true.
void convert(const TensorView& x, const TensorView& y);

float from_half(uint16_t x);
float from_bfloat16(uint16_t x);
// To the nearest, ties to even.
uint16_t to_half(float x);
uint16_t to_bfloat16(float x);

}  // namespace anyon::graph
