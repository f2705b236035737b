// Shared by the kernel tests: a printed, replayable seed, guarded buffers, and the rows that this machine can run.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/isa.h"

namespace anyon::testing {

// Half a unit in the last place of 1.0f: the largest relative error of one rounding.
inline constexpr double kEps = std::numeric_limits<float>::epsilon() / 2;

// Random shapes and values. The seed is new in each run and shown with every failure; ANYON_TEST_SEED replays one.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int64_t between(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine_); }
  bool coin() { return between(0, 1) == 1; }
  int64_t one_of(std::initializer_list<int64_t> values) {
    return values.begin()[between(0, static_cast<int64_t>(values.size()) - 1)];
  }
  std::vector<float> floats(int64_t count, float low = -1.0f, float high = 1.0f) {
    std::uniform_real_distribution<float> uniform(low, high);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = uniform(engine_);
    return values;
  }

 private:
  std::mt19937_64 engine_;
};

inline uint64_t test_seed() {
  static const uint64_t seed = [] {
    const char* text = std::getenv("ANYON_TEST_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : uint64_t{std::random_device{}()};
  }();
  return seed;
}

#define ANYON_TRACE_SEED() SCOPED_TRACE("replay with ANYON_TEST_SEED=" + std::to_string(::anyon::testing::test_seed()))

// A float that no kernel produces: marks memory that must stay untouched.
inline constexpr float kCanary = -98765.4375f;

template <class Row>
std::vector<Row> runnable(std::span<const Row> rows) {
  const std::vector<Isa> isas = supported_isas();
  std::vector<Row> chosen;
  for (const Row& row : rows) {
    if (std::find(isas.begin(), isas.end(), row.isa) != isas.end()) chosen.push_back(row);
  }
  return chosen;
}

inline std::vector<float> absolute(std::vector<float> values) {
  for (float& value : values) value = std::fabs(value);
  return values;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float p, float q) {
           return p == q || (std::isnan(p) && std::isnan(q));
         });
}

}  // namespace anyon::testing
