// The innermost axis is a plain loop; the others count like the digits of a clock.
#include "graph/strided.h"

#include <cstring>

#include "graph/convert.h"

namespace anyon::graph {

Strides strides_of(const Shape& shape) {
  Strides strides{};
  int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  return strides;
}

void copy_strided(const Tensor& x, int64_t offset, std::span<const int64_t> strides, const Tensor& y) {
  const int64_t count = y.elements();
  if (count == 0) return;
  with_bytes(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.as<const T>() + offset;
    T* to = y.as<T>();
    const int rank = y.shape.rank();
    const int64_t row = rank == 0 ? 1 : y.shape[rank - 1];
    const int64_t step = rank == 0 ? 0 : strides[static_cast<size_t>(rank - 1)];
    std::array<int64_t, Shape::kMaxRank> at{};
    for (int64_t done = 0; done < count; done += row) {
      for (int64_t i = 0; i < row; ++i) to[done + i] = from[i * step];
      for (int axis = rank - 2; axis >= 0; --axis) {
        const auto digit = static_cast<size_t>(axis);
        from += strides[digit];
        if (++at[digit] < y.shape[axis]) break;
        from -= y.shape[axis] * strides[digit];
        at[digit] = 0;
      }
    }
  });
}

void copy_mapped(const Tensor& x, std::span<const std::vector<int64_t>> maps, const void* fill, const Tensor& y) {
  const int64_t count = y.elements();
  if (count == 0) return;
  const Strides strides = strides_of(x.shape);
  with_bytes(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    T empty{};
    if (fill != nullptr) std::memcpy(&empty, fill, sizeof(T));
    const int rank = y.shape.rank();
    if (rank == 0) {
      *y.as<T>() = *x.as<const T>();
      return;
    }
    const std::vector<int64_t>& last = maps[static_cast<size_t>(rank - 1)];
    const auto row = static_cast<int64_t>(last.size());
    std::array<int64_t, Shape::kMaxRank> at{};
    for (int64_t done = 0; done < count; done += row) {
      int64_t offset = 0;
      bool inside = true;
      for (int axis = 0; axis < rank - 1; ++axis) {
        const auto digit = static_cast<size_t>(axis);
        const int64_t source = maps[digit][static_cast<size_t>(at[digit])];
        inside = inside && source >= 0;
        offset += source * strides[digit];
      }
      T* to = y.as<T>() + done;
      for (int64_t i = 0; i < row; ++i) {
        const int64_t source = last[static_cast<size_t>(i)];
        to[i] = inside && source >= 0 ? x.as<const T>()[offset + source] : empty;
      }
      for (int axis = rank - 2; axis >= 0; --axis) {
        const auto digit = static_cast<size_t>(axis);
        if (++at[digit] < y.shape[axis]) break;
        at[digit] = 0;
      }
    }
  });
}

}  // namespace anyon::graph
