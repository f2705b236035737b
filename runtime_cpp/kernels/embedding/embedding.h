// embedding: rows of a table by id. The table may be a packed linear weight (tied output head).
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace anyon {

enum class EmbeddingLayout : uint8_t { kRows /* (rows, width) */, kPanel16 /* linear's panels of (rows, width) */ };

// y (count, width) = table[ids]. Throws Error(kInvalidArgument), naming the id, when one is outside [0, rows).
// Plain memory traffic: no ISA, no threads.
void embedding(const int64_t* ids, int64_t count, const float* table, EmbeddingLayout layout, int64_t rows,
               int64_t width, float* y);

// The same from a table of 16-bit floats.
void embedding_f16(Isa isa, const int64_t* ids, int64_t count, const uint16_t* table, EmbeddingLayout layout,
                   int64_t rows, int64_t width, float* y);

// The same from an 8-bit table in linear_i8's panels: y = scale[id] * q.
void embedding_i8(const int64_t* ids, int64_t count, const int8_t* table, const float* scale, int64_t rows,
                  int64_t width, float* y);

// The same from a 4-bit table in linear_i4's panels: y = scale * (q - zero), scale (a 16-bit float) and zero by group.
struct EmbeddingI4Table {
  const uint8_t* packed = nullptr;
  const uint16_t* scale = nullptr;
  const uint8_t* zero = nullptr;
  int64_t group = 64;
};
void embedding_i4(const int64_t* ids, int64_t count, const EmbeddingI4Table& table, int64_t rows, int64_t width,
                  float* y);

}  // namespace anyon
