// How fast bytes are hashed, in each way of this machine.
#include <chrono>
#include <cstdio>
#include <limits>
#include <vector>

#include "core/sha256_compress.h"

int main() {
  using Clock = std::chrono::steady_clock;
  // In the L2 cache, so that the processor is measured and not the memory.
  const std::vector<uint8_t> data(size_t{512} << 10, 7);
  constexpr int kRounds = 9;
  std::vector<double> best(anyon::sha256_ways().size(), std::numeric_limits<double>::max());
  uint32_t state[8] = {};
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < best.size(); ++i) {
      const Clock::time_point start = Clock::now();
      for (int repeat = 0; repeat < 32; ++repeat) {
        anyon::sha256_ways()[i].compress(state, data.data(), data.size() / 64);
      }
      best[i] = std::min(best[i], std::chrono::duration<double>(Clock::now() - start).count());
    }
  }
  for (size_t i = 0; i < best.size(); ++i) {
    std::printf("%-10s %6.2f GB/s\n", anyon::sha256_ways()[i].name,
                32.0 * static_cast<double>(data.size()) / best[i] * 1e-9);
  }
  return static_cast<int>(state[0] & 0);
}
