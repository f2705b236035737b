// numpy broadcasting: several operands read as one shape, walked row by row.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/function_ref.h"
#include "core/threads.h"
#include "graph/tensor.h"

namespace anyon::graph {

// The shape that all of them broadcast to. Throws Error(kBadProgram).
Shape broadcast(std::span<const Shape> shapes);

// Up to three dense operands read as `shape`.
class Broadcast {
 public:
  static constexpr int kMaxOperands = 3;

  Broadcast(const Shape& shape, std::span<const Shape> operands);

  // Steps of the operands along a row: 0 or 1.
  int64_t step(int operand) const { return steps_[static_cast<size_t>(operand)]; }

  // Calls row(first, offsets, n): elements [first, first + n) of the result, and where each operand's lie. Rows of
  // a large result are shared out over the pool.
  using Row = void(int64_t first, const int64_t* offsets, int64_t n);
  void for_each_row(ThreadPool& pool, FunctionRef<Row> row) const;

 private:
  int rank_ = 0;  // of the outer axes, which remain when neighbours that are read alike became one
  std::array<int64_t, Shape::kMaxRank> dims_{};
  std::array<std::array<int64_t, kMaxOperands>, Shape::kMaxRank> strides_{};
  std::array<int64_t, kMaxOperands> steps_{};
  int64_t row_ = 1;
  int64_t rows_ = 1;
};

}  // namespace anyon::graph
