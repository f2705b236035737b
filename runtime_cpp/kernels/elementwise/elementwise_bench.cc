// Nanoseconds per element of every unary and binary kernel on data that fits the second-level cache.
// Usage: bench_elementwise [part of a kernel's name]
#include "kernels/bench.h"
#include "kernels/elementwise/elementwise.h"

int main(int argc, char** argv) {
  using namespace anyon;
  constexpr int64_t kCount = 16 << 10;
  const bench::Buffer a(kCount), b(kCount, 2), y(kCount);
  const auto report = [&](const char* row, const char* op, double seconds) {
    std::printf("%-20s %-10s %6.3f ns per element %7.1f GB/s written\n", row, op, seconds * 1e9 / kCount,
                4.0 * kCount / seconds * 1e-9);
  };
  const char* unary_names[] = {"gelu", "gelu_tanh", "relu", "silu", "sigmoid", "tanh", "exp"};
  for (const auto& row : bench::selected(unary_kernels(), argc, argv)) {
    for (int op = 0; op < 7; ++op) {
      report(row.name, unary_names[op],
             bench::best_seconds([&] { row.function(static_cast<UnaryOp>(op), a.data(), y.data(), kCount); }, 0.1));
    }
  }
  const char* binary_names[] = {"add", "sub", "mul", "div"};
  for (const auto& row : bench::selected(binary_kernels(), argc, argv)) {
    for (int op = 0; op < 4; ++op) {
      report(row.name, binary_names[op],
             bench::best_seconds(
                 [&] { row.function(static_cast<BinaryOp>(op), a.data(), 1, b.data(), 1, y.data(), kCount); }, 0.1));
    }
  }
}
