// Differential cases of fuzz_kernels: each draws a shape and attributes from the input and compares every ISA of this
// machine with the scalar kernels, within twice the tolerance that the kernel's own test allows against the reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "choices.h"
#include "core/arena.h"
#include "core/isa.h"
#include "core/threads.h"

namespace anyon::fuzzing {

inline constexpr double kEps = 0x1p-24;         // half a unit in the last place of 1.0f
inline constexpr float kCanary = -98765.4375f;  // marks memory that must stay untouched

void linear_case(Choices& choices, ThreadPool& pool);
void linear_i8_case(Choices& choices, ThreadPool& pool);
void linear_i4_case(Choices& choices, ThreadPool& pool);
void attention_case(Choices& choices, ThreadPool& pool);
void attention_i8_case(Choices& choices, ThreadPool& pool);
void conv1d_case(Choices& choices, ThreadPool& pool);
void softmax_case(Choices& choices, ThreadPool& pool);
void layer_norm_case(Choices& choices, ThreadPool& pool);
void unary_case(Choices& choices, ThreadPool& pool);
void binary_case(Choices& choices, ThreadPool& pool);
void half_case(Choices& choices, ThreadPool& pool);

[[noreturn]] inline void finding(const char* kernel, size_t at, double actual, double expected, double bound) {
  std::fprintf(stderr, "%s: element %zu is %.9g, scalar has %.9g, allowed %.3g\n", kernel, at, actual, expected, bound);
  std::abort();
}

// NaN agrees with NaN alone, an infinity with itself.
inline void expect_near(const char* kernel, size_t at, float actual, float expected, double bound) {
  if (actual == expected || (std::isnan(actual) && std::isnan(expected))) return;
  if (!(std::fabs(double{actual} - double{expected}) <= bound)) finding(kernel, at, actual, expected, bound);
}

inline std::vector<float> magnitudes_of(std::vector<float> values) {
  for (float& value : values) value = std::fabs(value);
  return values;
}

}  // namespace anyon::fuzzing
