// One row through every linear_i4 kernel: GB/s of weights, scales and zeros as a share of what reading as many gives.
// Usage: bench_linear_i4 [part of a kernel's name] [threads...]
#include "kernels/bench.h"
#include "kernels/linear_i4/linear_i4.h"
#include "kernels/peak/peak.h"

namespace {

using namespace anyon;

struct Case {
  int64_t n, k;
  int input_bits;
};

void run(Isa isa, const char* name, const Case& c, ThreadPool& pool) {
  constexpr int64_t kGroup = 64;
  const int64_t weight_bytes = panel16x8_bytes(c.n, c.k, kGroup);
  const int64_t groups = (c.n + 15) / 16 * 16 * ((c.k + kGroup - 1) / kGroup);
  const bench::Buffer x(c.k), packed(weight_bytes / 4), bias(c.n), y(c.n);
  const std::vector<uint16_t> scale(static_cast<size_t>(groups), 0x2000);  // 2 ** -7
  const std::vector<uint8_t> zero(static_cast<size_t>(groups), 8);
  LinearI4Args args;
  args.x = x.data();
  args.x_stride = c.k;
  args.weight = reinterpret_cast<const uint8_t*>(packed.data());
  args.scale = scale.data();
  args.zero = zero.data();
  args.group = kGroup;
  args.bias = bias.data();
  args.y = y.data();
  args.y_stride = c.n;
  args.m = 1;
  args.n = c.n;
  args.k = c.k;
  args.input_bits = c.input_bits;
  const bench::Buffer workspace(linear_i4_workspace_bytes(1, c.k, kGroup, c.input_bits, pool.size()) / 4 + 16);
  const double seconds = bench::best_seconds([&] { linear_i4(isa, args, workspace.data(), pool); });
  const int64_t bytes = weight_bytes + groups * static_cast<int64_t>(sizeof(uint16_t) + sizeof(uint8_t));
  const double rate = static_cast<double>(bytes) / seconds * 1e-9, read = read_bandwidth(isa, bytes, pool);
  std::printf("%-34s %d thread%s %5lld x %4lld, inputs of %2d bits %9.2f us %6.1f GB/s (%3.0f%% of %.1f)\n", name,
              pool.size(), pool.size() == 1 ? " " : "s", static_cast<long long>(c.n), static_cast<long long>(c.k),
              c.input_bits, seconds * 1e6, rate, 100.0 * rate / read, read);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> threads = {1, 2};
  if (argc > 2) threads.clear();
  for (int i = 2; i < argc; ++i) threads.push_back(std::atoi(argv[i]));
  for (const auto& row : bench::selected(linear_i4_kernels(), argc, argv)) {
    for (const int count : threads) {
      ThreadPool pool(count);
      for (const int bits : {8, 16}) {
        for (const Case& c : {Case{384, 384, bits}, {1536, 384, bits}, {384, 1536, bits}, {51864, 384, bits}}) {
          run(row.isa, row.name, c, pool);
        }
      }
    }
  }
}
