// The inner product of every 8-bit matrix op: a few rows of bytes times a few panels, sums in registers.
#pragma once

#include <type_traits>

#include "kernels/simd_i8.h"

namespace anyon::ANYON_SIMD {

inline constexpr int kPanelWidth = 16;
inline constexpr int kPanelVectors = kPanelWidth / kLanes;

// Rows of a full strip and panels it takes at once, so that sums, inputs and one weight fill the registers.
#if defined(ANYON_SIMD_AVX512VNNI)
inline constexpr int kStripRowsI8 = 6, kStripPanelsI8 = 4;
#elif defined(ANYON_SIMD_AVXVNNI)
inline constexpr int kStripRowsI8 = 6, kStripPanelsI8 = 1;
#elif defined(ANYON_SIMD_AVX2)
inline constexpr int kStripRowsI8 = 4, kStripPanelsI8 = 1;
#elif defined(ANYON_SIMD_NEON) || defined(ANYON_SIMD_NEONDOT) || defined(ANYON_SIMD_NEONI8MM)
inline constexpr int kStripRowsI8 = 6, kStripPanelsI8 = 1;
#elif defined(ANYON_SIMD_WASMSIMD)
inline constexpr int kStripRowsI8 = 4, kStripPanelsI8 = 4;
#else
inline constexpr int kStripRowsI8 = 2, kStripPanelsI8 = 1;
#endif
inline constexpr int kStripWidthI8 = kStripPanelsI8 * kPanelWidth;

// tile (rows, panels * 16) = x (rows, 4 * groups bytes) times panels of (groups, 16, 4), `panel_stride` bytes apart.
using micro_kernel_i8 = void(const uint8_t* x, int64_t x_stride, const int8_t* weight, int64_t panel_stride,
                             int64_t groups, int32_t* tile, int64_t tile_stride);

}  // namespace anyon::ANYON_SIMD

#if defined(ANYON_SIMD_WASMSIMD)
#include "kernels/linear_i8/micro_kernel_i8_wasm.h"
#endif

namespace anyon::ANYON_SIMD {

#if defined(ANYON_SIMD_NEONI8MM)
// i8mm multiplies 2 rows with 2 outputs over 8 inputs at once: pairs of rows, and pairs of outputs whose two groups of
// 4 inputs are brought side by side. A row or group without a partner is paired with zeros.
template <int kRows, int kPanels>
void dot_strip(const uint8_t* x, int64_t x_stride, const int8_t* weight, int64_t /*panel_stride*/, int64_t groups,
               int32_t* tile, int64_t tile_stride) {
  static_assert(kPanels == 1);
  constexpr int kRowPairs = (kRows + 1) / 2, kOutputPairs = kPanelWidth / 2;
  int32x4_t sum[kRowPairs][kOutputPairs];
  for (auto& row : sum) {
    for (int32x4_t& lanes : row) lanes = vdupq_n_s32(0);
  }
  const auto inputs = [&](int row, int64_t g, bool pair) {
    int32_t four[2] = {0, 0};
    __builtin_memcpy(four, x + row * x_stride + g * 4, pair ? 8 : 4);
    return vreinterpret_s8_s32(vld1_s32(four));
  };
  const auto step = [&](int64_t g, bool pair) __attribute__((always_inline)) {
    int8x16_t rows[kRowPairs];
#pragma GCC unroll 16
    for (int r = 0; r < kRowPairs; ++r) {
      rows[r] = vcombine_s8(inputs(2 * r, g, pair), 2 * r + 1 < kRows ? inputs(2 * r + 1, g, pair) : vdup_n_s8(0));
    }
    const int8_t* w = weight + g * kPanelWidth * 4;
#pragma GCC unroll 16
    for (int quad = 0; quad < kPanelWidth / 4; ++quad) {
      const int32x4_t first = vreinterpretq_s32_s8(vld1q_s8(w + quad * 16));
      const int32x4_t second = pair ? vreinterpretq_s32_s8(vld1q_s8(w + kPanelWidth * 4 + quad * 16)) : vdupq_n_s32(0);
      const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(first, second));
      const int8x16_t high = vreinterpretq_s8_s32(vzip2q_s32(first, second));
#pragma GCC unroll 16
      for (int r = 0; r < kRowPairs; ++r) {
        sum[r][2 * quad] = vmmlaq_s32(sum[r][2 * quad], rows[r], low);
        sum[r][2 * quad + 1] = vmmlaq_s32(sum[r][2 * quad + 1], rows[r], high);
      }
    }
  };
  int64_t g = 0;
  for (; g + 2 <= groups; g += 2) step(g, true);
  if (g < groups) step(g, false);
  for (int r = 0; r < kRows; ++r) {
    for (int p = 0; p < kOutputPairs; ++p) {
      const int32x4_t lanes = sum[r / 2][p];
      vst1_s32(tile + r * tile_stride + 2 * p, r % 2 == 0 ? vget_low_s32(lanes) : vget_high_s32(lanes));
    }
  }
}
#elif !defined(ANYON_SIMD_WASMSIMD)
template <int kRows, int kPanels>
void dot_strip(const uint8_t* x, int64_t x_stride, const int8_t* weight, int64_t panel_stride, int64_t groups,
               int32_t* tile, int64_t tile_stride) {
  constexpr int kVectors = kPanels * kPanelVectors;
  Sum sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kVectors; ++c) sum[r][c] = zero_sum();
  }
  const uint8_t* rows[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) rows[r] = x + r * x_stride;
  const int8_t* panels[kPanels];
