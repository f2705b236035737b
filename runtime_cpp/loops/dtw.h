// Dynamic time warping of a token-by-frame matrix: where in time each token begins.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace anyon {

// `similarity` has shape (rows, columns), row-major, both at least 1. Among the monotone paths from the first to the
// last cell (steps down, right or diagonal), takes the one with the largest sum and returns for every row the first
// column on it; the result never decreases and starts with 0.
std::vector<int32_t> first_columns_of_best_path(std::span<const float> similarity, int64_t rows, int64_t columns);

}  // namespace anyon
