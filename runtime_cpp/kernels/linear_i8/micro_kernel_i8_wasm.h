// The 8-bit inner product on WebAssembly, whose products take 16 bits: weights are widened as they are loaded, 4 inputs
// of 2 outputs to a vector, so that an output's sum lies in two lanes until the end. Inputs of several rows are widened
// once for all panels of a strip, and laid side by side, so that one address serves all rows.
#pragma once

#include "kernels/simd_i8.h"

namespace anyon::ANYON_SIMD {

// Groups of 4 inputs that are widened together: 8 KiB for 4 rows.
inline constexpr int64_t kWidenedGroups = 256;

// to (groups, kRows, 4) of 16 bits = x (kRows, 4 * groups) of 8
template <int kRows>
inline void widen_rows(const uint8_t* x, int64_t x_stride, int64_t groups, int16_t* to) {
  for (int r = 0; r < kRows; ++r) {
    const uint8_t* row = x + r * x_stride;
    for (int32_t g = 0; g < static_cast<int32_t>(groups); ++g) {
      const v128_t four = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(row + g * 4));
      wasm_v128_store64_lane(to + (g * kRows + r) * 4, four, 0);
    }
  }
}

// tile (kRows, 4 * kQuads) = [tile +] inputs (groups, kRows, 4) times 4 * kQuads outputs of a panel.
template <int kRows, int kQuads, class LoadInput>
inline void dot_quads(LoadInput&& load_input, const int8_t* weight, int64_t groups, bool accumulate, int32_t* tile,
                      int64_t tile_stride) {
  v128_t sum[kRows][kQuads][2];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int q = 0; q < kQuads; ++q) sum[r][q][0] = sum[r][q][1] = wasm_i32x4_const_splat(0);
  }
  for (int32_t g = 0; g < static_cast<int32_t>(groups); ++g) {
    // Few rows keep their inputs at hand, and many the weights: both together would be more than there are registers.
    v128_t input[kRows];
    if constexpr (kQuads > 1) {
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) input[r] = load_input(g, r);
    }
#pragma GCC unroll 16
    for (int q = 0; q < kQuads; ++q) {
      const v128_t low = wasm_i16x8_load8x8(weight + g * 64 + q * 16);
      const v128_t high = wasm_i16x8_load8x8(weight + g * 64 + q * 16 + 8);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        if constexpr (kQuads == 1) input[r] = load_input(g, r);
        sum[r][q][0] = wasm_i32x4_add(sum[r][q][0], wasm_i32x4_dot_i16x8(input[r], low));
        sum[r][q][1] = wasm_i32x4_add(sum[r][q][1], wasm_i32x4_dot_i16x8(input[r], high));
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int q = 0; q < kQuads; ++q) {
      const v128_t even = wasm_i32x4_shuffle(sum[r][q][0], sum[r][q][1], 0, 2, 4, 6);
      const v128_t odd = wasm_i32x4_shuffle(sum[r][q][0], sum[r][q][1], 1, 3, 5, 7);
      int32_t* to = tile + r * tile_stride + q * 4;
      const Sum total = {wasm_i32x4_add(even, odd)};
      store_sum(to, accumulate ? add(load_sum(to), total) : total);
    }
  }
}

template <int kRows, int kPanels>
void dot_strip(const uint8_t* x, int64_t x_stride, const int8_t* weight, int64_t panel_stride, int64_t groups,
               int32_t* tile, int64_t tile_stride) {
  if constexpr (kRows == 1) {
    const auto input = [&](int32_t g, int) { return wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(x + g * 4)); };
    for (int p = 0; p < kPanels; ++p) {
      dot_quads<1, kPanelVectors>(input, weight + p * panel_stride, groups, false, tile + p * kPanelWidth, tile_stride);
    }
  } else {
    alignas(16) int16_t widened[kRows * 4 * kWidenedGroups];
    const auto input = [&](int32_t g, int r) { return wasm_v128_load64_splat(widened + (g * kRows + r) * 4); };
    constexpr int kQuads = kRows == 2 ? 2 : 1;  // sums fill half of the registers
    for (int64_t begin = 0; begin < groups; begin += kWidenedGroups) {
      const int64_t count = smaller(kWidenedGroups, groups - begin);
      widen_rows<kRows>(x + begin * 4, x_stride, count, widened);
      for (int p = 0; p < kPanels; ++p) {
        const int8_t* panel = weight + p * panel_stride + begin * 64;
        for (int q = 0; q < kPanelVectors; q += kQuads) {
          dot_quads<kRows, kQuads>(input, panel + q * 16, count, begin > 0, tile + p * kPanelWidth + q * 4,
                                   tile_stride);
        }
      }
    }
  }
}

}  // namespace anyon::ANYON_SIMD
