// Share of the multiply-add peak that conv1d reaches on linear's kernels.
// Usage: bench_conv1d [part of a kernel's name] [threads...]
#include "core/arena.h"
#include "kernels/bench.h"
#include "kernels/conv1d/conv1d.h"
#include "kernels/peak/peak.h"

namespace {

using namespace anyon;

void run(Isa isa, const char* name, int64_t time, int64_t cin, int64_t cout, int64_t stride, double gflops_peak,
         ThreadPool& pool) {
  Conv1dArgs args;
  args.batch = 1;
  args.time = time;
  args.cin = cin;
  args.cout = cout;
  args.kernel = 3;
  args.stride = stride;
  args.padding = 1;
  args.activation = Activation::kGelu;
  const int64_t time_out = conv1d_time_out(time, 3, stride, 1);
  const bench::Buffer x(time * cin), weight(panel16_elements(cout, 3 * cin)), bias(cout), y(time_out * cout);
  args.x = x.data();
  args.weight = weight.data();
  args.bias = bias.data();
  args.y = y.data();
  const Arena workspace(conv1d_workspace_bytes(args));
  const double seconds = bench::best_seconds([&] { conv1d(isa, args, workspace.data(), pool); });
  const double gflops = 2.0 * static_cast<double>(time_out * cout * 3 * cin) / seconds * 1e-9;
  std::printf(
      "%-28s %d thread(s) time %lld, %lld to %lld channels, stride %lld, gelu %9.1f us %7.1f GFLOP/s (%3.0f%% "
      "of peak)\n",
      name, pool.size(), static_cast<long long>(time), static_cast<long long>(cin), static_cast<long long>(cout),
      static_cast<long long>(stride), seconds * 1e6, gflops, 100.0 * gflops / gflops_peak);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> threads = {1, 2};
  if (argc > 2) threads.clear();
  for (int i = 2; i < argc; ++i) threads.push_back(std::atoi(argv[i]));
  for (const int count : threads) {
    ThreadPool pool(count);
    for (const auto& row : bench::selected(linear_kernels(), argc, argv)) {
      const double peak = peak_gflops(row.isa, pool);
      run(row.isa, row.name, 3000, 80, 384, 1, peak, pool);
      run(row.isa, row.name, 3000, 384, 384, 2, peak, pool);
    }
  }
}
