// Splits attention over heads and queries; packs keys and values when enough queries share them.
#include "kernels/attention/attention.h"

#include <algorithm>

#include "kernels/linear/linear.h"

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "kernels/attention/kernels.inc"
#undef ANYON_KERNEL

// Each table keeps the rows of its own op.
#define ANYON_KERNEL(function, isa, op) ANYON_ROW_##op(function, isa)
namespace {

constexpr KernelRow<attention_few_kernel> kFewRows[] = {
#define ANYON_ROW_attention_few(function, isa) {#function, isa, function},
#define ANYON_ROW_attention_blocks(function, isa)
#include "kernels/attention/kernels.inc"
#undef ANYON_ROW_attention_few
#undef ANYON_ROW_attention_blocks
};

constexpr KernelRow<attention_blocks_kernel> kBlocksRows[] = {
#define ANYON_ROW_attention_few(function, isa)
#define ANYON_ROW_attention_blocks(function, isa) {#function, isa, function},
#include "kernels/attention/kernels.inc"
#undef ANYON_ROW_attention_few
#undef ANYON_ROW_attention_blocks
};
#undef ANYON_KERNEL

// Heads are packed in waves that take about this much, so that scratch does not grow with the batch.
constexpr int64_t kWaveElements = 1 << 20;
// Fewer products than this are done before another thread has woken.
constexpr int64_t kMinProducts = 64 << 10;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t round_up(int64_t value, int64_t step) {
  return ceil_div(value, step) * step;
}

// Elements of one head's packed keys and values.
int64_t packed_keys(const AttentionArgs& args) {
  return panel16_elements(args.kv_len, args.head_dim);
}
int64_t packed_head(const AttentionArgs& args) {
  return packed_keys(args) + panel16_elements(args.head_dim, args.kv_len);
}

int64_t queries_per_head(const AttentionArgs& args) {
  return args.kv_batch == 0 ? 0 : args.batch / args.kv_batch * args.q_len;
}

// One row of k and v with one head: the queries of batch rows that share it, numbered through.
struct Head {
  Head(const AttentionArgs& a, int64_t index) : args(a), kv(index / a.heads), head(index % a.heads) {
    if (a.kv_len == 0) return;  // k and v may be null then, which nothing may be added to
    const int64_t row = a.kv_rows == nullptr ? kv : a.kv_rows[kv];
    k = a.k + row * a.k_strides.batch + head * a.k_strides.head;
    v = a.v + row * a.v_strides.batch + head * a.v_strides.head;
  }

  // Fills rows of the block with queries [begin, end).
  void queries(int64_t begin, int64_t end, const float** q_rows, float** y_rows, int64_t* visible) const {
    const int64_t group = args.batch / args.kv_batch;
    for (int64_t n = begin; n < end; ++n) {
      const int64_t b = kv * group + n / args.q_len, i = n % args.q_len;
      q_rows[n - begin] = args.q + b * args.q_strides.batch + i * args.q_strides.time + head * args.q_strides.head;
      y_rows[n - begin] = args.y + b * args.y_strides.batch + i * args.y_strides.time + head * args.y_strides.head;
      visible[n - begin] = args.causal ? std::clamp<int64_t>(args.past + i + 1, 0, args.kv_len) : args.kv_len;
    }
  }

  const AttentionArgs& args;
  int64_t kv, head;
  const float* k = nullptr;
  const float* v = nullptr;
};

void run_few(Isa isa, const AttentionArgs& args, float* scratch, ThreadPool& pool) {
  attention_few_kernel* kernel = kernel_for(attention_few_kernels(), isa, "attention");
  const int64_t heads = args.kv_batch * args.heads;
  const int64_t queries = queries_per_head(args);
  const int64_t products = std::max<int64_t>(1, queries * args.kv_len * args.head_dim);
  const int64_t scratch_size = attention_scratch_elements(args.head_dim);
  // Heads that one thread takes at once: enough to be worth waking another, else one at a time for balance.
  const int64_t grain = std::clamp<int64_t>(kMinProducts / products, 1, heads);
  parallel_for(pool, heads, grain, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t index = begin; index < end; ++index) {
      const Head head(args, index);
      const float* q_rows[kFewQueries];
      float* y_rows[kFewQueries];
      int64_t visible[kFewQueries];
      head.queries(0, queries, q_rows, y_rows, visible);
      AttentionBlock block;
      block.q_rows = q_rows;
      block.y_rows = y_rows;
      block.visible = visible;
      block.rows = queries;
      block.k = head.k;
      block.v = head.v;
      block.k_stride = args.k_strides.time;
      block.v_stride = args.v_strides.time;
      block.kv_len = args.kv_len;
      block.head_dim = args.head_dim;
      block.scale = args.scale;
      block.scratch = scratch + worker * scratch_size;
      kernel(block);
    }
  });
}

