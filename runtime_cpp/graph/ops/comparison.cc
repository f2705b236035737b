// Comparison, logic, and choice between two tensors, with numpy broadcasting.
#include <cstring>

#include "graph/map.h"

namespace anyon::graph {
namespace {

template <class F>
void compare(Run& run, F f) {
  if (run.input(0).dtype != run.input(1).dtype) run.fail({"its inputs are of different types"});
  const Tensor a = run.wide_input(0), b = run.wide_input(1);
  const std::array<Shape, 2> shapes = {a.shape, b.shape};
  const Tensor y = run.make(0, DType::kBool, broadcast(shapes));
  with_wide(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    map_pairs<T, bool>(run.pool(), a, b, y, f);
  });
}

void equal(Run& run) {
  compare(run, [](auto a, auto b) { return a == b; });
}
void greater(Run& run) {
  compare(run, [](auto a, auto b) { return a > b; });
}
void greater_or_equal(Run& run) {
  compare(run, [](auto a, auto b) { return a >= b; });
}
void less(Run& run) {
  compare(run, [](auto a, auto b) { return a < b; });
}
void less_or_equal(Run& run) {
  compare(run, [](auto a, auto b) { return a <= b; });
}
void and_op(Run& run) {
  compare(run, [](auto a, auto b) { return a != 0 && b != 0; });
}
void or_op(Run& run) {
  compare(run, [](auto a, auto b) { return a != 0 || b != 0; });
}
void xor_op(Run& run) {
  compare(run, [](auto a, auto b) { return (a != 0) != (b != 0); });
}

void where(Run& run) {
  const Tensor &condition = run.input(0), &a = run.input(1), &b = run.input(2);
  if (a.dtype != b.dtype) run.fail({"its two choices are of different types"});
  if (condition.dtype != DType::kBool) run.fail({"its condition is not bool"});
  const std::array<Shape, 3> shapes = {condition.shape, a.shape, b.shape};
  const Tensor y = run.make(0, a.dtype, broadcast(shapes));
  const Broadcast walk(y.shape, shapes);
  with_bytes(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const int64_t c_step = walk.step(0), a_step = walk.step(1), b_step = walk.step(2);
    walk.for_each_row(run.pool(), [&](int64_t first, const int64_t* offsets, int64_t n) {
      const auto* c = condition.as<const uint8_t>() + offsets[0];
      const T* p = a.as<const T>() + offsets[1];
      const T* q = b.as<const T>() + offsets[2];
      T* out = y.as<T>() + first;
      for (int64_t i = 0; i < n; ++i) out[i] = c[i * c_step] != 0 ? p[i * a_step] : q[i * b_step];
    });
  });
}

constexpr OpRow kRows[] = {
    {"And", 7, 2, 2, 1, and_op, ""},      {"Equal", 7, 2, 2, 1, equal, ""},
    {"Greater", 7, 2, 2, 1, greater, ""}, {"GreaterOrEqual", 12, 2, 2, 1, greater_or_equal, ""},
    {"Less", 7, 2, 2, 1, less, ""},       {"LessOrEqual", 12, 2, 2, 1, less_or_equal, ""},
    {"Or", 7, 2, 2, 1, or_op, ""},        {"Where", 9, 3, 3, 1, where, ""},
    {"Xor", 7, 2, 2, 1, xor_op, ""},
};

}  // namespace

extern const std::span<const OpRow> comparison_ops;
constinit const std::span<const OpRow> comparison_ops = kRows;

}  // namespace anyon::graph
