// How products of quantised rows are cut into tasks: few rows share out the panels, many are cut into blocks of rows
// that each thread quantises for itself.
#pragma once

#include <algorithm>

#include "core/function_ref.h"
#include "core/threads.h"

namespace anyon {

class QuantizedWork {
 public:
  // `row_bytes` of scratch for each quantised row, a multiple of 64.
  QuantizedWork(int64_t m, int64_t row_bytes, int threads)
      : m_(m),
        row_bytes_(row_bytes),
        threads_(threads),
        rows_(m <= kFewRows ? std::max<int64_t>(m, 1)
                            : std::min(kBlockRows, ceil_div(ceil_div(m, threads), kStep) * kStep)) {}

  // Rows that one scratch holds.
  int64_t rows() const { return rows_; }
  int64_t workspace_bytes() const { return (m_ <= kFewRows ? 1 : threads_) * rows_ * row_bytes_; }

  // quantize(first, count, scratch) fills scratch with rows [first, first + count) of x; multiply(first, count,
  // scratch, panel, panels) multiplies them. `weight_bytes` of all `panels` together.
  void run(int64_t panels, int64_t weight_bytes, void* workspace, ThreadPool& pool,
           FunctionRef<void(int64_t, int64_t, std::byte*)> quantize,
           FunctionRef<void(int64_t, int64_t, std::byte*, int64_t, int64_t)> multiply) const {
    auto* scratch = static_cast<std::byte*>(workspace);
    if (m_ <= kFewRows) {
      quantize(0, m_, scratch);
      const int64_t tasks = std::clamp<int64_t>(weight_bytes / kTaskBytes, 1, std::min<int64_t>(panels, pool.size()));
      const int64_t step = ceil_div(panels, tasks);
      pool.run(ceil_div(panels, step),
               [&](int64_t task, int) { multiply(0, m_, scratch, task * step, std::min(step, panels - task * step)); });
      return;
    }
    pool.run(ceil_div(m_, rows_), [&](int64_t task, int worker) {
      const int64_t first = task * rows_, count = std::min(rows_, m_ - first);
      std::byte* own = scratch + worker * rows_ * row_bytes_;
      quantize(first, count, own);
      multiply(first, count, own, 0, panels);
    });
  }

 private:
  static constexpr int64_t kFewRows = 16;
  static constexpr int64_t kBlockRows = 96;  // a multiple of every strip
  static constexpr int64_t kStep = 12;
  // A task is worth another thread's wake-up when it reads this much weight (about 2 us).
  static constexpr int64_t kTaskBytes = 64 << 10;

  static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

  int64_t m_, row_bytes_;
  int threads_;
  int64_t rows_;
};

}  // namespace anyon
