// Products of matrices: floats through linear's kernels, everything else in plain loops.
#include <cmath>
#include <cstring>

#include "graph/map.h"
#include "graph/product.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

// y (m, n) += a (m, k) b (k, n), dense.
template <class T>
void multiply_plain(const T* a, const T* b, T* y, int64_t m, int64_t n, int64_t k) {
  std::fill_n(y, m * n, T{0});
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t p = 0; p < k; ++p) {
      const T factor = a[i * k + p];
      for (int64_t j = 0; j < n; ++j) y[i * n + j] = plus(y[i * n + j], times(factor, b[p * n + j]));
    }
  }
}

// The shapes of a stack of products, a row or column of one dimension counted as a matrix.
struct Stack {
  Shape batch_a, batch_b, batch;
  int64_t m = 1, n = 1, k = 0;
  Shape result;

  Stack(const Run& run, Shape a, Shape b) {
    if (a.rank() < 1 || b.rank() < 1) run.fail({"a factor is a single number"});
    const bool row = a.rank() == 1, column = b.rank() == 1;
    if (row) a = {1, a[0]};
    if (column) b = {b[0], 1};
    m = a[a.rank() - 2];
    k = a[a.rank() - 1];
    n = b[b.rank() - 1];
    if (b[b.rank() - 2] != k) {
      run.fail({"factors with ", k, " columns and ", b[b.rank() - 2], " rows"});
    }
    batch_a = Shape(a.dims().first(static_cast<size_t>(a.rank() - 2)));
    batch_b = Shape(b.dims().first(static_cast<size_t>(b.rank() - 2)));
    const std::array<Shape, 2> shapes = {batch_a, batch_b};
    batch = broadcast(shapes);
    std::vector<int64_t> dims(batch.dims().begin(), batch.dims().end());
    if (!row) dims.push_back(m);
    if (!column) dims.push_back(n);
    result = Shape(std::span<const int64_t>(dims));
  }

  // Calls product(which a, which b, which y).
  void for_each(FunctionRef<void(int64_t, int64_t, int64_t)> product) const {
    const std::array<Shape, 2> shapes = {batch_a, batch_b};
    const Broadcast walk(batch, shapes);
    ThreadPool alone(1);
    walk.for_each_row(alone, [&](int64_t first, const int64_t* offsets, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        product(offsets[0] + i * walk.step(0), offsets[1] + i * walk.step(1), first + i);
      }
    });
  }
};

template <class T>
Tensor multiply_stack(Run& run, const Stack& stack, const Tensor& a, const Tensor& b) {
  const Tensor y = run.scratch(a.dtype, stack.result);
  const int64_t m = stack.m, n = stack.n, k = stack.k;
  stack.for_each([&](int64_t which_a, int64_t which_b, int64_t which_y) {
    multiply_plain(a.as<const T>() + which_a * m * k, b.as<const T>() + which_b * k * n, y.as<T>() + which_y * m * n, m,
                   n, k);
  });
  return y;
}

// A weight is converted and packed once for the session.
Tensor multiply_floats(Run& run, const Stack& stack, const Tensor& a) {
  const Tensor y = run.scratch(DType::kF32, stack.result);
  const int64_t m = stack.m, n = stack.n, k = stack.k, matrix = (n + 15) / 16 * 16 * k;
  const Tensor packed = run.derived(1, [&] {
    const Tensor b = run.wide_input(1);
    const int64_t count = stack.batch_b.elements();
    if (count == 1) return pack_columns(run, b.as<const float>(), k, n, n, 1);
    const Tensor all = run.scratch(DType::kF32, {count, matrix});
    for (int64_t i = 0; i < count; ++i) {
      const Tensor one = pack_columns(run, b.as<const float>() + i * k * n, k, n, n, 1);
      if (matrix != 0) std::memcpy(all.as<float>() + i * matrix, one.data, static_cast<size_t>(one.bytes()));
    }
    return all;
  });
  if (stack.batch_a.elements() > 1 && stack.batch_b.elements() == 1) {
    // One matrix for all: the rows of every batch are rows of one product.
    multiply(run, a.as<const float>(), k, packed.as<const float>(), y.as<float>(), n, stack.batch.elements() * m, n, k);
    return y;
  }
  stack.for_each([&](int64_t which_a, int64_t which_b, int64_t which_y) {
    multiply(run, a.as<const float>() + which_a * m * k, k, packed.as<const float>() + which_b * matrix,
             y.as<float>() + which_y * m * n, n, m, n, k);
  });
  return y;
}

void matmul(Run& run) {
  const DType dtype = run.input(0).dtype;
  if (run.input(1).dtype != dtype) run.fail({"its factors are of different types"});
  const Tensor a = run.wide_input(0);
  const Stack stack(run, a.shape, run.input(1).shape);
  if (a.dtype == DType::kF32) return run.give(0, multiply_floats(run, stack, a), dtype);
  const Tensor b = run.wide_input(1);
  with_wide(a.dtype, [&](auto zero) { run.give(0, multiply_stack<decltype(zero)>(run, stack, a, b), dtype); });
}

Tensor transposed(Run& run, const Tensor& x) {
  const Tensor y = run.scratch(x.dtype, {x.shape[1], x.shape[0]});
  const std::array<int64_t, 2> strides = {1, x.shape[1]};
  copy_strided(x, 0, strides, y);
  return y;
}

