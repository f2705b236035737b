// softmax over the last axis, with the row's maximum subtracted first.
#pragma once

#include <cstdint>
#include <span>

#include "core/threads.h"
#include "kernels/registry.h"

namespace anyon {

// x and y are (rows, width); y may be x. A row of -inf alone gives NaN, as everywhere else.
void softmax_rows(Isa isa, const float* x, float* y, int64_t rows, int64_t width, ThreadPool& pool);

using softmax_kernel = void(const float* x, float* y, int64_t rows, int64_t width);
std::span<const KernelRow<softmax_kernel>> softmax_kernels();

namespace reference {
void softmax_rows(const float* x, float* y, int64_t rows, int64_t width);
}  // namespace reference

}  // namespace anyon