// Packs keys [begin, end) of one head: k into panels over keys, v into panels over head_dim. `begin` is a multiple of
// the panel.
void pack_head(const Head& head, int64_t begin, int64_t end, float* packed) {
  const AttentionArgs& args = head.args;
  pack_panel16(head.k + begin * args.k_strides.time, args.k_strides.time, end - begin, args.head_dim,
               packed + begin * args.head_dim);
  float* values = packed + packed_keys(args);
  for (int64_t i = 0; i < args.head_dim; i += kPanel) {
    const int64_t width = std::min(kPanel, args.head_dim - i);
    for (int64_t j = begin; j < end; ++j) {
      const float* from = head.v + j * args.v_strides.time + i;
      float* to = values + i * args.kv_len + j * kPanel;
      for (int64_t c = 0; c < width; ++c) to[c] = from[c];
      for (int64_t c = width; c < kPanel; ++c) to[c] = 0.0f;
    }
  }
}

void run_blocks(Isa isa, const AttentionArgs& args, float* workspace, ThreadPool& pool) {
  attention_blocks_kernel* kernel = kernel_for(attention_blocks_kernels(), isa, "attention");
  const int64_t heads = args.kv_batch * args.heads;
  const int64_t queries = queries_per_head(args);
  const int64_t query_blocks = ceil_div(queries, kBlockQueries);
  const int64_t key_blocks = ceil_div(args.kv_len, kBlockKeys);
  const int64_t scratch_size = attention_scratch_elements(args.head_dim);
  const int64_t head_size = packed_head(args);
  const int64_t wave = std::clamp<int64_t>(kWaveElements / std::max<int64_t>(1, head_size), 1, heads);
  float* packed = workspace + pool.size() * scratch_size;
  for (int64_t first = 0; first < heads; first += wave) {
    const int64_t count = std::min(wave, heads - first);
    pool.run(count * key_blocks, [&](int64_t task, int) {
      const int64_t index = task / key_blocks, begin = task % key_blocks * kBlockKeys;
      pack_head(Head(args, first + index), begin, std::min(args.kv_len, begin + kBlockKeys),
                packed + index * head_size);
    });
    pool.run(count * query_blocks, [&](int64_t task, int worker) {
      const int64_t index = task / query_blocks, begin = task % query_blocks * kBlockQueries;
      const Head head(args, first + index);
      const float* q_rows[kBlockQueries];
      float* y_rows[kBlockQueries];
      int64_t visible[kBlockQueries];
      AttentionBlock block;
      block.rows = std::min(kBlockQueries, queries - begin);
      head.queries(begin, begin + block.rows, q_rows, y_rows, visible);
      block.q_rows = q_rows;
      block.y_rows = y_rows;
      block.visible = visible;
      block.k = packed + index * head_size;
      block.v = block.k + packed_keys(args);
      block.kv_len = args.kv_len;
      block.head_dim = args.head_dim;
      block.scale = args.scale;
      block.scratch = workspace + worker * scratch_size;
      kernel(block);
    });
  }
}

}  // namespace

std::span<const KernelRow<attention_few_kernel>> attention_few_kernels() {
  return kFewRows;
}

std::span<const KernelRow<attention_blocks_kernel>> attention_blocks_kernels() {
  return kBlocksRows;
}

int64_t attention_scratch_elements(int64_t head_dim) {
  // Queries, sums, scores, and two numbers per query; the few-query path needs less.
  return kBlockQueries * (2 * round_up(head_dim, kPanel) + kBlockKeys) + round_up(2 * kBlockQueries, kPanel);
}

int64_t attention_workspace_bytes(const AttentionArgs& args, int threads) {
  int64_t elements = threads * attention_scratch_elements(args.head_dim);
  // As if all rows shared their keys, so that the answer holds for every kv_batch.
  if (args.batch * args.q_len > kFewQueries) {
    const int64_t head_size = packed_head(args);
    elements += std::min(args.kv_batch * args.heads * head_size, std::max(head_size, kWaveElements));
  }
  return elements * static_cast<int64_t>(sizeof(float));
}

void attention(Isa isa, const AttentionArgs& args, void* workspace, ThreadPool& pool) {
  const int64_t queries = queries_per_head(args);
  if (queries <= 0 || args.heads <= 0 || args.head_dim <= 0) return;
  float* scratch = static_cast<float*>(workspace);
  if (queries <= kFewQueries) {
    run_few(isa, args, scratch, pool);
  } else {
    run_blocks(isa, args, scratch, pool);
  }
}

}  // namespace anyon
