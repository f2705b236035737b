// Gop/s and GB/s of every linear_i8 kernel as shares of the peak measured in the same run.
// Usage: bench_linear_i8 [part of a kernel's name] [threads...]
#include "kernels/bench.h"
#include "kernels/linear_i8/linear_i8.h"
#include "kernels/peak/peak.h"

namespace {

using namespace anyon;

struct Case {
  int64_t m, n, k;
  Activation activation = Activation::kNone;
  int input_bits = 8;
};

void run(Isa isa, const char* name, const Case& c, double peak, ThreadPool& pool) {
  const bench::Buffer x(c.m * c.k), packed(panel16x4_bytes(c.n, c.k) / 4), scale(c.n), bias(c.n), y(c.m * c.n);
  const std::vector<int32_t> sum(static_cast<size_t>(c.n), 1);
  LinearI8Args args;
  args.x = x.data();
  args.x_stride = c.k;
  args.weight = reinterpret_cast<const int8_t*>(packed.data());
  args.scale = scale.data();
  args.sum = sum.data();
  args.bias = bias.data();
  args.y = y.data();
  args.y_stride = c.n;
  args.m = c.m;
  args.n = c.n;
  args.k = c.k;
  args.activation = c.activation;
  args.input_bits = c.input_bits;
  const bench::Buffer workspace(linear_i8_workspace_bytes(c.m, c.k, c.input_bits, false, pool.size()) / 4 + 16);
  const double seconds = bench::best_seconds([&] { linear_i8(isa, args, workspace.data(), pool); });
  const double gops = 2.0 * static_cast<double>(c.m * c.n * c.k) / seconds * 1e-9;
  std::printf("%-34s %d thread%s %5lld x %5lld x %4lld%s %9.2f us %8.1f Gop/s (%3.0f%% of peak)", name, pool.size(),
              pool.size() == 1 ? " " : "s", static_cast<long long>(c.m), static_cast<long long>(c.n),
              static_cast<long long>(c.k),
              c.activation == Activation::kGelu ? " gelu"
              : c.input_bits == 16              ? " x 16"
                                                : "     ",
              seconds * 1e6, gops, 100.0 * gops / peak);
  if (c.m <= 16) {
    const double bytes = static_cast<double>(panel16x4_bytes(c.n, c.k));
    const double read = read_bandwidth(isa, static_cast<int64_t>(bytes), pool);
    std::printf(" %6.1f GB/s (%3.0f%% of %.1f)", bytes / seconds * 1e-9, 100.0 * bytes / seconds * 1e-9 / read, read);
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const Case cases[] = {{1500, 384, 384},
                        {1500, 1152, 384},
                        {1500, 1536, 384},
                        {1500, 1536, 384, Activation::kGelu},
                        {1500, 384, 1536},
                        {1500, 512, 512},
                        {5, 384, 384},
                        {5, 1536, 384},
                        {1, 384, 384},
                        {1, 1152, 384},
                        {1, 1536, 384},
                        {1, 384, 1536},
                        {1, 384, 384, Activation::kNone, 16},
                        {1, 1152, 384, Activation::kNone, 16},
                        {1, 1536, 384, Activation::kNone, 16},
                        {1, 384, 1536, Activation::kNone, 16},
                        {1, 51864, 384},
                        {5, 51864, 384},
                        {1, 51864, 384, Activation::kNone, 16}};
  std::vector<int> threads = {1, 2};
  if (argc > 2) threads.clear();
  for (int i = 2; i < argc; ++i) threads.push_back(std::atoi(argv[i]));
  for (const auto& row : bench::selected(linear_i8_kernels(), argc, argv)) {
    for (const int count : threads) {
      ThreadPool pool(count);
      const double peak = peak_gops_i8(row.isa, pool);
      std::printf("%s: 8-bit multiply-add peak %.1f Gop/s on %d thread(s)\n", name(row.isa), peak, count);
      for (const Case& c : cases) run(row.isa, row.name, c, peak, pool);
    }
  }
}
