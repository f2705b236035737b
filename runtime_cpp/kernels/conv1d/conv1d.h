// conv1d over (batch, time, channels): a matrix product whose rows are overlapping windows of x, never materialised.
#pragma once

#include <cstdint>

#include "core/threads.h"
#include "kernels/activation.h"
#include "kernels/linear/linear.h"

namespace anyon {

struct Conv1dArgs {
  const float* x = nullptr;         // (batch, time, cin)
  const float* weight = nullptr;    // panel16 of (cout, kernel*cin), column tap*cin + c
  const float* bias = nullptr;      // (cout), or null
  const float* residual = nullptr;  // (time_out, cout), the same for every batch, or null
  float* y = nullptr;               // (batch, time_out, cout); must not overlap x
  int64_t batch = 0, time = 0, cin = 0, cout = 0;
  int64_t kernel = 1, stride = 1, padding = 0;  // padding: zeros on both ends
  Activation activation = Activation::kNone;
};

// (time + 2 padding - kernel) / stride + 1, or 0 when the padded signal is shorter than the kernel.
int64_t conv1d_time_out(int64_t time, int64_t kernel, int64_t stride, int64_t padding);

// Bytes that conv1d() needs for zero-padded copies of the ends; grows with batch, cin, kernel and padding, not with
// time.
int64_t conv1d_workspace_bytes(const Conv1dArgs& args);

// y = act(conv(x) + bias) + residual. `workspace` is 64-byte aligned.
// Same guarantees as linear(): results depend neither on threads nor on time or batch.
void conv1d(Isa isa, const Conv1dArgs& args, void* workspace, ThreadPool& pool);

namespace reference {
void conv1d(const Conv1dArgs& args);
}  // namespace reference

}  // namespace anyon
