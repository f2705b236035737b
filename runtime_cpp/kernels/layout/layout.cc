// Element moves. Copies run in the longest contiguous pieces that source and destination share.
#include "kernels/layout/layout.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "core/status.h"

namespace anyon {
namespace {

// Elements before and after `axis`.
int64_t outer(const Shape& shape, int axis) {
  int64_t n = 1;
  for (int i = 0; i < axis; ++i) n *= shape[i];
  return n;
}
int64_t inner(const Shape& shape, int axis) {
  int64_t n = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) n *= shape[i];
  return n;
}

void check_axis(const char* op, const Shape& shape, int axis) {
  if (axis < 0 || axis >= shape.rank()) {
    throw_error(Status::kBadProgram, {op, ": axis ", axis, " is outside a value of rank ", shape.rank()});
  }
}

struct Move {
  int rank = 0;
  int64_t dims[Shape::kMaxRank] = {};     // of y
  int64_t strides[Shape::kMaxRank] = {};  // of x, in elements, along y's axes
};

// y's rows [begin, end) (a row is y's last axis), element by element in strides of x.
template <class T>
void copy_rows(const Move& move, const T* x, T* y, int64_t begin, int64_t end) {
  const int last = move.rank - 1;
  const int64_t width = move.dims[last];
  const int64_t step = move.strides[last];
  for (int64_t row = begin; row < end; ++row) {
    int64_t rest = row;
    int64_t offset = 0;
    for (int axis = last - 1; axis >= 0; --axis) {
      offset += rest % move.dims[axis] * move.strides[axis];
      rest /= move.dims[axis];
    }
    const T* from = x + offset;
    T* to = y + row * width;
    if (step == 1) {
      std::memcpy(to, from, static_cast<size_t>(width) * sizeof(T));
    } else {
      for (int64_t i = 0; i < width; ++i) to[i] = from[i * step];
    }
  }
}

// Swaps the last two axes of y in square tiles, so that both sides use whole cache lines.
template <class T>
void copy_tiled(const Move& move, const T* x, T* y, int64_t begin, int64_t end) {
  constexpr int64_t kTile = 16;
  const int last = move.rank - 1;
  const int64_t rows = move.dims[last - 1], width = move.dims[last];
  const int64_t row_step = move.strides[last - 1], step = move.strides[last];
  const int64_t tiles = (rows + kTile - 1) / kTile;
  for (int64_t task = begin; task < end; ++task) {
    int64_t rest = task / tiles;
    const int64_t plane = rest;
    int64_t offset = 0;
    for (int axis = last - 2; axis >= 0; --axis) {
      offset += rest % move.dims[axis] * move.strides[axis];
      rest /= move.dims[axis];
    }
    const int64_t r0 = task % tiles * kTile, r1 = std::min(rows, r0 + kTile);
    const T* from = x + offset;
    T* to = y + plane * rows * width;
    for (int64_t c0 = 0; c0 < width; c0 += kTile) {
      const int64_t c1 = std::min(width, c0 + kTile);
      for (int64_t r = r0; r < r1; ++r) {
        for (int64_t c = c0; c < c1; ++c) to[r * width + c] = from[r * row_step + c * step];
      }
    }
  }
}

template <class T>
void run_move(const Move& move, const void* x, void* y, ThreadPool& pool) {
  constexpr int64_t kMinBytes = 256 << 10;  // per thread; less is done before another thread has woken
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  const int last = move.rank - 1;
  int64_t rows = 1;
  for (int axis = 0; axis < last; ++axis) rows *= move.dims[axis];
  const int64_t row_bytes = move.dims[last] * static_cast<int64_t>(sizeof(T));
  if (rows == 0 || row_bytes == 0) return;
  if (last > 0 && move.strides[last] != 1 && move.strides[last - 1] == 1) {
    const int64_t tiles = (move.dims[last - 1] + 15) / 16;
    parallel_for(pool, rows / move.dims[last - 1] * tiles, std::max<int64_t>(1, kMinBytes / (16 * row_bytes)),
                 [&](int64_t begin, int64_t end, int) { copy_tiled(move, from, to, begin, end); });
  } else {
    parallel_for(pool, rows, std::max<int64_t>(1, kMinBytes / row_bytes),
                 [&](int64_t begin, int64_t end, int) { copy_rows(move, from, to, begin, end); });
  }
}

}  // namespace

