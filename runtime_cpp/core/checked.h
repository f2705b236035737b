// Arithmetic on sizes that come from outside: false instead of overflow, so that no pointer is formed from a lie.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace anyon {

[[nodiscard]] inline bool checked_add(int64_t a, int64_t b, int64_t* sum) {
  return !__builtin_add_overflow(a, b, sum);
}

[[nodiscard]] inline bool checked_mul(int64_t a, int64_t b, int64_t* product) {
  return !__builtin_mul_overflow(a, b, product);
}

// Bytes of a dense tensor; false when a dim is negative or the count does not fit 63 bits.
// A zero among the dims does not excuse an overflow among the others.
[[nodiscard]] inline bool checked_bytes(const Shape& shape, DType dtype, int64_t* bytes) {
  int64_t product = size_of(dtype);
  bool empty = false;
  for (int64_t dim : shape.dims()) {
    if (dim < 0) return false;
    if (dim == 0) {
      empty = true;
    } else if (!checked_mul(product, dim, &product)) {
      return false;
    }
  }
  *bytes = empty ? 0 : product;
  return true;
}

// Rounds up to a multiple of `alignment` (a power of two); false on overflow.
[[nodiscard]] inline bool checked_round_up(int64_t value, int64_t alignment, int64_t* rounded) {
  if (!checked_add(value, alignment - 1, rounded)) return false;
  *rounded &= ~(alignment - 1);
  return true;
}

}  // namespace anyon
