// Share of the multiply-add peak (many queries) and of the read bandwidth (few) that each attention kernel reaches.
// Usage: bench_attention [part of a kernel's name] [threads...]
#include <cmath>

#include "core/arena.h"
#include "kernels/attention/attention.h"
#include "kernels/bench.h"
#include "kernels/peak/peak.h"

namespace {

using namespace anyon;

struct Case {
  const char* what;
  int64_t batch, kv_batch, heads, q_len, kv_len;
};

void run(Isa isa, const char* name, const Case& c, double gflops_peak, ThreadPool& pool) {
  constexpr int64_t kHeadDim = 64;
  const bench::Buffer q(c.batch * c.heads * c.q_len * kHeadDim), y(c.batch * c.heads * c.q_len * kHeadDim);
  const bench::Buffer k(c.kv_batch * c.heads * c.kv_len * kHeadDim), v(c.kv_batch * c.heads * c.kv_len * kHeadDim);
  AttentionArgs args;
  args.q = q.data();
  args.k = k.data();
  args.v = v.data();
  args.y = y.data();
  args.q_strides = args.y_strides = {c.q_len * c.heads * kHeadDim, c.heads * kHeadDim, kHeadDim};
  args.k_strides = args.v_strides = {c.heads * c.kv_len * kHeadDim, kHeadDim, c.kv_len * kHeadDim};
  args.batch = c.batch;
  args.kv_batch = c.kv_batch;
  args.heads = c.heads;
  args.q_len = c.q_len;
  args.kv_len = c.kv_len;
  args.head_dim = kHeadDim;
  args.scale = 1.0f / std::sqrt(static_cast<float>(kHeadDim));
  const Arena workspace(attention_workspace_bytes(args, pool.size()));
  const double seconds = bench::best_seconds([&] { attention(isa, args, workspace.data(), pool); });
  const double flops = 4.0 * static_cast<double>(c.batch * c.heads * c.q_len * c.kv_len * kHeadDim);
  const double bytes = 8.0 * static_cast<double>(c.kv_batch * c.heads * c.kv_len * kHeadDim);
  std::printf("%-24s %d thread(s) %-34s %9.1f us %7.1f GFLOP/s (%3.0f%% of peak)", name, pool.size(), c.what,
              seconds * 1e6, flops / seconds * 1e-9, 100.0 * flops / seconds * 1e-9 / gflops_peak);
  if (c.q_len == 1) {
    const double peak = read_bandwidth(isa, static_cast<int64_t>(bytes), pool);
    std::printf(" %6.1f GB/s (%3.0f%% of %.1f)", bytes / seconds * 1e-9, 100.0 * bytes / seconds * 1e-9 / peak, peak);
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const Case cases[] = {
      {"encoder 1500 x 1500, 6 heads", 1, 1, 6, 1500, 1500},
      {"prompt 200 x 1500, 6 heads", 1, 1, 6, 200, 1500},
      {"1 query x 1500 keys, 6 heads", 1, 1, 6, 1, 1500},
      {"5 beams x 1500 shared keys, 6 heads", 5, 1, 6, 1, 1500},
      {"16 beams x 1500 shared keys, 6 heads", 16, 1, 6, 1, 1500},
      {"1 query x 100 keys, 6 heads", 1, 1, 6, 1, 100},
      {"5 beams x 100 own keys, 6 heads", 5, 5, 6, 1, 100},
  };
  std::vector<int> threads = {1, 2};
  if (argc > 2) threads.clear();
  for (int i = 2; i < argc; ++i) threads.push_back(std::atoi(argv[i]));
  for (const int count : threads) {
    ThreadPool pool(count);
    // Which of an ISA's two kernels runs follows from the number of queries.
    for (const auto& row : bench::selected(attention_few_kernels(), argc, argv)) {
      const double peak = peak_gflops(row.isa, pool);
      std::printf("%s: multiply-add peak %.1f GFLOP/s on %d thread(s)\n", name(row.isa), peak, count);
      for (const Case& c : cases) {
        const bool few = c.batch / c.kv_batch * c.q_len <= kFewQueries;
        run(row.isa, few ? "attention_few" : "attention_blocks", c, peak, pool);
      }
    }
  }
}
