// Random numbers that depend on nothing but a seed and a counter, so that sampling can be repeated anywhere.
#pragma once

#include <cstdint>

namespace anyon {

// SplitMix64 (Steele, Lea, Flood 2014): a bijection whose output passes the usual tests for consecutive inputs.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// A seed for one of several independent streams.
constexpr uint64_t stream_seed(uint64_t seed, uint64_t stream) {
  return mix64(mix64(seed) ^ (stream + 1));
}

// Uniform in [0, 1), a multiple of 2^-53.
constexpr double uniform(uint64_t seed, uint64_t counter) {
  return static_cast<double>(mix64(stream_seed(seed, counter)) >> 11) * 0x1.0p-53;
}

}  // namespace anyon
