// GB/s read and written by every softmax kernel against the read bandwidth of its footprint.
// Usage: bench_softmax [part of a kernel's name]
#include "kernels/bench.h"
#include "kernels/peak/peak.h"
#include "kernels/softmax/softmax.h"

int main(int argc, char** argv) {
  using namespace anyon;
  ThreadPool pool(1);
  for (const auto& row : bench::selected(softmax_kernels(), argc, argv)) {
    for (const int64_t width : {100, 1500, 51864}) {
      const int64_t rows = 6;
      const bench::Buffer x(rows * width), y(rows * width);
      const double seconds = bench::best_seconds([&] { row.function(x.data(), y.data(), rows, width); });
      const double bytes = 8.0 * static_cast<double>(rows * width);
      const double peak = read_bandwidth(row.isa, static_cast<int64_t>(bytes), pool);
      std::printf("%-24s %lld x %5lld %8.2f us %7.1f GB/s (read bandwidth %.1f) %5.2f ns per element\n", row.name,
                  static_cast<long long>(rows), static_cast<long long>(width), seconds * 1e6, bytes / seconds * 1e-9,
                  peak, seconds * 1e9 / static_cast<double>(rows * width));
    }
  }
}
