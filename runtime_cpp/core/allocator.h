// Where large blocks of memory come from: the C library, or an application's own functions.
#pragma once

#include <cstddef>

namespace anyon {

// Any thread may call both.
class Allocator {
 public:
  virtual ~Allocator() = default;
  // Uninitialised bytes aligned to `alignment`, a power of two that divides `bytes`; null when there are none.
  virtual void* allocate(size_t bytes, size_t alignment) noexcept = 0;
  virtual void release(void* memory, size_t bytes) noexcept = 0;
};

}  // namespace anyon
