// Copies of elements from other places than where they go.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "graph/tensor.h"

namespace anyon::graph {

using Strides = std::array<int64_t, Shape::kMaxRank>;

// In elements, of a dense tensor.
Strides strides_of(const Shape& shape);

// An axis and what lies around it: the shape as (outer, size, inner).
struct AxisView {
  int64_t outer = 1, size = 1, inner = 1;
  AxisView(const Shape& shape, int axis) : size(shape[axis]) {
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
};

// y's element (i, j, ...) is x's at offset + i * strides[0] + j * strides[1] + ...
void copy_strided(const Tensor& x, int64_t offset, std::span<const int64_t> strides, const Tensor& y);

// y's element (i, j, ...) is x's element (maps[0][i], maps[1][j], ...), or `fill` (one element of x's type) where one
// of these is -1.
void copy_mapped(const Tensor& x, std::span<const std::vector<int64_t>> maps, const void* fill, const Tensor& y);

}  // namespace anyon::graph
