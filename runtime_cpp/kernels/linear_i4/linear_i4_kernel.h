// linear_i4's kernels, written once: rounding of rows, and the product group by group.
#pragma once

#include <type_traits>

#include "kernels/activation_math.h"
#include "kernels/linear_i4/linear_i4.h"
#include "kernels/linear_i8/rounding.h"
#include "kernels/simd_i4.h"

namespace anyon::ANYON_SIMD {

inline constexpr int kPanelWidthI4 = 16;
inline constexpr int kPanelVectorsI4 = kPanelWidthI4 / kLanes;
#if defined(ANYON_SIMD_SCALAR)
inline constexpr int kStripRowsI4 = 1;
#elif defined(ANYON_SIMD_AVX512VNNI)
inline constexpr int kStripRowsI4 = 6;
#else
inline constexpr int kStripRowsI4 = 2;
#endif

inline float quantize_i4(const float* x, int64_t count, int64_t group, int64_t groups, int parts, int8_t* q,
                         int64_t stride, int32_t* sums) {
  const Range extent = range(x, count);
  // 32639 = 127 * 257: the largest whose rest by 256 still leaves [-128, 127].
  const float steps = parts == 1 ? 127.0f : 32639.0f;
  const float scale = symmetric_scale(larger(-extent.low, extent.high)) * (127.0f / steps);
  // A range without a scale (next to nothing, infinite, NaN) must give zeros.
  const bool none = !(scale > 0.0f);
  const Vec inverse = set1(none ? 0.0f : 1.0f / scale), limit = set1(steps);
  auto* high = reinterpret_cast<uint8_t*>(q);
  uint8_t* low = high + stride;
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t left = count - i;
    const Vec value = left >= kLanes ? load(x + i) : load_partial(x + i, left);
    const Vec whole = none ? zero() : rounded(max(min(mul(value, inverse), limit), sub(zero(), limit)));
    // Half a step above the nearest multiple of 256, so that no rest is 128.
    const Vec upper = parts == 1 ? whole : rounded(fma(whole, set1(1.0f / 256.0f), set1(0.5f / 256.0f)));
    const Vec lower = fnma(upper, set1(256.0f), whole);
    uint8_t lanes[2][kLanes];
    store_bytes(left >= kLanes ? high + i : lanes[0], upper);
    if (parts == 2) store_bytes(left >= kLanes ? low + i : lanes[1], lower);
    for (int64_t j = 0; j < left && left < kLanes; ++j) {
      high[i + j] = lanes[0][j];
      if (parts == 2) low[i + j] = lanes[1][j];
    }
  }
  for (int part = 0; part < parts; ++part) {
    for (int64_t i = count; i < groups * group; ++i) q[part * stride + i] = 0;
  }
  for (int64_t g = 0; g < groups; ++g) {
    int32_t sum[2] = {0, 0};
    for (int part = 0; part < parts; ++part) {
      for (int64_t j = 0; j < group; ++j) sum[part] += q[part * stride + g * group + j];
    }
    sums[g] = parts == 1 ? sum[0] : sum[0] * 256 + sum[1];
  }
  return scale;
}

// sum[half][r][c] += products of one group of weights with kRows rows of bytes.
template <int kRows>
inline void sum_group(const uint8_t* weight, const int8_t* x, int64_t x_stride, int64_t group,
                      Sum (&sum)[2][kRows][kPanelVectorsI4]) {
#if defined(ANYON_SIMD_AVX512VNNI)
  // A load for each 4 inputs takes longer than the products. The first row's are loaded 16 at a time and picked apart;
  // the second row's are not, since shuffles and products share the vector units.
  if constexpr (kRows <= 2) {
    for (int64_t i = 0; i < group; i += 16) {
      const SignedInputs inputs = load_inputs_signed(x + i);
      const auto octet = [&]<int kOctet>(std::integral_constant<int, kOctet>) __attribute__((always_inline)) {
        constexpr int kFirst = 8 * kOctet;
        Halves low, high;
        load_halves(weight + (i + kFirst) * (kPanelWidthI4 / 2), &low, &high);
        add_dot4(sum[0][0][0], low, pick<2 * kOctet>(inputs));
        add_dot4(sum[1][0][0], high, pick<2 * kOctet + 1>(inputs));
        if constexpr (kRows == 2) {
          add_dot4(sum[0][1][0], low, broadcast4_signed(x + x_stride + i + kFirst));
          add_dot4(sum[1][1][0], high, broadcast4_signed(x + x_stride + i + kFirst + 4));
        }
      };
      octet(std::integral_constant<int, 0>{});
      octet(std::integral_constant<int, 1>{});
    }
    return;
  }
#endif
  for (int64_t i = 0; i < group; i += 8) {
#pragma GCC unroll 16
    for (int c = 0; c < kPanelVectorsI4; ++c) {
      Halves low, high;
      load_halves(weight + i * (kPanelWidthI4 / 2) + c * (kLanes * 4), &low, &high);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        sum[0][r][c] = dot4(sum[0][r][c], low, broadcast4_signed(x + r * x_stride + i));
        sum[1][r][c] = dot4(sum[1][r][c], high, broadcast4_signed(x + r * x_stride + i + 4));
      }
    }
  }
}

