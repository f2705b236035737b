// Share of the 8-bit multiply-add peak (many queries) and of the read bandwidth (few) that each attention_i8 kernel
// reaches; packing is timed by itself. Usage: bench_attention_i8 [part of a kernel's name] [threads...]
#include <cmath>

#include "core/arena.h"
#include "kernels/attention_i8/attention_i8.h"
#include "kernels/bench.h"
#include "kernels/peak/peak.h"

namespace {

using namespace anyon;

struct Case {
  const char* what;
  int64_t batch, kv_batch, heads, q_len, kv_len;
};

void run(Isa isa, const char* name, const Case& c, double gops_peak, ThreadPool& pool) {
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
  const Arena workspace(attention_i8_workspace_bytes(args, pool.size()));
  const Arena packed(c.kv_batch * c.heads * PackedHead(c.kv_len, kHeadDim).bytes);
  const double packing = bench::best_seconds([&] { pack_attention_i8(isa, args, packed.data(), pool); });
  const double seconds = bench::best_seconds([&] { attention_i8(isa, args, packed.data(), workspace.data(), pool); });
  const double flops = 4.0 * static_cast<double>(c.batch * c.heads * c.q_len * c.kv_len * kHeadDim);
  const double bytes = 2.0 * static_cast<double>(c.kv_batch * c.heads * c.kv_len * kHeadDim);
  std::printf("%-24s %d thread(s) %-34s %9.1f us %7.1f Gop/s (%3.0f%% of peak), packing %7.1f us", name, pool.size(),
              c.what, seconds * 1e6, flops / seconds * 1e-9, 100.0 * flops / seconds * 1e-9 / gops_peak, packing * 1e6);
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
  };
  std::vector<int> threads = {1, 2};
  if (argc > 2) threads.clear();
  for (int i = 2; i < argc; ++i) threads.push_back(std::atoi(argv[i]));
  for (const int count : threads) {
    ThreadPool pool(count);
    for (const auto& row : bench::selected(attention_i8_kernels(), argc, argv)) {
      const double peak = peak_gops_i8(row.isa, pool);
      std::printf("%s: 8-bit multiply-add peak %.1f Gop/s on %d thread(s)\n", name(row.isa), peak, count);
      for (const Case& c : cases) run(row.isa, row.name, c, peak, pool);
    }
  }
}
