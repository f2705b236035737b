// One aligned block of memory that values, states and scratch are placed in by offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "core/allocator.h"
#include "core/checked.h"
#include "core/status.h"

namespace anyon {

// Owns `size()` bytes, aligned to kAlignment (a cache line and the widest vector). The bytes start uninitialised, so
// pages that nothing touches never become resident.
class Arena {
 public:
  static constexpr int64_t kAlignment = 64;

  Arena() = default;
  // `allocator` null: the C library's memory.
  explicit Arena(int64_t bytes, const std::shared_ptr<Allocator>& allocator = nullptr) : bytes_(bytes) {
    if (bytes == 0) return;
    int64_t rounded = 0;
    if (bytes < 0 || !checked_round_up(bytes, kAlignment, &rounded)) {
      throw_error(Status::kOutOfMemory, {"arena: size ", bytes, " is out of range"});
    }
    const auto size = static_cast<size_t>(rounded);
    void* const memory = allocator ? allocator->allocate(size, kAlignment) : std::aligned_alloc(kAlignment, size);
    data_ = std::unique_ptr<std::byte, Free>(static_cast<std::byte*>(memory), Free(allocator, size));
    if (!data_) {
      throw_error(Status::kOutOfMemory, {"arena: the ", (allocator ? "application's allocator" : "system"), " refused ",
                                         rounded, " bytes; free memory or use a smaller batch"});
    }
  }

  int64_t size() const { return bytes_; }
  std::byte* data() const { return data_.get(); }
  std::byte* at(int64_t offset) const { return data_.get() + offset; }

 private:
  struct Free {
    std::shared_ptr<Allocator> allocator;
    size_t bytes;
    Free() : bytes(0) {}
    Free(std::shared_ptr<Allocator> from, size_t size) : allocator(std::move(from)), bytes(size) {}
    void operator()(std::byte* p) const { allocator ? allocator->release(p, bytes) : std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  int64_t bytes_ = 0;
};

}  // namespace anyon
