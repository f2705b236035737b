// Memory of a graph's values: blocks that are used again, within a limit that no graph can exceed.
#pragma once

#include <cstdint>
#include <memory>

#include "graph/tensor.h"

namespace anyon {
class Allocator;
}

namespace anyon::graph {

// Used by one thread at a time. Tensors may outlive it.
class Memory {
 public:
  explicit Memory(int64_t limit_bytes, std::shared_ptr<Allocator> allocator = nullptr);

  // A tensor with uninitialised elements. Throws Error(kOutOfMemory) when it does not fit under the limit, and
  // Error(kBadProgram) when a dimension is negative or the size cannot be addressed.
  Tensor allocate(DType dtype, const Shape& shape);

  // Throws the same errors for a tensor that is made elsewhere. A zero among the dimensions does not excuse the others:
  // what ops do with them takes time and memory even when there is no element.
  void expect_extent(DType dtype, const Shape& shape) const;

  int64_t held_bytes() const;
  int64_t limit() const;

 private:
  struct Pool;
  std::shared_ptr<Pool> pool_;
};

}  // namespace anyon::graph
