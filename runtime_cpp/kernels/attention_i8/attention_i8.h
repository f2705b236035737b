// attention in 8 bits: softmax(q k^T * scale) v with keys and values packed once as 8-bit panels, for queries that see
// all keys. Sources: per-token scales and centred keys as in SageAttention (Zhang et al. 2024, section 4); values are
// centred too, and softmax weights are rounded block by block relative to the largest of the block.
#pragma once

#include <cstdint>
#include <span>

#include "core/threads.h"
#include "kernels/attention/attention.h"
#include "kernels/registry.h"

namespace anyon {

// Keys that a query weighs at once: its weights are rounded relative to the largest among them.
inline constexpr int64_t kAttentionI8Keys = 256;

// The keys and values of one head in one piece of memory, as offsets in bytes. Keys: panel16x4 of (keys, head_dim) with
// a scale and a sum for each key. Values: panel16x4 of their transpose (head_dim, keys) with a scale and a mean for
// each column. Keys are padded to whole blocks of kPackedKeys with zeros.
inline constexpr int64_t kPackedKeys = 64;
struct PackedHead {
  PackedHead(int64_t kv_len, int64_t head_dim);
  int64_t keys, depth, width;                                       // keys, head_dim to multiples of 4 and of 16
  int64_t values, key_scales, key_sums, value_scales, value_means;  // where each begins; the keys at 0
  int64_t bytes;                                                    // of all, a multiple of 64
};

// Packs k and v of args (kv_batch * heads heads, head h of row b as number b * heads + h) into `packed`, 64-byte
// aligned, kv_batch * heads * PackedHead::bytes long. What is packed can be read by the ISA it was packed for only.
void pack_attention_i8(Isa isa, const AttentionArgs& args, void* packed, ThreadPool& pool);

// As attention(), reading `packed` instead of args.k and args.v; args.causal and args.kv_rows are not supported.
// Results depend neither on threads nor on which queries come together.
void attention_i8(Isa isa, const AttentionArgs& args, const void* packed, void* workspace, ThreadPool& pool);
int64_t attention_i8_workspace_bytes(const AttentionArgs& args, int threads);

struct PackHeadArgs {
  const float* k = nullptr;  // rows of head_dim, `stride` apart
  const float* v = nullptr;
  int64_t k_stride = 0, v_stride = 0;
  int64_t kv_len = 0, head_dim = 0;
  std::byte* packed = nullptr;
};

struct AttendArgs {
  const float* const* q_rows = nullptr;
  float* const* y_rows = nullptr;
  int64_t rows = 0;  // any number; they go over the keys a few at a time
  const std::byte* packed = nullptr;
  int64_t kv_len = 0, head_dim = 0;
  float scale = 1.0f;
  void* scratch = nullptr;  // attention_i8_scratch_bytes, 64-byte aligned
};
int64_t attention_i8_scratch_bytes(int64_t head_dim);

// The kernels of one ISA.
struct AttentionI8Kernels {
  void (*pack)(const PackHeadArgs& args);
  void (*attend)(const AttendArgs& args);
};
using attention_i8_kernel = AttentionI8Kernels();
std::span<const KernelRow<attention_i8_kernel>> attention_i8_kernels();

}  // namespace anyon
