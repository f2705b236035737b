// Arithmetic over one row of logits, as the loops need it for every token: maximum, sum of exponentials, top k.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "core/isa.h"

namespace anyon {

inline constexpr float kNegativeInfinity = -std::numeric_limits<float>::infinity();

struct Peak {
  int64_t index = -1;  // the first of equal values; -1 when the row is empty, all -inf or NaN
  float value = kNegativeInfinity;
};

struct Scored {
  int32_t index = -1;
  float value = kNegativeInfinity;
};

// The functions for one ISA. Every ISA sums in the same order, so all of them give the same bits.
struct RowMath {
  // Largest value of x[0..n) and where it first stands. NaN is never the largest.
  Peak (*peak)(const float* x, int64_t n);
  // Sum of exp(x[i] - shift); pass the maximum as shift. Terms below 2^-126 count as 0; relative error < 1e-6.
  double (*sum_exp)(const float* x, int64_t n, float shift);
  // The k largest values of x[0..n), largest first, equal values in order of their index; -inf and NaN are left out.
  // Returns how many were written to out[0..k).
  int (*top_k)(const float* x, int64_t n, int k, Scored* out);
  // y[i] = sum over d of a[d] * rows[i * stride + d], for i in [0, n).
  void (*dot_rows)(const float* a, const float* rows, int64_t stride, int64_t n, int64_t width, float* y);
  // y[i] = exp((x[i] - shift) * scale) for x[i] <= shift and scale > 0; x and y may be the same.
  void (*exp_row)(const float* x, int64_t n, float shift, float scale, float* y);
};

const RowMath& row_math(Isa isa);

}  // namespace anyon