#pragma GCC unroll 16
  for (int p = 0; p < kPanels; ++p) panels[p] = weight + p * panel_stride;
  for (int64_t g = 0; g < groups; ++g) {
    Input input[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) input[r] = broadcast4(rows[r] + g * 4);
#pragma GCC unroll 16
    for (int c = 0; c < kVectors; ++c) {
      const Weights w =
          load_weights(panels[c / kPanelVectors] + g * kPanelWidth * 4 + c % kPanelVectors * (kLanes * 4));
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[r][c] = dot4(sum[r][c], input[r], w);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kVectors; ++c) store_sum(tile + r * tile_stride + c * kLanes, sum[r][c]);
  }
}
#endif

// One panel read as one stream, for few rows, where memory is the limit: the groups go to kChains sums in turn.
template <int kRows>
void dot_stream(const uint8_t* x, int64_t x_stride, const int8_t* weight, int64_t /*panel_stride*/, int64_t groups,
                int32_t* tile, int64_t tile_stride) {
#if defined(ANYON_SIMD_WASMSIMD)
  dot_strip<kRows, 1>(x, x_stride, weight, 0, groups, tile, tile_stride);
#else
  constexpr int kChains = kPanelVectors > 1 ? 1 : kRows <= 3 ? 4 : 2;
  Sum sum[kChains][kRows][kPanelVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < kPanelVectors; ++c) sum[i][r][c] = zero_sum();
    }
  }
  const auto step = [&](int chain, int64_t g) __attribute__((always_inline)) {
    Input input[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) input[r] = broadcast4(x + r * x_stride + g * 4);
#pragma GCC unroll 16
    for (int c = 0; c < kPanelVectors; ++c) {
      const Weights w = load_weights(weight + g * kPanelWidth * 4 + c * (kLanes * 4));
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[chain][r][c] = dot4(sum[chain][r][c], input[r], w);
    }
  };
  int64_t g = 0;
  for (; g + kChains <= groups; g += kChains) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) step(i, g + i);
  }
  for (; g < groups; ++g) step(0, g);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kPanelVectors; ++c) {
      Sum total = sum[0][r][c];
#pragma GCC unroll 16
      for (int i = 1; i < kChains; ++i) total = add(total, sum[i][r][c]);
      store_sum(tile + r * tile_stride + c * kLanes, total);
    }
  }
