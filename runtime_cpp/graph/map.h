// Walks over elements that several groups of ops share: a function of one, two or three operands.
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>

#include "graph/broadcast.h"
#include "graph/convert.h"
#include "graph/run.h"

namespace anyon::graph {

inline constexpr int64_t kMapGrain = 1 << 14;

// y[i] = f(x[i]).
template <class T, class R, class F>
void map_elements(ThreadPool& pool, const T* x, R* y, int64_t n, F f) {
  parallel_for(pool, n, kMapGrain, [=](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
  });
}

// y = f(a, b) with broadcasting; y is dense.
template <class T, class R, class F>
void map_pairs(ThreadPool& pool, const Tensor& a, const Tensor& b, const Tensor& y, F f) {
  const std::array<Shape, 2> shapes = {a.shape, b.shape};
  const Broadcast walk(y.shape, shapes);
  const bool a_steps = walk.step(0) != 0, b_steps = walk.step(1) != 0;
  walk.for_each_row(pool, [&](int64_t first, const int64_t* offsets, int64_t n) {
    const T* p = a.as<const T>() + offsets[0];
    const T* q = b.as<const T>() + offsets[1];
    R* out = y.as<R>() + first;
    if (a_steps && b_steps) {
      for (int64_t i = 0; i < n; ++i) out[i] = f(p[i], q[i]);
    } else if (a_steps) {
      for (int64_t i = 0; i < n; ++i) out[i] = f(p[i], *q);
    } else if (b_steps) {
      for (int64_t i = 0; i < n; ++i) out[i] = f(*p, q[i]);
    } else {
      std::fill_n(out, n, static_cast<R>(f(*p, *q)));
    }
  });
}

// Arithmetic of integers wraps around; the hardware's does, C++'s signed one is undefined.
template <class T>
T plus(T a, T b) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  return a + b;
}
template <class T>
T minus(T a, T b) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  return a - b;
}
template <class T>
T times(T a, T b) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  return a * b;
}

}  // namespace anyon::graph
