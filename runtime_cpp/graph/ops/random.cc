// Random numbers. Without a seed they come from the session's own stream, which begins the same way in every session.
#include <cmath>
#include <numbers>

#include "graph/convert.h"
#include "graph/run.h"
#include "program/describe.h"

namespace anyon::graph {
namespace {

// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
uint64_t next(uint64_t& state) {
  state += 0x9e3779b97f4a7c15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// In [0, 1), 53 bits.
double uniform(uint64_t& state) {
  return static_cast<double>(next(state) >> 11) * 0x1p-53;
}

// Box and Muller.
double normal(uint64_t& state) {
  const double radius = std::sqrt(-2 * std::log(1 - uniform(state)));
  return radius * std::cos(2 * std::numbers::pi * uniform(state));
}

template <class Draw>
void fill(Run& run, const Shape& shape, DType otherwise, Draw draw) {
  DType dtype = otherwise;
  if (run.attributes().has("dtype")) {
    const std::string name = run.attributes().text("dtype", "");
    const std::optional<DType> known = dtype_from_text(name);
    if (!known || !is_float(*known)) run.unsupported({"the type '", name, "'"});
    dtype = *known;
  }
  uint64_t own = static_cast<uint64_t>(number_cast<int64_t>(run.attributes().number("seed", 0) * 1024));
  uint64_t& state = run.attributes().has("seed") ? own : run.random_state();
  const Tensor y = run.scratch(DType::kF64, shape);
  for (int64_t i = 0; i < y.elements(); ++i) y.as<double>()[i] = draw(state);
  run.give(0, y, dtype);
}

template <class Draw>
void of_shape(Run& run, Draw draw) {
  fill(run, Shape(run.attributes().integers("shape")), DType::kF32, draw);
}

template <class Draw>
void like(Run& run, Draw draw) {
  const Tensor& x = run.input(0);
  fill(run, x.shape, is_float(x.dtype) ? x.dtype : DType::kF32, draw);
}

auto normal_of(const Run& run) {
  const double mean = run.attributes().number("mean", 0), scale = run.attributes().number("scale", 1);
  return [mean, scale](uint64_t& state) { return mean + scale * normal(state); };
}

auto uniform_of(const Run& run) {
  const double low = run.attributes().number("low", 0), high = run.attributes().number("high", 1);
  return [low, high](uint64_t& state) { return low + (high - low) * uniform(state); };
}

void random_normal(Run& run) {
  of_shape(run, normal_of(run));
}
void random_normal_like(Run& run) {
  like(run, normal_of(run));
}
void random_uniform(Run& run) {
  of_shape(run, uniform_of(run));
}
void random_uniform_like(Run& run) {
  like(run, uniform_of(run));
}

constexpr OpRow kRows[] = {
    {"RandomNormal", 1, 0, 0, 1, random_normal, "dtype mean scale seed shape"},
    {"RandomNormalLike", 1, 1, 1, 1, random_normal_like, "dtype mean scale seed"},
    {"RandomUniform", 1, 0, 0, 1, random_uniform, "dtype high low seed shape"},
    {"RandomUniformLike", 1, 1, 1, 1, random_uniform_like, "dtype high low seed"},
};

}  // namespace

extern const std::span<const OpRow> random_ops;
constinit const std::span<const OpRow> random_ops = kRows;

}  // namespace anyon::graph
