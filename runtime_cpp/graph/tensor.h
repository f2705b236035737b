// A tensor of a graph: a view and whatever keeps its memory. Nothing writes to it once the op that made it returned.
#pragma once

#include <memory>

#include "core/tensor.h"

namespace anyon::graph {

struct Tensor : TensorView {
  std::shared_ptr<const void> owner;  // null when the bundle or the caller owns the memory
  bool defined = false;               // false for an optional input that was left out

  int64_t elements() const { return shape.elements(); }

  // The same memory under another shape of as many elements.
  Tensor reshaped(const Shape& other) const {
    Tensor tensor = *this;
    tensor.shape = other;
    return tensor;
  }
};

}  // namespace anyon::graph
