// Two linears in 8 bits, one behind the other, where nobody else reads what lies between: a block of rows goes through
// both before the next, so that the rows between stay in cache. The same bits as linear_i8() twice.
#pragma once

#include "kernels/linear_i8/linear_i8.h"

namespace anyon {

// second.x is first's output: first.y and second.x are not used, and second.k is first.n. `workspace` is 64-byte
// aligned. second.y may be second.residual or first.x. Throws Error(kUnsupportedIsa) only.
void linear_pair_i8(Isa isa, LinearI8Args first, LinearI8Args second, void* workspace, ThreadPool& pool);

// Of one of the two: `prepared` as linear_i8_workspace_bytes has it.
struct LinearI8Size {
  int64_t k = 0, n = 0;
  int input_bits = 8;
  bool prepared = false;
};
int64_t linear_pair_i8_workspace_bytes(int64_t m, const LinearI8Size& first, const LinearI8Size& second, int threads);

}  // namespace anyon
