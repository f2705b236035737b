// Blocks are kept by size when their last tensor goes; the next tensor of about that size takes one.
#include "graph/memory.h"

#include <map>
#include <string>

#include "core/arena.h"
#include "core/checked.h"
#include "program/describe.h"

namespace anyon::graph {

struct Memory::Pool {
  int64_t limit = 0;
  std::shared_ptr<Allocator> allocator;
  int64_t held = 0;  // bytes of all blocks, in use or spare
  std::multimap<int64_t, Arena> spare;

  Arena take(int64_t bytes) {
    const auto found = spare.lower_bound(bytes);
    if (found != spare.end() && found->first <= bytes + bytes / 4 + 4096) {
      Arena block = std::move(found->second);
      spare.erase(found);
      return block;
    }
    if (bytes > limit - held) {
      for (const auto& [size, block] : spare) held -= size;
      spare.clear();
    }
    if (bytes > limit - held) {
      throw_error(Status::kOutOfMemory, {"needs ", bytes, " bytes, but the graph holds ", held, " of the ", limit,
                                         " it may use (by default half of this machine's memory; use smaller inputs)"});
    }
    Arena block(bytes, allocator);
    held += bytes;
    return block;
  }
};

Memory::Memory(int64_t limit_bytes, std::shared_ptr<Allocator> allocator) : pool_(std::make_shared<Pool>()) {
  pool_->limit = limit_bytes;
  pool_->allocator = std::move(allocator);
}

Tensor Memory::allocate(DType dtype, const Shape& shape) {
  expect_extent(dtype, shape);
  int64_t bytes = shape.elements() * size_of(dtype);
  if (!checked_round_up(bytes, Arena::kAlignment, &bytes)) {
    throw_error(Status::kBadProgram, {"the shape ", shape_text(shape), " is too large to address"});
  }
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = shape;
  tensor.defined = true;
  auto* block = new Arena(pool_->take(bytes));
  const auto give_back = [pool = pool_](Arena* arena) {
    pool->spare.emplace(arena->size(), std::move(*arena));
    delete arena;
  };
  const std::shared_ptr<Arena> owner(block, give_back);
  tensor.data = owner->data();
  tensor.owner = owner;
  return tensor;
}

void Memory::expect_extent(DType dtype, const Shape& shape) const {
  Shape filled = shape;
  for (int axis = 0; axis < shape.rank(); ++axis) filled[axis] = shape[axis] == 0 ? 1 : shape[axis];
  int64_t bytes = 0;
  if (!checked_bytes(filled, dtype, &bytes)) {
    throw_error(Status::kBadProgram, {"the shape ", shape_text(shape), " is negative or too large to address"});
  }
  if (bytes > pool_->limit) {
    throw_error(Status::kOutOfMemory,
                {"needs ", bytes, " bytes for the shape ", shape_text(shape), ", but the graph may use ", pool_->limit,
                 " (by default half of this machine's memory; use smaller inputs)"});
  }
}

int64_t Memory::held_bytes() const {
  return pool_->held;
}

int64_t Memory::limit() const {
  return pool_->limit;
}

}  // namespace anyon::graph
