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

// Operations per nanosecond of `work` on all threads, best of several tries.
double peak_rate(int64_t (*work)(int64_t iterations), ThreadPool& pool) {
  constexpr int kTries = 30;
  constexpr int64_t kIterations = 500'000;  // about 1 ms
  const int threads = pool.size();
  double best = 0.0;
  for (int i = 0; i < kTries; ++i) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<int64_t> done(static_cast<size_t>(threads));
    pool.run(threads, [&](int64_t task, int) { done[static_cast<size_t>(task)] = work(kIterations); });
    double total = 0.0;
    for (const int64_t operations : done) total += static_cast<double>(operations);
    best = std::max(best, total / seconds_since(start) * 1e-9);
  }
  return best;
}

}  // namespace

std::span<const KernelRow<peak_kernel>> peak_kernels() {
  return kRows;
}

double peak_gflops(Isa isa, ThreadPool& pool) {
  return peak_rate(kernel_for(peak_kernels(), isa, "peak")().multiply_add, pool);
}

double peak_gops_i8(Isa isa, ThreadPool& pool) {
  const PeakKernels kernels = kernel_for(peak_kernels(), isa, "peak")();
  return kernels.multiply_add_i8 == nullptr ? 0.0 : peak_rate(kernels.multiply_add_i8, pool);
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
