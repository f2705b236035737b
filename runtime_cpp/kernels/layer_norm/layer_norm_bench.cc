// GB/s read and written by every layer_norm kernel against the read bandwidth of its footprint.
// Usage: bench_layer_norm [part of a kernel's name]
#include "kernels/bench.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/peak/peak.h"

int main(int argc, char** argv) {
  using namespace anyon;
  ThreadPool pool(1);
  for (const auto& row : bench::selected(layer_norm_kernels(), argc, argv)) {
    for (const int64_t rows : {1, 5, 1500}) {
      const int64_t width = 384;
      const bench::Buffer x(rows * width), scale(width), bias(width), y(rows * width);
      LayerNormArgs args;
      args.x = x.data();
      args.scale = scale.data();
      args.bias = bias.data();
      args.y = y.data();
      args.rows = rows;
      args.width = width;
      const double seconds = bench::best_seconds([&] { row.function(args); });
      const double bytes = 8.0 * static_cast<double>(rows * width);
      const double peak = read_bandwidth(row.isa, static_cast<int64_t>(bytes), pool);
      std::printf("%-24s %5lld x %lld %8.2f us %7.1f GB/s (read bandwidth %.1f)\n", row.name,
                  static_cast<long long>(rows), static_cast<long long>(width), seconds * 1e6, bytes / seconds * 1e-9,
                  peak);
    }
  }
}
