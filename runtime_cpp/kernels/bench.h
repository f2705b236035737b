// Shared by the kernel benchmarks: timing by the best of many repeats, and shares of the machine's measured peak.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "core/isa.h"

namespace anyon::bench {

// Seconds on a clock. ANYON_BENCH_CPU_TIME=1 counts only the time that the calling thread had a core: right for one
// thread on a machine that is busy with other work, meaningless for more threads.
inline double now() {
  static const bool cpu_time = std::getenv("ANYON_BENCH_CPU_TIME") != nullptr;
  timespec time{};
  clock_gettime(cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Seconds of one run: the fastest of the samples that fit `budget` seconds (at least 5). A look at the clock costs up
// to 0.3 us, so a sample of a short run is as many of them as take kSampleSeconds.
template <class F>
double best_seconds(F&& run, double budget = 0.4) {
  constexpr double kSampleSeconds = 50e-6;
  const auto sample = [&](int runs) {
    const double start = now();
    for (int i = 0; i < runs; ++i) run();
    return now() - start;
  };
  int runs = 1;
  while (sample(runs) < kSampleSeconds && runs < (1 << 20)) runs *= 2;
  double best = 1e30;
  const double begin = now();
  for (int i = 0; i < 5 || now() - begin < budget; ++i) best = std::min(best, sample(runs));
  return best / runs;
}

// 64-byte aligned, as the weights of a bundle are.
class Buffer {
 public:
  explicit Buffer(int64_t count, unsigned seed = 1)
      : data_(static_cast<float*>(std::aligned_alloc(64, static_cast<size_t>((count * 4 + 127) / 64 * 64)))) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    for (int64_t i = 0; i < count; ++i) data_[i] = uniform(random);
  }
  ~Buffer() { std::free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* data() const { return data_; }

 private:
  float* data_;
};

// The rows of a kernels.inc that this machine runs natively and that the first argument (a substring) selects.
template <class Rows>
auto selected(Rows rows, int argc, char** argv) {
  std::vector<typename Rows::value_type> chosen;
  for (const auto& row : rows) {
    const std::vector<Isa> isas = supported_isas();
    const bool runs = std::find(isas.begin(), isas.end(), row.isa) != isas.end() && row.isa <= best_isa();
    if (runs && (argc < 2 || std::string(row.name).find(argv[1]) != std::string::npos)) chosen.push_back(row);
  }
  return chosen;
}

}  // namespace anyon::bench