#endif
}

#if defined(ANYON_SIMD_AVX512VNNI)
// One or two rows at the speed of the second-level cache, a vector of weights each cycle. A load for each 4 inputs
// would halve that, so inputs are loaded 16 at a time and picked apart; of the second row half only, since shuffles and
// products share the vector units.
template <int kRows>
inline void dot_stream_few(const uint8_t* x, int64_t x_stride, const int8_t* weight, int64_t groups, int32_t* tile,
                           int64_t tile_stride) {
  static_assert(kRows <= 2);
  constexpr int kChains = 4;
  Sum sum[kChains][kRows];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) sum[i][r] = zero_sum();
  }
  int64_t g = 0;
  for (; g + kChains <= groups; g += kChains) {
    Inputs inputs[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) inputs[r] = load_inputs(x + r * x_stride + g * 4);
    const auto step = [&]<int kGroup>(std::integral_constant<int, kGroup>) __attribute__((always_inline)) {
      const Weights w = load_weights(weight + (g + kGroup) * kPanelWidth * 4);
      add_dot4(sum[kGroup][0], pick<kGroup>(inputs[0]), w);
      if constexpr (kRows == 2) {
        const Input second = kGroup < 2 ? broadcast4(x + x_stride + (g + kGroup) * 4) : pick<kGroup>(inputs[1]);
        add_dot4(sum[kGroup][1], second, w);
      }
    };
    step(std::integral_constant<int, 0>{});
    step(std::integral_constant<int, 1>{});
    step(std::integral_constant<int, 2>{});
    step(std::integral_constant<int, 3>{});
  }
  for (; g < groups; ++g) {
    const Weights w = load_weights(weight + g * kPanelWidth * 4);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) add_dot4(sum[0][r], broadcast4(x + r * x_stride + g * 4), w);
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    store_sum(tile + r * tile_stride, add(add(sum[0][r], sum[1][r]), add(sum[2][r], sum[3][r])));
  }
}

// The panels of a strip one after the other: interleaved streams confuse the prefetcher.
template <int kRows, int kPanels>
void dot_panels(const uint8_t* x, int64_t x_stride, const int8_t* weight, int64_t panel_stride, int64_t groups,
                int32_t* tile, int64_t tile_stride) {
  for (int p = 0; p < kPanels; ++p) {
    dot_stream_few<kRows>(x, x_stride, weight + p * panel_stride, groups, tile + p * kPanelWidth, tile_stride);
  }
}
#endif

// The kernel for a strip of `rows` and either kStripPanelsI8 panels (`wide`) or one.
inline micro_kernel_i8* strip_kernel_i8(int64_t rows, bool wide) {
  switch (rows) {
#if defined(ANYON_SIMD_AVX512VNNI)
    case 1:
      return wide ? dot_panels<1, kStripPanelsI8> : dot_panels<1, 1>;
    case 2:
      return wide ? dot_panels<2, kStripPanelsI8> : dot_panels<2, 1>;
#else
    case 1:
      return wide ? dot_strip<1, kStripPanelsI8> : dot_stream<1>;
    case 2:
      return wide ? dot_strip<2, kStripPanelsI8> : dot_stream<2>;
#endif
#if !defined(ANYON_SIMD_SCALAR)
    case 3:
      return wide ? dot_strip<3, kStripPanelsI8> : dot_stream<3>;
    case 4:
      return wide ? dot_strip<4, kStripPanelsI8> : dot_stream<4>;
#if !defined(ANYON_SIMD_AVX2) && !defined(ANYON_SIMD_WASMSIMD)
    case 5:
      return wide ? dot_strip<5, kStripPanelsI8> : dot_stream<5>;
    case 6:
      return wide ? dot_strip<6, kStripPanelsI8> : dot_stream<6>;
#endif
#endif
    default:
      return nullptr;  // strips have at most kStripRowsI8 rows
  }
}

}  // namespace anyon::ANYON_SIMD