// totals (kRows, 16) = sum over groups of scale * (q - zero) . x for one panel; kRows rows of kParts rows of bytes.
template <int kRows, int kParts>
void dot_groups(const LinearI4Block& block, const int8_t* x, const int32_t* x_sums, const uint8_t* weight,
                const uint16_t* scale, const uint8_t* zero_points, float* totals) {
  Vec total[kRows][kPanelVectorsI4];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kPanelVectorsI4; ++c) total[r][c] = zero();
  }
  for (int64_t g = 0; g < block.groups; ++g) {
    // Lower and higher halves in sums of their own, so that no product waits for the one before.
    Sum sum[2][kRows * kParts][kPanelVectorsI4];
#pragma GCC unroll 16
    for (int r = 0; r < kRows * kParts; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < kPanelVectorsI4; ++c) sum[0][r][c] = sum[1][r][c] = zero_sum();
    }
    sum_group(weight, x, block.x_stride, block.group, sum);
#pragma GCC unroll 16
    for (int c = 0; c < kPanelVectorsI4; ++c) {
      const Vec group_scale = load_half(scale + c * kLanes);
      const Sum zeros = load_bytes(zero_points + c * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        Sum products = join(sum[0][r * kParts][c], sum[1][r * kParts][c]);
        if constexpr (kParts == 2) {
          products = minus_product(join(sum[0][r * kParts + 1][c], sum[1][r * kParts + 1][c]), -256, products);
        }
        products = minus_product(products, x_sums[r * block.groups + g], zeros);
        total[r][c] = fma(to_float(products), group_scale, total[r][c]);
      }
    }
    x += block.group;
    weight += block.group * (kPanelWidthI4 / 2);
    scale += kPanelWidthI4;
    zero_points += kPanelWidthI4;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kPanelVectorsI4; ++c) store(totals + r * kPanelWidthI4 + c * kLanes, total[r][c]);
  }
}

// y = act(totals * x_scale + bias) + residual for rows [row, row + rows) and `width` columns from `begin`.
template <Epilogue kEpilogue>
void finish_i4(const LinearI4Block& block, const float* totals, int64_t row, int64_t rows, int64_t begin,
               int64_t width) {
  const bool has_bias = block.bias != nullptr, has_residual = block.residual != nullptr;
  for (int64_t r = row; r < row + rows; ++r) {
    const Vec x_scale = set1(block.x_scale[r]);
    for (int64_t i = 0; i < width; i += kLanes) {
      const int64_t count = smaller<int64_t>(kLanes, width - i);
      const auto read = [&](const float* p) { return count == kLanes ? load(p) : load_partial(p, count); };
      Vec value =
          fma(load(totals + (r - row) * kPanelWidthI4 + i), x_scale, has_bias ? read(block.bias + begin + i) : zero());
      value = activate<kEpilogue>(value, block.activation);
      if (has_residual) value = add(value, read(block.residual + r * block.residual_stride + begin + i));
      store_partial_or_all(block.y + r * block.y_stride + begin + i, value, count);
    }
  }
}

inline void finish_i4(const LinearI4Block& block, const float* totals, int64_t row, int64_t rows, int64_t begin,
                      int64_t width) {
  with_epilogue(block.activation,
                [&](auto epilogue) { finish_i4<epilogue()>(block, totals, row, rows, begin, width); });
}

inline void multiply_i4(const LinearI4Block& block) {
  alignas(64) float totals[kStripRowsI4 * kPanelWidthI4];
  const int64_t panel_bytes = block.groups * block.group * (kPanelWidthI4 / 2);
  for (int64_t begin = 0, panel = 0; begin < block.n; begin += kPanelWidthI4, ++panel) {
    const uint8_t* weight = block.weight + panel * panel_bytes;
    const uint16_t* scale = block.scale + panel * block.groups * kPanelWidthI4;
    const uint8_t* zero_points = block.zero + panel * block.groups * kPanelWidthI4;
    const int64_t width = smaller<int64_t>(kPanelWidthI4, block.n - begin);
    for (int64_t row = 0; row < block.rows;) {
      constexpr int kWideRows = kStripRowsI4 >= 2 ? kStripRowsI4 / 2 : 1;
      const bool wide_inputs = block.parts == 2;
      const int64_t most = wide_inputs ? kWideRows : kStripRowsI4;
      const int64_t rows = block.rows - row >= most ? most : 1;
      const auto kernel = wide_inputs ? (rows == kWideRows ? dot_groups<kWideRows, 2> : dot_groups<1, 2>)
                                      : (rows == kStripRowsI4 ? dot_groups<kStripRowsI4, 1> : dot_groups<1, 1>);
      kernel(block, block.x + row * block.parts * block.x_stride, block.x_sums + row * block.groups, weight, scale,
             zero_points, totals);
      finish_i4(block, totals, row, rows, begin, width);
      row += rows;
    }
  }
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

LinearI4Kernels ANYON_KERNEL_NAME(linear_i4_panel16x8)() {
  return {ANYON_SIMD::quantize_i4, ANYON_SIMD::multiply_i4};
}

}  // namespace anyon
