// The inner product of every matrix op: a few rows times a few 16-wide panels, accumulators in registers.
#pragma once

#include "kernels/simd.h"

namespace anyon::ANYON_SIMD {

inline constexpr int kPanelWidth = 16;
inline constexpr int kPanelVectors = kPanelWidth / kLanes;

// The largest tile that leaves registers for the operands: rows of a full strip, and how many panels a strip of `rows`
// takes at once. At least 8 independent chains hide the latency of two multiply-adds per cycle.
#if defined(ANYON_SIMD_AVX512)
inline constexpr int kStripRows = 8;
constexpr int strip_panels(int rows) {
  return rows == 1 ? 8 : rows == 2 ? 4 : 3;
}
#elif defined(ANYON_SIMD_AVX2)
inline constexpr int kStripRows = 6;
constexpr int strip_panels(int rows) {
  return rows == 1 ? 4 : rows <= 3 ? 2 : 1;
}
#elif defined(ANYON_SIMD_NEON)
inline constexpr int kStripRows = 5;
constexpr int strip_panels(int rows) {
  return rows == 1 ? 2 : 1;
}
#else
inline constexpr int kStripRows = 2;
constexpr int strip_panels(int) {
  return 1;
}
#endif
inline constexpr int kMaxPanels = strip_panels(1);

// tile (rows, panels*16) = [tile +] x (rows, depth) times panels (depth, 16), `panel_stride` floats apart.
// x_rows point at the first of the `depth` values. Without `accumulate` the chains start from 0.
using micro_kernel = void(const float* const* x_rows, const float* weight, int64_t panel_stride, int64_t depth,
                          bool accumulate, float* tile, int64_t tile_stride);

template <int kRows, int kPanels>
void multiply_strip(const float* const* x_rows, const float* weight, int64_t panel_stride, int64_t depth,
                    bool accumulate, float* tile, int64_t tile_stride) {
  constexpr int kVectors = kPanels * kPanelVectors;
  const float* x[kRows];
  Vec sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    x[r] = x_rows[r];
#pragma GCC unroll 16
    for (int c = 0; c < kVectors; ++c) sum[r][c] = accumulate ? load(tile + r * tile_stride + c * kLanes) : zero();
  }
  const float* panels[kPanels];
#pragma GCC unroll 16
  for (int p = 0; p < kPanels; ++p) panels[p] = weight + p * panel_stride;
  for (int64_t i = 0; i < depth; ++i) {
    Vec w[kVectors];
#pragma GCC unroll 16
    for (int c = 0; c < kVectors; ++c) {
      w[c] = load(panels[c / kPanelVectors] + i * kPanelWidth + c % kPanelVectors * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec value = load1(x[r] + i);
#pragma GCC unroll 16
      for (int c = 0; c < kVectors; ++c) sum[r][c] = fma(value, w[c], sum[r][c]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kVectors; ++c) store(tile + r * tile_stride + c * kLanes, sum[r][c]);
  }
}

// How many of `left` panels the next call for a strip of `rows` takes: a full group, half of a single row's, or one.
inline int64_t panels_taken(int64_t rows, int64_t left) {
  const int64_t group = strip_panels(static_cast<int>(rows));
  if (left >= group) return group;
  return rows == 1 && left >= kMaxPanels / 2 && kMaxPanels > 2 ? kMaxPanels / 2 : 1;
}

// The kernel for a strip of `rows` and as many panels as panels_taken says.
template <int kRows>
micro_kernel* kernel_of(int64_t panels) {
  if (panels == 1) return multiply_strip<kRows, 1>;
  if constexpr (kRows == 1 && kMaxPanels > 2) {
    if (panels == kMaxPanels / 2) return multiply_strip<kRows, kMaxPanels / 2>;
  }
  return multiply_strip<kRows, strip_panels(kRows)>;
}

inline micro_kernel* strip_kernel(int64_t rows, int64_t panels) {
  switch (rows) {
    case 1:
      return kernel_of<1>(panels);
    case 2:
      return kernel_of<2>(panels);
#if !defined(ANYON_SIMD_SCALAR) && !defined(ANYON_SIMD_WASMSIMD)
    case 3:
      return kernel_of<3>(panels);
    case 4:
      return kernel_of<4>(panels);
    case 5:
      return kernel_of<5>(panels);
#if !defined(ANYON_SIMD_NEON)
    case 6:
      return kernel_of<6>(panels);
#endif
#endif
#if defined(ANYON_SIMD_AVX512)
    case 7:
      return kernel_of<7>(panels);
    case 8:
      return kernel_of<8>(panels);
#endif
    default:
      return nullptr;  // strips have at most kStripRows rows
  }
}

// Rows cut into strips whose sizes differ by at most one. Where there are several, each has at least half of
// kStripRows, from where on strip_panels is constant: all strips of a block take equally many panels.
struct Strips {
  explicit Strips(int64_t rows)
      : count((rows + kStripRows - 1) / kStripRows), size(rows / count), longer(rows % count) {}
  int64_t begin(int64_t strip) const { return strip * size + smaller(strip, longer); }
  int64_t rows(int64_t strip) const { return size + (strip < longer ? 1 : 0); }

  int64_t count;
  int64_t size;    // of a strip
  int64_t longer;  // the first strips that have one row more
};

// Asks for rows [begin, end) of `panels` panels, so that they travel to the second-level cache during this strip.
inline void prefetch_rows(const float* weight, int64_t panels, int64_t panel_stride, int64_t begin, int64_t end) {
  for (int64_t panel = 0; panel < panels; ++panel) {
    const float* rows = weight + panel * panel_stride;
    for (int64_t i = begin; i < end; ++i) prefetch_far(rows + i * kPanelWidth);
  }
}

// tile (rows, panels*16) = [tile +] x times `panels` panels over `depth` values, for any number of rows and panels.
// The weights of `panels` * `depth` should fit the first-level cache when there are several strips. `next`, if not
// null, is what the next call will multiply by: as many panels, equally far apart.
inline void multiply_tile(const float* const* x_rows, int64_t rows, int64_t x_offset, const float* weight,
                          int64_t panels, int64_t panel_stride, int64_t depth, bool accumulate, float* tile,
                          int64_t tile_stride, const float* next = nullptr) {
  const Strips strips(rows);
  const int64_t share = (depth + strips.count - 1) / strips.count;
  int64_t panel = 0;
  while (panel < panels) {
    const int64_t taken = panels_taken(strips.rows(0), panels - panel);
    for (int64_t strip = 0; strip < strips.count; ++strip) {
      const int64_t begin = strips.begin(strip), strip_rows = strips.rows(strip);
      const float* x[kStripRows];
      for (int64_t r = 0; r < strip_rows; ++r) x[r] = x_rows[begin + r] + x_offset;
      if (next != nullptr) {
        prefetch_rows(next + panel * panel_stride, taken, panel_stride, strip * share,
                      smaller(depth, (strip + 1) * share));
      }
      strip_kernel(strip_rows, taken)(x, weight + panel * panel_stride, panel_stride, depth, accumulate,
                                      tile + begin * tile_stride + panel * kPanelWidth, tile_stride);
    }
    panel += taken;
  }
}

}  // namespace anyon::ANYON_SIMD
