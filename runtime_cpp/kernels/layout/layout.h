// Ops that only move elements: transpose, split_heads, gather, slice. Any dtype; x and y must not overlap.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor.h"
#include "core/threads.h"

namespace anyon {

// y's axis i is x's axis perm[i]. `perm` is a permutation of 0..rank-1; throws Error(kBadProgram) otherwise.
void transpose(const void* x, const Shape& x_shape, std::span<const int64_t> perm, int64_t element_bytes, void* y,
               ThreadPool& pool);

// y (batch, heads, time, width/heads) from x (batch, time, width) whose rows are x_stride elements apart.
void split_heads(const float* x, int64_t x_stride, int64_t batch, int64_t time, int64_t heads, int64_t head_dim,
                 float* y);

// y = x with axis `axis` replaced by x's entries at `index`. Throws Error(kInvalidArgument) for an index outside it.
void gather(const void* x, const Shape& x_shape, int axis, std::span<const int64_t> index, int64_t element_bytes,
            void* y);

// y = x[..., start:end, ...] along `axis`, 0 <= start <= end <= dim. Throws Error(kBadProgram) otherwise.
void slice(const void* x, const Shape& x_shape, int axis, int64_t start, int64_t end, int64_t element_bytes, void* y);

}  // namespace anyon
