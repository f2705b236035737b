// Best-fit placement in order of decreasing size.
#include "program/layout.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/arena.h"
#include "core/checked.h"
#include "core/limits.h"
#include "core/status.h"

namespace anyon {

int64_t place_blocks(std::span<MemoryBlock> blocks) {
  constexpr int64_t kMaxBytes = limits::kMemory;
  std::vector<uint32_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [blocks](uint32_t a, uint32_t b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<const MemoryBlock*> placed;  // by rising offset
  placed.reserve(blocks.size());
  int64_t total = 0;
  for (const uint32_t index : order) {
    MemoryBlock& block = blocks[index];
    int64_t bytes = 0;
    if (block.bytes < 0 || !checked_round_up(block.bytes, Arena::kAlignment, &bytes) || bytes > kMaxBytes) {
      throw_error(Status::kOutOfMemory, {"a value of the program is too large to address"});
    }
    int64_t end = 0;  // of the alive blocks passed so far
    int64_t best = -1;
    int64_t best_gap = INT64_MAX;
    for (const MemoryBlock* other : placed) {
      if (other->last < block.first || block.last < other->first) continue;
      const int64_t gap = other->offset - end;
      if (gap >= bytes && gap < best_gap) {
        best = end;
        best_gap = gap;
      }
      int64_t other_end = 0;
      // Cannot overflow: both were bounded when `other` was placed.
      if (!checked_round_up(other->offset + other->bytes, Arena::kAlignment, &other_end)) continue;
      end = std::max(end, other_end);
    }
    block.offset = best >= 0 ? best : end;
    total = std::max(total, block.offset + bytes);
    if (total > kMaxBytes) throw_error(Status::kOutOfMemory, {"the program's values are too large to address"});
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &block,
                                   [](const MemoryBlock* a, const MemoryBlock* b) { return a->offset < b->offset; }),
                  &block);
  }
  return total;
}

}  // namespace anyon
