// linear's block kernel, written once: panels of W stay in the first-level cache while all rows of the block pass.
#pragma once

#include "kernels/activation_math.h"
#include "kernels/linear/linear.h"
#include "kernels/linear/micro_kernel.h"

namespace anyon::ANYON_SIMD {

// y = act(tile + bias) + residual for columns [begin, begin + width) of the block; the tile is still in cache.
template <Epilogue kEpilogue>
void finish_tile(const LinearBlock& block, const float* tile, int64_t tile_stride, int64_t begin, int64_t width) {
  const bool has_bias = block.bias != nullptr, has_residual = block.residual != nullptr;
  for (int64_t row = 0; row < block.rows; ++row) {
    const float* sums = tile + row * tile_stride;
    float* y = block.y + row * block.y_stride + begin;
    const float* residual = has_residual ? block.residual + row * block.residual_stride + begin : nullptr;
    const float* bias = has_bias ? block.bias + begin : nullptr;
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      Vec value = load(sums + i);
      if (has_bias) value = add(value, load(bias + i));
      value = activate<kEpilogue>(value, block.activation);
      if (has_residual) value = add(value, load(residual + i));
      store(y + i, value);
    }
    if (const int64_t rest = width - i; rest > 0) {
      Vec value = load(sums + i);
      if (has_bias) value = add(value, load_partial(bias + i, rest));
      value = activate<kEpilogue>(value, block.activation);
      if (has_residual) value = add(value, load_partial(residual + i, rest));
      store_partial(y + i, value, rest);
    }
  }
}

inline void finish(const LinearBlock& block, const float* tile, int64_t tile_stride, int64_t begin, int64_t width) {
  with_epilogue(block.activation,
                [&](auto epilogue) { finish_tile<epilogue()>(block, tile, tile_stride, begin, width); });
}

inline void linear_block(const LinearBlock& block) {
  // 16 KiB of one panel: half of a first-level cache, the other half takes rows of x and the tile.
  constexpr int64_t kDepth = 384;
  alignas(64) float tile[kLinearMaxRows * kMaxPanels * kPanelWidth];
  if (block.rows <= 0 || block.n <= 0) return;
  const int64_t panels = (block.n + kPanelWidth - 1) / kPanelWidth;
  const int64_t panel_stride = block.k * kPanelWidth;
  const int64_t group = strip_panels(static_cast<int>(Strips(block.rows).rows(0)));
  const int64_t tile_stride = group * kPanelWidth;
  // With one strip nothing is read twice, so long streams beat small chunks.
  const bool many_strips = block.rows > kStripRows;
  const int64_t chunks = !many_strips ? 1 : larger<int64_t>(1, (block.k + kDepth - 1) / kDepth);
  const int64_t depth = (block.k + chunks - 1) / chunks;
  for (int64_t panel = 0; panel < panels; panel += group) {
    const int64_t taken = smaller(group, panels - panel);
    const float* weight = block.weight + panel * panel_stride;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t begin = chunk * depth;
      const float* next = nullptr;
      if (chunk + 1 < chunks) {
        next = weight + (begin + depth) * kPanelWidth;
      } else if (panel + 2 * group <= panels) {
        next = weight + group * panel_stride;
      }
      multiply_tile(block.x_rows, block.rows, begin, weight + begin * kPanelWidth, taken, panel_stride,
                    smaller(depth, block.k - begin), chunk > 0, tile, tile_stride, many_strips ? next : nullptr);
    }
    finish(block, tile, tile_stride, panel * kPanelWidth, smaller(taken * kPanelWidth, block.n - panel * kPanelWidth));
  }
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

void ANYON_KERNEL_NAME(linear_f32_panel16)(const LinearBlock& block) {
  ANYON_SIMD::linear_block(block);
}

}  // namespace anyon