void transpose(const void* x, const Shape& x_shape, std::span<const int64_t> perm, int64_t element_bytes, void* y,
               ThreadPool& pool) {
  const int rank = x_shape.rank();
  bool seen[Shape::kMaxRank] = {};
  bool valid = static_cast<int>(perm.size()) == rank;
  for (size_t i = 0; valid && i < perm.size(); ++i) {
    valid = perm[i] >= 0 && perm[i] < rank && !seen[perm[i]];
    if (valid) seen[perm[i]] = true;
  }
  if (!valid) throw_error(Status::kBadProgram, {"transpose: perm is not a permutation of the value's axes"});
  int64_t x_strides[Shape::kMaxRank] = {};
  for (int axis = 0; axis < rank; ++axis) x_strides[axis] = inner(x_shape, axis);
  // Axes that stay neighbours become one; a trailing axis of 1 keeps rank at least 1.
  Move move;
  for (int axis = 0; axis < rank; ++axis) {
    const int64_t dim = x_shape[static_cast<int>(perm[axis])], stride = x_strides[perm[axis]];
    if (dim == 1) continue;
    if (move.rank > 0 && move.strides[move.rank - 1] == stride * dim) {
      move.dims[move.rank - 1] *= dim;
      move.strides[move.rank - 1] = stride;
    } else {
      move.dims[move.rank] = dim;
      move.strides[move.rank] = stride;
      ++move.rank;
    }
  }
  if (move.rank == 0) {
    move.rank = 1;
    move.dims[0] = 1;
    move.strides[0] = 1;
  }
  switch (element_bytes) {
    case 1:
      return run_move<uint8_t>(move, x, y, pool);
    case 2:
      return run_move<uint16_t>(move, x, y, pool);
    case 4:
      return run_move<uint32_t>(move, x, y, pool);
    case 8:
      return run_move<uint64_t>(move, x, y, pool);
    default:
      throw_error(Status::kBadProgram,
                  {"transpose: elements of ", element_bytes, " bytes are not supported; 1, 2, 4 and 8 are"});
  }
}

void split_heads(const float* x, int64_t x_stride, int64_t batch, int64_t time, int64_t heads, int64_t head_dim,
                 float* y) {
  const size_t bytes = static_cast<size_t>(head_dim) * sizeof(float);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t t = 0; t < time; ++t) {
        std::memcpy(y + ((b * heads + h) * time + t) * head_dim, x + (b * time + t) * x_stride + h * head_dim, bytes);
      }
    }
  }
}

void gather(const void* x, const Shape& x_shape, int axis, std::span<const int64_t> index, int64_t element_bytes,
            void* y) {
  check_axis("gather", x_shape, axis);
  const int64_t dim = x_shape[axis];
  const int64_t piece = inner(x_shape, axis) * element_bytes;
  for (const int64_t i : index) {
    if (i < 0 || i >= dim) {
      throw_error(Status::kInvalidArgument, {"gather: index ", i, " is outside an axis of ", dim});
    }
  }
  const char* from = static_cast<const char*>(x);
  char* to = static_cast<char*>(y);
  if (piece == 0) return;
  for (int64_t o = 0, n = outer(x_shape, axis); o < n; ++o) {
    for (const int64_t i : index) {
      std::memcpy(to, from + (o * dim + i) * piece, static_cast<size_t>(piece));
      to += piece;
    }
  }
}

void slice(const void* x, const Shape& x_shape, int axis, int64_t start, int64_t end, int64_t element_bytes, void* y) {
  check_axis("slice", x_shape, axis);
  const int64_t dim = x_shape[axis];
  if (start < 0 || start > end || end > dim) {
    throw_error(Status::kBadProgram, {"slice: [", start, ", ", end, ") is outside an axis of ", dim});
  }
  const int64_t piece = inner(x_shape, axis) * element_bytes;
  const size_t bytes = static_cast<size_t>((end - start) * piece);
  if (bytes == 0) return;
  const char* from = static_cast<const char*>(x);
  char* to = static_cast<char*>(y);
  for (int64_t o = 0, n = outer(x_shape, axis); o < n; ++o) {
    std::memcpy(to + static_cast<size_t>(o) * bytes, from + (o * dim + start) * piece, bytes);
  }
}

}  // namespace anyon
