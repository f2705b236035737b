// Where blocks with known lifetimes go in one arena.
#pragma once

#include <cstdint>
#include <span>

namespace anyon {

// Memory needed from op `first` to op `last`, both included.
struct MemoryBlock {
  int64_t bytes = 0;
  int first = 0, last = 0;
  int64_t offset = 0;  // the result
};

// Gives every block an offset, a multiple of the arena's alignment, so that blocks alive at the same op never overlap.
// Largest first, each into the tightest gap that fits. Returns the arena's size.
// Throws Error(kOutOfMemory) when the sizes do not add up to something addressable.
int64_t place_blocks(std::span<MemoryBlock> blocks);

}  // namespace anyon
