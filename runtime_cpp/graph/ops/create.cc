// Ops that make a tensor out of a few numbers.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "graph/map.h"
#include "graph/strided.h"
#include "program/describe.h"

namespace anyon::graph {
namespace {

// The attribute names a dtype, as the importer writes it.
DType dtype_attribute(const Run& run, const char* name, DType otherwise) {
  if (!run.attributes().has(name)) return otherwise;
  const std::string text = run.attributes().text(name, "");
  const std::optional<DType> dtype = dtype_from_text(text);
  if (!dtype) run.unsupported({"the type '", text, "'"});
  return *dtype;
}

void constant_of_shape(Run& run) {
  const std::vector<int64_t> dims = run.integers(0);
  const Tensor* value = run.attributes().tensor("value");
  if (value != nullptr && value->elements() != 1) run.fail({"'value' is not one number"});
  const DType dtype = value == nullptr ? DType::kF32 : value->dtype;
  const Tensor y = run.make(0, dtype, Shape(std::span<const int64_t>(dims)));
  with_bytes(dtype, [&](auto zero) {
    using T = decltype(zero);
    T element{};
    if (value != nullptr) std::memcpy(&element, value->data, sizeof(T));
    std::fill_n(y.as<T>(), y.elements(), element);
  });
}

void range(Run& run) {
  const DType dtype = run.input(0).dtype;
  for (int i = 0; i < 3; ++i) {
    if (run.input(i).elements() != 1) run.fail({"its inputs are not single numbers"});
  }
  const Tensor start = run.wide_input(0), limit = run.input_as(1, start.dtype), delta = run.input_as(2, start.dtype);
  with_wide(start.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T first = *start.as<const T>(), end = *limit.as<const T>(), step = *delta.as<const T>();
    if (step == 0) run.fail({"its step is 0"});
    const double count = std::ceil((static_cast<double>(end) - static_cast<double>(first)) / static_cast<double>(step));
    if (!(count < 0x1p60)) run.fail({"it would have too many elements"});
    const Tensor y = run.scratch(start.dtype, {static_cast<int64_t>(std::max(0.0, count))});
    for (int64_t i = 0; i < y.elements(); ++i) y.as<T>()[i] = plus(first, times(static_cast<T>(i), step));
    run.give(0, y, dtype);
  });
}

void eye_like(Run& run) {
  const Tensor& x = run.input(0);
  if (x.shape.rank() != 2) run.fail({"its input is no matrix"});
  const DType dtype = dtype_attribute(run, "dtype", x.dtype);
  const int64_t rows = x.shape[0], columns = x.shape[1];
  const int64_t k = std::clamp<int64_t>(run.attributes().integer("k", 0), -rows - 1, columns + 1);
  const Tensor y = run.scratch(DType::kI64, x.shape);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) y.as<int64_t>()[i * columns + j] = j == i + k ? 1 : 0;
  }
  run.give(0, y, dtype);
}

void det(Run& run) {
  const Tensor x = run.input_as(0, DType::kF64);
  const int rank = x.shape.rank();
  if (rank < 2 || x.shape[rank - 1] != x.shape[rank - 2]) run.fail({"its input is no square matrix"});
  const auto n = static_cast<size_t>(x.shape[rank - 1]);
  const Tensor y = run.scratch(DType::kF64, Shape(x.shape.dims().first(static_cast<size_t>(rank - 2))));
  if (y.elements() == 0) return run.give(0, y, run.input(0).dtype);
  std::vector<double> a(n * n);
  for (int64_t batch = 0; batch < y.elements(); ++batch) {
    std::copy_n(x.as<const double>() + static_cast<size_t>(batch) * n * n, n * n, a.begin());
    double product = 1;
    for (size_t column = 0; column < n; ++column) {
      size_t pivot = column;
      for (size_t row = column + 1; row < n; ++row) {
        if (std::fabs(a[row * n + column]) > std::fabs(a[pivot * n + column])) pivot = row;
      }
      if (a[pivot * n + column] == 0) product = 0;
      if (product == 0) break;
      if (pivot != column) {
        std::swap_ranges(a.begin() + static_cast<int64_t>(pivot * n), a.begin() + static_cast<int64_t>((pivot + 1) * n),
                         a.begin() + static_cast<int64_t>(column * n));
        product = -product;
      }
      product *= a[column * n + column];
      for (size_t row = column + 1; row < n; ++row) {
        const double factor = a[row * n + column] / a[column * n + column];
        for (size_t k = column; k < n; ++k) a[row * n + k] -= factor * a[column * n + k];
      }
    }
    y.as<double>()[batch] = product;
  }
  run.give(0, y, run.input(0).dtype);
}

constexpr OpRow kRows[] = {
    {"ConstantOfShape", 9, 1, 1, 1, constant_of_shape, "value"},
    {"Det", 11, 1, 1, 1, det, ""},
    {"EyeLike", 9, 1, 1, 1, eye_like, "dtype k"},
    {"Range", 11, 3, 3, 1, range, ""},
};

}  // namespace

extern const std::span<const OpRow> create_ops;
constinit const std::span<const OpRow> create_ops = kRows;

}  // namespace anyon::graph
