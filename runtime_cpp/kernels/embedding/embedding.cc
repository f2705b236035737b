// Copies rows out of a plain or packed table.
#include "kernels/embedding/embedding.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/status.h"
#include "kernels/half/half.h"
#include "kernels/half/half_value.h"
#include "kernels/linear/linear.h"
#include "kernels/linear_i8/linear_i8.h"

namespace anyon {

namespace {

int64_t checked_id(int64_t id, int64_t position, int64_t rows) {
  if (id < 0 || id >= rows) {
    throw_error(Status::kInvalidArgument,
                {"embedding: id ", id, " at position ", position, " is outside the table of ", rows, " rows"});
  }
  return id;
}

}  // namespace

void embedding(const int64_t* ids, int64_t count, const float* table, EmbeddingLayout layout, int64_t rows,
               int64_t width, float* y) {
  for (int64_t i = 0; i < count; ++i, y += width) {
    const int64_t id = checked_id(ids[i], i, rows);
    if (layout == EmbeddingLayout::kRows) {
      if (width > 0) std::memcpy(y, table + id * width, static_cast<size_t>(width) * sizeof(float));
    } else {
      const float* column = table + (id / kPanel) * width * kPanel + id % kPanel;
      for (int64_t j = 0; j < width; ++j) y[j] = column[j * kPanel];
    }
  }
}

void embedding_f16(Isa isa, const int64_t* ids, int64_t count, const uint16_t* table, EmbeddingLayout layout,
                   int64_t rows, int64_t width, float* y) {
  for (int64_t i = 0; i < count; ++i, y += width) {
    const int64_t id = checked_id(ids[i], i, rows);
    if (layout == EmbeddingLayout::kRows) {
      half_to_float(isa, table + id * width, width, y);
      continue;
    }
    const uint16_t* column = table + (id / kPanel) * width * kPanel + id % kPanel;
    constexpr int64_t kPiece = 256;
    uint16_t piece[kPiece];
    for (int64_t begin = 0; begin < width; begin += kPiece) {
      const int64_t size = std::min(kPiece, width - begin);
      for (int64_t j = 0; j < size; ++j) piece[j] = column[(begin + j) * kPanel];
      half_to_float(isa, piece, size, y + begin);
    }
  }
}

void embedding_i8(const int64_t* ids, int64_t count, const int8_t* table, const float* scale, int64_t rows,
                  int64_t width, float* y) {
  for (int64_t i = 0; i < count; ++i, y += width) {
    const int64_t id = checked_id(ids[i], i, rows);
    const int8_t* row = table + panel16x4_bytes(id / kPanel * kPanel, width) + id % kPanel * 4;
    for (int64_t j = 0; j < width; ++j) {
      y[j] = scale[id] * static_cast<float>(row[j / 4 * 64 + j % 4]);
    }
  }
}

void embedding_i4(const int64_t* ids, int64_t count, const EmbeddingI4Table& table, int64_t rows, int64_t width,
                  float* y) {
  const int64_t groups = (width + table.group - 1) / table.group;
  for (int64_t i = 0; i < count; ++i, y += width) {
    const int64_t id = checked_id(ids[i], i, rows), panel = id / kPanel, lane = id % kPanel;
    const uint8_t* row = table.packed + panel * groups * table.group * (kPanel / 2) + lane * 4;
    for (int64_t j = 0; j < width; ++j) {
      const uint8_t byte = row[j / 8 * 64 + j % 4];
      const int q = j % 8 < 4 ? byte & 15 : byte >> 4;
      const int64_t g = (panel * groups + j / table.group) * kPanel + lane;
      y[j] = half_value(table.scale[g]) * static_cast<float>(q - table.zero[g]);
    }
  }
}

}  // namespace anyon
