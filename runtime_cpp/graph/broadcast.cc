// Axes are merged from the last one outwards as long as every operand allows it.
#include "graph/broadcast.h"

#include <algorithm>

#include "core/status.h"
#include "program/describe.h"

namespace anyon::graph {

Shape broadcast(std::span<const Shape> shapes) {
  int rank = 0;
  for (const Shape& shape : shapes) rank = std::max(rank, shape.rank());
  std::array<int64_t, Shape::kMaxRank> dims{};
  dims.fill(1);
  for (const Shape& shape : shapes) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      int64_t& dim = dims[static_cast<size_t>(rank - shape.rank() + axis)];
      if (dim == 1) dim = shape[axis];
      if (shape[axis] != 1 && shape[axis] != dim) {
        std::string all;
        for (const Shape& each : shapes) all += (all.empty() ? "" : " and ") + shape_text(each);
        throw_error(Status::kBadProgram, {"the shapes ", all, " do not broadcast"});
      }
    }
  }
  return Shape(std::span<const int64_t>(dims).first(static_cast<size_t>(rank)));
}

Broadcast::Broadcast(const Shape& shape, std::span<const Shape> operands) {
  std::array<std::array<int64_t, kMaxOperands>, Shape::kMaxRank> strides{};
  for (size_t operand = 0; operand < operands.size(); ++operand) {
    const Shape& own = operands[operand];
    int64_t stride = 1;
    for (int axis = own.rank() - 1; axis >= 0; --axis) {
      const auto at = static_cast<size_t>(axis + shape.rank() - own.rank());
      strides[at][operand] = own[axis] == 1 ? 0 : stride;
      stride *= own[axis];
    }
  }
  bool first = true;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const auto at = static_cast<size_t>(axis);
    if (shape[axis] == 1) continue;
    if (first) {
      row_ = shape[axis];
      steps_ = strides[at];
      first = false;
      continue;
    }
    auto& inner = rank_ == 0 ? steps_ : strides_[static_cast<size_t>(rank_ - 1)];
    int64_t& inner_dim = rank_ == 0 ? row_ : dims_[static_cast<size_t>(rank_ - 1)];
    bool merges = true;
    for (size_t operand = 0; operand < operands.size(); ++operand) {
      merges = merges && strides[at][operand] == inner[operand] * inner_dim;
    }
    if (merges) {
      inner_dim *= shape[axis];
    } else {
      dims_[static_cast<size_t>(rank_)] = shape[axis];
      strides_[static_cast<size_t>(rank_)] = strides[at];
      ++rank_;
    }
    rows_ = 1;
    for (int i = 0; i < rank_; ++i) rows_ *= dims_[static_cast<size_t>(i)];
  }
}

void Broadcast::for_each_row(ThreadPool& pool, FunctionRef<Row> row) const {
  constexpr int64_t kWorthSharing = 1 << 15;  // elements
  if (row_ == 0 || rows_ == 0) return;
  if (rows_ == 1) {
    parallel_for(pool, row_, kWorthSharing, [&](int64_t begin, int64_t end, int) {
      std::array<int64_t, kMaxOperands> offsets{};
      for (size_t k = 0; k < offsets.size(); ++k) offsets[k] = begin * steps_[k];
      row(begin, offsets.data(), end - begin);
    });
    return;
  }
  parallel_for(pool, rows_, std::max<int64_t>(1, kWorthSharing / row_), [&](int64_t begin, int64_t end, int) {
    for (int64_t index = begin; index < end; ++index) {
      std::array<int64_t, kMaxOperands> offsets{};
      int64_t rest = index;
      for (size_t axis = 0; axis < static_cast<size_t>(rank_); ++axis) {
        const int64_t at = rest % dims_[axis];
        rest /= dims_[axis];
        for (size_t k = 0; k < offsets.size(); ++k) offsets[k] += at * strides_[axis][k];
      }
      row(index * row_, offsets.data(), row_);
    }
  });
}

}  // namespace anyon::graph