void gemm(Run& run) {
  const DType dtype = run.input(0).dtype;
  if (run.input(1).dtype != dtype) run.fail({"its factors are of different types"});
  Tensor a = run.wide_input(0);
  const Shape b = run.input(1).shape;
  if (a.shape.rank() != 2 || b.rank() != 2) run.fail({"its factors are no matrices"});
  if (run.attributes().flag("transA")) a = transposed(run, a);
  const bool trans_b = run.attributes().flag("transB");
  const double alpha = run.attributes().number("alpha", 1), beta = run.attributes().number("beta", 1);
  const int64_t m = a.shape[0], k = a.shape[1], n = b[trans_b ? 0 : 1];
  if (b[trans_b ? 1 : 0] != k) run.fail({"its factors do not fit each other"});
  Tensor y = run.scratch(a.dtype, {m, n});
  if (a.dtype == DType::kF32) {
    const Tensor packed = run.derived(1, [&] {
      const Tensor right = run.wide_input(1);
      return pack_columns(run, right.as<const float>(), k, n, trans_b ? 1 : n, trans_b ? k : 1);
    });
    multiply(run, a.as<const float>(), k, packed.as<const float>(), y.as<float>(), n, m, n, k);
  } else {
    const Tensor right = trans_b ? transposed(run, run.wide_input(1)) : run.wide_input(1);
    with_wide(a.dtype, [&](auto zero) {
      using T = decltype(zero);
      multiply_plain(a.as<const T>(), right.as<const T>(), y.as<T>(), m, n, k);
    });
  }
  const Tensor c = run.has(2) ? run.input_as(2, a.dtype) : Tensor();
  with_wide(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto scale = [](T x, double factor) {
      return factor == 1 ? x : number_cast<T>(static_cast<double>(x) * factor);
    };
    if (!c.defined || beta == 0) {
      if (alpha != 1) {
        map_elements(run.pool(), y.as<const T>(), y.as<T>(), y.elements(), [=](T x) { return scale(x, alpha); });
      }
      return;
    }
    const std::array<Shape, 2> shapes = {y.shape, c.shape};
    if (!(broadcast(shapes) == y.shape)) run.fail({"what is added does not fit the product"});
    map_pairs<T, T>(run.pool(), y, c, y, [=](T x, T added) { return plus(scale(x, alpha), scale(added, beta)); });
  });
  run.give(0, y, dtype);
}

// The integers of an input less its zero point, which is one number or one for each row (column) of the matrix.
Tensor shifted(Run& run, int input, int zero_point, bool by_column) {
  const Tensor x = run.input_as(input, DType::kI64);
  if (!run.has(zero_point)) return x;
  const Tensor zero = run.input_as(zero_point, DType::kI64);
  Shape shape = zero.shape;
  if (!by_column && zero.shape.rank() == 1 && zero.elements() > 1) shape = {zero.elements(), 1};
  if (zero.elements() == 1) shape = Shape();
  const std::array<Shape, 2> shapes = {x.shape, shape};
  if (!(broadcast(shapes) == x.shape)) run.fail({"a zero point does not fit its matrix"});
  const Tensor y = run.scratch(DType::kI64, x.shape);
  map_pairs<int64_t, int64_t>(run.pool(), x, zero.reshaped(shape), y, [](int64_t a, int64_t b) { return minus(a, b); });
  return y;
}

void matmul_integer(Run& run) {
  const Tensor a = shifted(run, 0, 2, false), b = shifted(run, 1, 3, true);
  run.give(0, multiply_stack<int64_t>(run, Stack(run, a.shape, b.shape), a, b), DType::kI32);
}

void qlinear_matmul(Run& run) {
  const Tensor a = shifted(run, 0, 2, false), b = shifted(run, 3, 5, true);
  const Tensor product = multiply_stack<int64_t>(run, Stack(run, a.shape, b.shape), a, b);
  const DType dtype = run.input(7).dtype;
  const Tensor a_scale = run.input_as(1, DType::kF64), b_scale = run.input_as(4, DType::kF64);
  if (a_scale.elements() != 1 || b_scale.elements() != 1) run.unsupported({"a scale for each row or column"});
  const double scale = *a_scale.as<const double>() * *b_scale.as<const double>() / run.number(6);
  const auto zero = static_cast<double>(run.integer(7));
  const double least = dtype == DType::kI8 ? -128 : 0, most = dtype == DType::kI8 ? 127 : 255;
  const Tensor y = run.scratch(DType::kI64, product.shape);
  map_elements(run.pool(), product.as<const int64_t>(), y.as<int64_t>(), y.elements(), [=](int64_t x) {
    const double value = std::nearbyint(static_cast<double>(x) * scale) + zero;
    return static_cast<int64_t>(std::max(least, std::min(most, value)));
  });
  run.give(0, y, dtype);
}

constexpr OpRow kRows[] = {
    {"Gemm", 7, 2, 3, 1, gemm, "alpha beta transA transB"},
    {"MatMul", 1, 2, 2, 1, matmul, ""},
    {"MatMulInteger", 10, 2, 4, 1, matmul_integer, ""},
    {"QLinearMatMul", 10, 8, 8, 1, qlinear_matmul, ""},
};

}  // namespace

extern const std::span<const OpRow> matmul_ops;
constinit const std::span<const OpRow> matmul_ops = kRows;

}  // namespace anyon::graph
