// Times the peak loops.
#include "kernels/peak/peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace anyon {

#define ANYON_KERNEL(function, isa, op) op##_kernel function;
#include "kernels/peak/kernels.inc"
#undef ANYON_KERNEL

namespace {

constexpr KernelRow<peak_kernel> kRows[] = {
#define ANYON_KERNEL(function, isa, op) {#function, isa, function},
#include "kernels/peak/kernels.inc"
#undef ANYON_KERNEL
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::span<const KernelRow<peak_kernel>> peak_kernels() {
  return kRows;
}

double peak_gflops(Isa isa, ThreadPool& pool) {
  constexpr int kTries = 30;
  constexpr int64_t kIterations = 500'000;  // about 1 ms
  const PeakKernels kernels = kernel_for(peak_kernels(), isa, "peak")();
  const int threads = pool.size();
  double best = 0.0;
  for (int i = 0; i < kTries; ++i) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<int64_t> flops(static_cast<size_t>(threads));
    pool.run(threads, [&](int64_t task, int) { flops[static_cast<size_t>(task)] = kernels.multiply_add(kIterations); });
    double total = 0.0;
    for (const int64_t f : flops) total += static_cast<double>(f);
    best = std::max(best, total / seconds_since(start) * 1e-9);
  }
  return best;
}

double read_bandwidth(Isa isa, int64_t bytes, ThreadPool& pool) {
  constexpr int kTries = 30;
  constexpr int64_t kBytesPerTry = 64 << 20;
  const PeakKernels kernels = kernel_for(peak_kernels(), isa, "peak")();
  const int threads = pool.size();
  const int64_t count = std::max<int64_t>(bytes / 4 / threads, 64);
  const std::vector<float> data(static_cast<size_t>(count * threads), 1.0f);
  const int64_t repeats = std::max<int64_t>(1, kBytesPerTry / (count * threads * 4));
  double best = 0.0;
  for (int i = 0; i < kTries; ++i) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(threads, [&](int64_t task, int) {
      for (int64_t r = 0; r < repeats; ++r) {
        volatile float sink = kernels.read_sum(data.data() + task * count, count);
        (void)sink;
      }
    });
    const double read = static_cast<double>(count * threads * repeats) * 4.0;
    best = std::max(best, read / seconds_since(start) * 1e-9);
  }
  return best;
}

}  // namespace anyon
