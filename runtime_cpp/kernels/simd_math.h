// exp, GELU and the like over simd.h's vocabulary. Coefficients are minimax fits made for this project; the errors
// stated were measured against double precision over the whole range.
#pragma once

#include "kernels/simd.h"

namespace anyon::ANYON_SIMD {

// 2^r for r in [-0.5, 0.5]; relative error 9e-8, exactly 1 at 0.
inline Vec exp2_fraction(Vec r) {
  Vec p = set1(0.0013264727f);
  p = fma(p, r, set1(0.009671513f));
  p = fma(p, r, set1(0.055507336f));
  p = fma(p, r, set1(0.24022242f));
  p = fma(p, r, set1(0.693147f));
  return fma(p, r, set1(1.0f));
}

// Adding this to a number in (-2^22, 2^22) rounds it to an integer n and leaves n + 127, a float's exponent, in the low
// bits of the sum.
inline constexpr float kRoundToExponent = 12582912.0f + 127.0f;

// 2^x for x <= 127, relative error 2e-7; below -126.5 it is exactly 0, so that -inf masks. NaN stays NaN.
inline Vec exp2_to_127(Vec x) {
  x = max(set1(-127.0f), x);
  const Vec shifted = add(x, set1(kRoundToExponent));
  const Vec n = sub(shifted, set1(kRoundToExponent));
  return mul(exp2_fraction(sub(x, n)), shift_to_exponent(shifted));
}

inline constexpr float kLog2E = 1.44269504f;

// e^x, relative error 2e-7; 0 below -87 (values under 1.7e-38), infinite above 88.72. NaN stays NaN.
inline Vec exp(Vec x) {
  x = min(set1(89.0f), max(set1(-87.6f), x));
  // One less in the exponent, doubled at the end, so that 2^127 * 1.9 does not overflow on the way.
  const Vec shifted = fma(x, set1(kLog2E), set1(kRoundToExponent - 1.0f));
  const Vec n = sub(shifted, set1(kRoundToExponent - 1.0f));
  Vec r = fnma(n, set1(0.693359375f), x);  // ln 2 in two parts, the first with few bits so that the product is exact
  r = fnma(n, set1(-2.12194440e-4f), r);
  const Vec p = exp2_fraction(mul(r, set1(kLog2E)));
  return mul(mul(p, shift_to_exponent(shifted)), set1(2.0f));
}

inline Vec sigmoid(Vec x) {
  return div(set1(1.0f), add(set1(1.0f), exp(sub(zero(), x))));
}

inline Vec silu(Vec x) {
  return mul(x, sigmoid(x));
}

inline Vec relu(Vec x) {
  return max(zero(), x);
}

// x * Phi(x) = max(x, 0) - t * Q(t) with t = |x| and Q the Gaussian tail. -log2 Q is so smooth that a polynomial of
// degree 9 holds it to 8 standard deviations, beyond which t * Q(t) < 1e-14. Absolute error 1.1e-7 for x < 0, and the
// rounding of the result for x > 0.
inline Vec gelu(Vec x) {
  const Vec t = min(set1(8.0f), abs(x));
  Vec p = set1(3.445653e-08f);
  p = fma(p, t, set1(-1.0530155e-06f));
  p = fma(p, t, set1(1.1458026e-05f));
  p = fma(p, t, set1(-2.750899e-05f));
  p = fma(p, t, set1(-0.0005901695f));
  p = fma(p, t, set1(0.0077658934f));
  p = fma(p, t, set1(-0.053079184f));
  p = fma(p, t, set1(-0.45897335f));
  p = fma(p, t, set1(-1.1511395f));
  p = fma(p, t, set1(-1.0f));
  return fnma(t, exp2_to_127(p), relu(x));
}

// 0.5 x (1 + tanh(u)) = x * sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3).
inline Vec gelu_tanh(Vec x) {
  const Vec u = mul(x, fma(mul(x, x), set1(0.0713548162726f), set1(1.59576912161f)));
  return mul(x, sigmoid(u));
}

// Odd polynomial near 0, where 1 - 2 / (e^2x + 1) would cancel. Relative error 3e-7.
inline Vec tanh(Vec x) {
  const Vec t = abs(x);
  const Vec square = mul(x, x);
  Vec p = set1(-0.0055286344f);
  p = fma(p, square, set1(0.020483317f));
  p = fma(p, square, set1(-0.053692967f));
  p = fma(p, square, set1(0.13330899f));
  p = fma(p, square, set1(-0.33333263f));
  const Vec near = fma(mul(p, square), x, x);
  const Vec size = sub(set1(1.0f), div(set1(2.0f), add(exp(add(t, t)), set1(1.0f))));
  const Vec far = select_less(x, zero(), sub(zero(), size), size);
  return select_less(t, set1(0.65f), near, far);
}

}  // namespace anyon::ANYON_SIMD
