// Splits packing over heads and queries over heads and blocks.
#include "kernels/attention_i8/attention_i8.h"

#include <algorithm>

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "kernels/attention_i8/kernels.inc"
#undef ANYON_KERNEL

namespace {

constexpr KernelRow<attention_i8_kernel> kRows[] = {
#define ANYON_KERNEL(function, isa, op) {#function, isa, function},
#include "kernels/attention_i8/kernels.inc"
#undef ANYON_KERNEL
};

constexpr int64_t kQueries = 96;                        // of one task, a multiple of every strip
constexpr int64_t kMaxStripRows = 6, kGroupStrips = 4;  // of all ISAs
// Fewer products than this are done before another thread has woken.
constexpr int64_t kMinProducts = 128 << 10;

int64_t round_up(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

}  // namespace

PackedHead::PackedHead(int64_t kv_len, int64_t head_dim)
    : keys(round_up(kv_len, kPackedKeys)), depth(round_up(head_dim, 4)), width(round_up(head_dim, 16)) {
  values = round_up(keys * depth, 64);
  key_scales = values + keys * width;
  key_sums = key_scales + keys * 4;
  value_scales = key_sums + keys * 4;
  value_means = value_scales + width * 4;
  bytes = round_up(value_means + width * 4, 64);
}

std::span<const KernelRow<attention_i8_kernel>> attention_i8_kernels() {
  return kRows;
}

int64_t attention_i8_scratch_bytes(int64_t head_dim) {
  // Scores, products and weights of a strip and a block; sums and queries of a group of strips.
  const int64_t width = round_up(head_dim, 16), strip = kMaxStripRows, group = kMaxStripRows * kGroupStrips;
  const int64_t bytes = strip * (kAttentionI8Keys * 5 + std::max(kAttentionI8Keys, width) * 4) +
                        group * (width * 4 + round_up(head_dim, 64));
  return round_up(bytes, 64);
}

int64_t attention_i8_workspace_bytes(const AttentionArgs& args, int threads) {
  return threads * attention_i8_scratch_bytes(args.head_dim);
}

void pack_attention_i8(Isa isa, const AttentionArgs& args, void* packed, ThreadPool& pool) {
  const AttentionI8Kernels kernels = kernel_for(attention_i8_kernels(), isa, "attention_i8")();
  const int64_t head_bytes = PackedHead(args.kv_len, args.head_dim).bytes;
  pool.run(args.kv_batch * args.heads, [&](int64_t index, int) {
    const int64_t row = index / args.heads, head = index % args.heads;
    PackHeadArgs pack;
    pack.k = args.k + row * args.k_strides.batch + head * args.k_strides.head;
    pack.v = args.v + row * args.v_strides.batch + head * args.v_strides.head;
    pack.k_stride = args.k_strides.time;
    pack.v_stride = args.v_strides.time;
    pack.kv_len = args.kv_len;
    pack.head_dim = args.head_dim;
    pack.packed = static_cast<std::byte*>(packed) + index * head_bytes;
    kernels.pack(pack);
  });
}

void attention_i8(Isa isa, const AttentionArgs& args, const void* packed, void* workspace, ThreadPool& pool) {
  const AttentionI8Kernels kernels = kernel_for(attention_i8_kernels(), isa, "attention_i8")();
  const int64_t group = args.kv_batch == 0 ? 0 : args.batch / args.kv_batch;
  const int64_t queries = group * args.q_len, heads = args.kv_batch * args.heads;
  if (queries <= 0 || heads <= 0 || args.head_dim <= 0) return;
  const int64_t head_bytes = PackedHead(args.kv_len, args.head_dim).bytes;
  const int64_t scratch_bytes = attention_i8_scratch_bytes(args.head_dim);
  const int64_t blocks = (queries + kQueries - 1) / kQueries;
  const int64_t products = std::max<int64_t>(1, std::min(queries, kQueries) * args.kv_len * args.head_dim);
  const int64_t grain = std::clamp<int64_t>(kMinProducts / products, 1, heads * blocks);
  parallel_for(pool, heads * blocks, grain, [&](int64_t first, int64_t last, int worker) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t index = task / blocks, begin = task % blocks * kQueries;
      const int64_t kv = index / args.heads, head = index % args.heads;
      const float* q_rows[kQueries];
      float* y_rows[kQueries];
      AttendArgs attend;
      attend.rows = std::min(kQueries, queries - begin);
      for (int64_t n = 0; n < attend.rows; ++n) {
        const int64_t b = kv * group + (begin + n) / args.q_len, i = (begin + n) % args.q_len;
        q_rows[n] = args.q + b * args.q_strides.batch + i * args.q_strides.time + head * args.q_strides.head;
        y_rows[n] = args.y + b * args.y_strides.batch + i * args.y_strides.time + head * args.y_strides.head;
      }
      attend.q_rows = q_rows;
      attend.y_rows = y_rows;
      attend.packed = static_cast<const std::byte*>(packed) + index * head_bytes;
      attend.kv_len = args.kv_len;
      attend.head_dim = args.head_dim;
      attend.scale = args.scale;
      attend.scratch = static_cast<std::byte*>(workspace) + worker * scratch_bytes;
      kernels.attend(attend);
    }
  });
}

}  // namespace anyon
