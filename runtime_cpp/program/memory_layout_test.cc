// Blocks that are alive together never overlap, and memory is reused where they are not.
#include "program/layout.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/status.h"

namespace anyon {
namespace {

TEST(PlaceBlocks, ReusesMemoryOfDeadBlocks) {
  // A chain: each value lives until the next op has read it.
  std::vector<MemoryBlock> chain = {{1024, 0, 1, 0}, {1024, 1, 2, 0}, {1024, 2, 3, 0}, {1024, 3, 4, 0}};
  EXPECT_EQ(place_blocks(chain), 2048);
}

TEST(PlaceBlocks, TakesTheTightestGap) {
  // While `probe` lives, there are gaps of 256 (before b) and 128 (between b and d) bytes.
  std::vector<MemoryBlock> blocks = {{256, 0, 1, 0}, {320, 0, 9, 0}, {128, 0, 1, 0}, {192, 0, 9, 0}, {64, 5, 6, 0}};
  const int64_t total = place_blocks(blocks);
  EXPECT_EQ(total, 256 + 320 + 128 + 192);
  EXPECT_LT(blocks[4].offset, total - 64) << "a dead block's place was free";
}

TEST(PlaceBlocks, NeverOverlapsLiveBlocksAndStaysNearTheLowerBound) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<MemoryBlock> blocks;
    for (size_t i = 0; i < 40; ++i) {
      const int first = static_cast<int>(random() % 30);
      blocks.push_back({static_cast<int64_t>(random() % 5000), first, first + static_cast<int>(random() % 8), 0});
    }
    const int64_t total = place_blocks(blocks);
    int64_t needed = 0;  // at the op with most alive bytes
    for (int op = 0; op < 40; ++op) {
      int64_t alive = 0;
      for (const MemoryBlock& block : blocks) {
        if (block.first <= op && op <= block.last) alive += (block.bytes + 63) / 64 * 64;
      }
      needed = std::max(needed, alive);
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const MemoryBlock& a = blocks[i];
      ASSERT_EQ(a.offset % 64, 0);
      ASSERT_LE(a.offset + a.bytes, total);
      for (size_t j = 0; j < i; ++j) {
        const MemoryBlock& b = blocks[j];
        const bool together = a.first <= b.last && b.first <= a.last;
        ASSERT_TRUE(!together || a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset)
            << "round " << round << ": blocks " << i << " and " << j;
      }
    }
    EXPECT_GE(total, needed);
    EXPECT_LE(total, needed * 3 / 2) << "round " << round;
  }
}

TEST(PlaceBlocks, RefusesSizesBeyondAddressing) {
  std::vector<MemoryBlock> one = {{int64_t{1} << 62, 0, 1, 0}};
  EXPECT_THROW(place_blocks(one), Error);
  std::vector<MemoryBlock> many(20, {int64_t{1} << 45, 0, 1, 0});
  EXPECT_THROW(place_blocks(many), Error);
  std::vector<MemoryBlock> negative = {{-1, 0, 1, 0}};
  EXPECT_THROW(place_blocks(negative), Error);
  EXPECT_EQ(place_blocks({}), 0);
}

}  // namespace
}  // namespace anyon
