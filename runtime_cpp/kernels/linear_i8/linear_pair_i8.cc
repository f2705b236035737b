// Blocks of rows through two linears.
#include "kernels/linear_i8/linear_pair_i8.h"

#include <algorithm>

namespace anyon {
namespace {

// Few rows do not leave the cache, and all threads share their weights.
constexpr int64_t kFewRows = 16;
// With 1,536 columns between, what lies there and its bytes take 360 KiB of the second-level cache.
constexpr int64_t kBlockRows = 48;

int64_t round_up(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

int64_t between_bytes(int64_t rows, int64_t n) {
  return round_up(rows * n * static_cast<int64_t>(sizeof(float)), 64);
}

int64_t block_bytes(const LinearI8Size& first, const LinearI8Size& second) {
  const auto rows_bytes = [](const LinearI8Size& size) {
    return linear_i8_rows_bytes(kBlockRows, size.k, size.input_bits, size.prepared);
  };
  return between_bytes(kBlockRows, first.n) + round_up(std::max(rows_bytes(first), rows_bytes(second)), 64);
}

LinearI8Size size_of(const LinearI8Args& args) {
  return {args.k, args.n, args.input_bits, args.norm != nullptr};
}

}  // namespace

int64_t linear_pair_i8_workspace_bytes(int64_t m, const LinearI8Size& first, const LinearI8Size& second, int threads) {
  if (m > kFewRows) return threads * block_bytes(first, second);
  const auto workspace = [&](const LinearI8Size& size) {
    return linear_i8_workspace_bytes(m, size.k, size.input_bits, size.prepared, threads);
  };
  return between_bytes(m, first.n) + std::max(workspace(first), workspace(second));
}

void linear_pair_i8(Isa isa, LinearI8Args first, LinearI8Args second, void* workspace, ThreadPool& pool) {
  auto* memory = static_cast<std::byte*>(workspace);
  second.x_stride = first.y_stride = first.n;
  if (first.m <= kFewRows) {
    first.y = reinterpret_cast<float*>(memory);
    second.x = first.y;
    memory += between_bytes(first.m, first.n);
    linear_i8(isa, first, memory, pool);
    linear_i8(isa, second, memory, pool);
    return;
  }
  const int64_t bytes = block_bytes(size_of(first), size_of(second));
  pool.run((first.m + kBlockRows - 1) / kBlockRows, [&](int64_t task, int worker) {
    const int64_t begin = task * kBlockRows, count = std::min(kBlockRows, first.m - begin);
    std::byte* own = memory + worker * bytes;
    std::byte* scratch = own + between_bytes(kBlockRows, first.n);
    LinearI8Args up = first, down = second;
    // Rows are numbered through all of x, but only a block of them lies in between.
    up.x += begin * up.x_stride;
    up.y = reinterpret_cast<float*>(own);
    if (up.residual != nullptr) up.residual += begin * up.residual_stride;
    linear_i8_rows(isa, up, 0, count, scratch);
    down.x = up.y;
    down.y += begin * down.y_stride;
    if (down.residual != nullptr) down.residual += begin * down.residual_stride;
    linear_i8_rows(isa, down, 0, count, scratch);
  });
}

}  // namespace anyon
