// conv1d with 8-bit weights: linear_i8 over the same overlapping windows, each window quantised for itself.
#pragma once

#include "kernels/conv1d/conv1d.h"
#include "kernels/linear_i8/linear_i8.h"

namespace anyon {

struct Conv1dI8Weight {
  const int8_t* packed = nullptr;  // panel16x4 of (cout, kernel*cin), column tap*cin + c
  const float* scale = nullptr;    // (cout)
  const int32_t* sum = nullptr;    // (cout)
};

// As conv1d() with `weight` in place of args.weight. `workspace`: conv1d_i8_workspace_bytes, 64-byte aligned.
void conv1d_i8(Isa isa, const Conv1dArgs& args, const Conv1dI8Weight& weight, void* workspace, ThreadPool& pool);
int64_t conv1d_i8_workspace_bytes(const Conv1dArgs& args, int threads);

}  // namespace anyon
