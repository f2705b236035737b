// Dynamic time warping of a token-by-frame matrix: where in time each token begins.
#include "loops/dtw.h"

#include <limits>

#include "core/status.h"

namespace anyon {

namespace {

enum Step : uint8_t { kDiagonal, kDown, kRight };

}  // namespace

std::vector<int32_t> first_columns_of_best_path(std::span<const float> similarity, int64_t rows, int64_t columns) {
  if (rows < 1 || columns < 1 || static_cast<int64_t>(similarity.size()) < rows * columns) {
    throw_error(Status::kInternal, {"dtw: the matrix is empty or smaller than its shape"});
  }
  constexpr double kFar = std::numeric_limits<double>::infinity();
  std::vector<Step> steps(rows * columns);
  std::vector<double> above(columns + 1, kFar);  // costs of the row before; [j + 1] belongs to column j
  std::vector<double> here(columns + 1, kFar);
  above[0] = 0.0;
  for (int64_t i = 0; i < rows; ++i) {
    here[0] = kFar;
    for (int64_t j = 0; j < columns; ++j) {
      const double diagonal = above[j];
      const double down = above[j + 1];
      const double right = here[j];
      Step step = kRight;
      double cost = right;
      if (diagonal < down && diagonal < right) {
        step = kDiagonal;
        cost = diagonal;
      } else if (down < diagonal && down < right) {
        step = kDown;
        cost = down;
      }
      here[j + 1] = cost - similarity[i * columns + j];
      steps[i * columns + j] = step;
    }
    std::swap(above, here);
  }

  std::vector<int32_t> first(rows, 0);
  int64_t i = rows - 1;
  int64_t j = columns - 1;
  while (i > 0) {
    first[i] = static_cast<int32_t>(j);
    const Step step = j == 0 ? kDown : steps[i * columns + j];
    if (step != kRight) --i;
    if (step != kDown) --j;
  }
  return first;
}

}  // namespace anyon
