// Products of f32 matrices for any op: the second one is put into linear's panels first, which costs a copy of it.
#pragma once

#include "graph/run.h"

namespace anyon::graph {

// B (k, n), element (i, j) at b[i * row_stride + j * column_stride], as the panels that multiply() reads.
Tensor pack_columns(Run& run, const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t column_stride);

// y (m, n) = a (m, k) times the packed matrix; rows a_stride and y_stride elements apart.
void multiply(Run& run, const float* a, int64_t a_stride, const float* panels, float* y, int64_t y_stride, int64_t m,
              int64_t n, int64_t k);

}  // namespace anyon::graph
