// Copies rows out of a plain or packed table.
#include "kernels/embedding/embedding.h"

#include <cstring>
#include <string>

#include "core/status.h"
#include "kernels/linear/linear.h"

namespace anyon {

void embedding(const int64_t* ids, int64_t count, const float* table, EmbeddingLayout layout, int64_t rows,
               int64_t width, float* y) {
  for (int64_t i = 0; i < count; ++i, y += width) {
    const int64_t id = ids[i];
    if (id < 0 || id >= rows) {
      throw Error(Status::kInvalidArgument, "embedding: id " + std::to_string(id) + " at position " +
                                                std::to_string(i) + " is outside the table of " + std::to_string(rows) +
                                                " rows");
    }
    if (layout == EmbeddingLayout::kRows) {
      if (width > 0) std::memcpy(y, table + id * width, static_cast<size_t>(width) * sizeof(float));
    } else {
      const float* column = table + (id / kPanel) * width * kPanel + id % kPanel;
      for (int64_t j = 0; j < width; ++j) y[j] = column[j * kPanel];
    }
  }
}

}  // namespace anyon
