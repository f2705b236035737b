// attention: softmax(q k^T * scale) v per head. Flash-style blocks for many queries, one pass over the keys for few.
#pragma once

#include <cstdint>
#include <span>

#include "core/threads.h"
#include "kernels/registry.h"

namespace anyon {

// Elements between neighbours along each axis; head_dim is contiguous.
struct AttentionStrides {
  int64_t batch = 0, time = 0, head = 0;
};

struct AttentionArgs {
  const float* q = nullptr;  // (batch, heads, q_len, head_dim) in q_strides
  const float* k = nullptr;  // (kv_batch, heads, kv_len, head_dim) in k_strides
  const float* v = nullptr;
  float* y = nullptr;  // (batch, heads, q_len, head_dim) in y_strides; must not overlap k and v, may be q
  AttentionStrides q_strides, k_strides, v_strides, y_strides;
  int64_t batch = 0;
  int64_t kv_batch = 0;              // divides batch: row b of q reads row b / (batch / kv_batch) of k and v
  const int32_t* kv_rows = nullptr;  // (kv_batch): where row i of k and v lies along their batch axis; null: at i
  int64_t heads = 0, q_len = 0, kv_len = 0, head_dim = 0;
  float scale = 1.0f;
  bool causal = false;  // query i sees keys j <= past + i
  int64_t past = 0;
};

// Scratch for attention() on a pool of `threads`: at most about 4 MiB, or one head's keys and values if that is more,
// and a tile per thread. It does not shrink when a length, batch, kv_batch or threads grow, so sizing for the largest
// is enough for all smaller ones.
int64_t attention_workspace_bytes(const AttentionArgs& args, int threads);

// A query that sees no key gives zeros. Rows of q that share keys (beams, drafted tokens) are computed together, so
// keys and values are read once. `workspace` is 64-byte aligned. Results do not depend on threads; a query among few
// and the same query among many may differ in the last bits (another order of summation).
void attention(Isa isa, const AttentionArgs& args, void* workspace, ThreadPool& pool);

// Up to this many queries per head and row of k go over the keys as they lie; more pay for packing them.
inline constexpr int64_t kFewQueries = 16;
// Queries and keys of one block of the packed path.
inline constexpr int64_t kBlockQueries = 48, kBlockKeys = 256;

// What one kernel call computes: `rows` queries over the keys of one head.
struct AttentionBlock {
  const float* const* q_rows = nullptr;
  float* const* y_rows = nullptr;
  const int64_t* visible = nullptr;  // per query: it sees the keys before this index, 0..kv_len
  int64_t rows = 0;                  // up to kFewQueries or kBlockQueries
  // attention_few: rows of head_dim, `stride` apart. attention_blocks: k packed as panel16 of (kv_len, head_dim),
  // v as panel16 of its transpose; strides unused.
  const float* k = nullptr;
  const float* v = nullptr;
  int64_t k_stride = 0, v_stride = 0;
  int64_t kv_len = 0, head_dim = 0;
  float scale = 1.0f;
  float* scratch = nullptr;  // attention_scratch_elements(head_dim) floats, 64-byte aligned
};
int64_t attention_scratch_elements(int64_t head_dim);

using attention_few_kernel = void(const AttentionBlock& block);
using attention_blocks_kernel = void(const AttentionBlock& block);
std::span<const KernelRow<attention_few_kernel>> attention_few_kernels();
std::span<const KernelRow<attention_blocks_kernel>> attention_blocks_kernels();

namespace reference {
void attention(const AttentionArgs& args);
}  // namespace reference

}  // namespace anyon
