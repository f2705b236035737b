// Packing of one head for attention_i8: keys and values to 8-bit panels with their scales, sums and means.
#pragma once

#include "kernels/attention_i8/attention_i8.h"
#include "kernels/linear_i8/micro_kernel_i8.h"
#include "kernels/linear_i8/rounding.h"

namespace anyon::ANYON_SIMD {

// Queries are symmetric around this: products take signed or unsigned inputs, as the ISA has it.
inline constexpr int32_t kMiddle = kInputLow + 128;

// Mean, least and largest value of each column.
struct ColumnRanges {
  float* mean = nullptr;
  float* low = nullptr;
  float* high = nullptr;
};

// kVectors vectors of columns side by side, so that rows are read in whole cache lines; `count` lanes of each.
template <int kVectors>
inline void measure_columns(const float* x, int64_t stride, int64_t rows, int64_t count, const ColumnRanges& to) {
  constexpr int kChains = 4;
  Vec sum[kChains][kVectors], low[kVectors], high[kVectors];
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) sum[c][v] = zero();
    low[v] = set1(__builtin_inff());
    high[v] = set1(-__builtin_inff());
  }
  const auto add_row = [&](int chain, int64_t r) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const float* from = x + r * stride + v * kLanes;
      const Vec value = count == kLanes ? load(from) : load_partial(from, count);
      sum[chain][v] = add(sum[chain][v], value);
      low[v] = min(value, low[v]);
      high[v] = max(value, high[v]);
    }
  };
  int64_t r = 0;
  for (; r + kChains <= rows; r += kChains) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) add_row(c, r + c);
  }
  for (; r < rows; ++r) add_row(0, r);
  const Vec share = set1(rows > 0 ? 1.0f / static_cast<float>(rows) : 0.0f);
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
    const Vec total = add(add(sum[0][v], sum[1][v]), add(sum[2][v], sum[3][v]));
    store_partial_or_all(to.mean + v * kLanes, mul(total, share), count);
    store_partial_or_all(to.low + v * kLanes, low[v], count);
    store_partial_or_all(to.high + v * kLanes, high[v], count);
  }
}

inline void measure_columns(const float* x, int64_t stride, int64_t rows, int64_t width, const ColumnRanges& to) {
  constexpr int kVectors = kLanes == 8 ? 2 : 4;  // as many as there are registers for
  const auto at = [&](int64_t j) { return ColumnRanges{to.mean + j, to.low + j, to.high + j}; };
  int64_t j = 0;
  for (; j + kVectors * kLanes <= width; j += kVectors * kLanes) {
    measure_columns<kVectors>(x + j, stride, rows, kLanes, at(j));
  }
  for (; j < width; j += kLanes) {
    measure_columns<1>(x + j, stride, rows, smaller<int64_t>(kLanes, width - j), at(j));
  }
}

inline constexpr int64_t kMaxHeadDimI8 = 256;

// One key less `mean` to bytes that are its values over the scale that is returned.
inline float round_key(const float* row, const float* mean, int64_t head_dim, uint8_t* bytes) {
  alignas(64) float centred[kMaxHeadDimI8];
  Vec top = zero();
  for (int64_t j = 0; j < head_dim; j += kLanes) {
    const int64_t count = smaller<int64_t>(kLanes, head_dim - j);
    const Vec value = count == kLanes ? sub(load(row + j), load(mean + j))
                                      : sub(load_partial(row + j, count), load_partial(mean + j, count));
    top = max(abs(value), top);
    store(centred + j, value);
  }
  const float scale = symmetric_scale(reduce_max(top));
  const Vec inverse = set1(scale > 0.0f ? 1.0f / scale : 0.0f);
  for (int64_t j = 0; j < head_dim; j += kLanes) store_bytes(bytes + j, mul(load(centred + j), inverse));
  return scale;
}

inline void pack_keys_i8(const PackHeadArgs& args, const PackedHead& head) {
  auto* keys = reinterpret_cast<int8_t*>(args.packed);
  auto* scales = reinterpret_cast<float*>(args.packed + head.key_scales);
  auto* sums = reinterpret_cast<int32_t*>(args.packed + head.key_sums);
  alignas(64) float mean[kMaxHeadDimI8], unused[2][kMaxHeadDimI8];
  measure_columns(args.k, args.k_stride, args.kv_len, args.head_dim, {mean, unused[0], unused[1]});
  alignas(64) uint8_t bytes[kMaxHeadDimI8] = {};
  for (int64_t key = 0; key < head.keys; ++key) {
    int8_t* to = keys + key / kPanelWidth * head.depth * kPanelWidth + key % kPanelWidth * 4;
    const bool exists = key < args.kv_len;
    // Keys that are not there score (0 - 1) * infinity.
    scales[key] = exists ? round_key(args.k + key * args.k_stride, mean, args.head_dim, bytes) : __builtin_inff();
    for (int64_t j = 0; j < head.depth; ++j) bytes[j] = exists && j < args.head_dim ? bytes[j] : uint8_t{0};
    for (int64_t j = 0; j < head.depth; j += 4) __builtin_memcpy(to + j * kPanelWidth, bytes + j, 4);
  }
  // What a query's offset adds to every product: kMiddle times the sum of the key.
  alignas(64) uint8_t middle[kMaxHeadDimI8];
  for (int64_t j = 0; j < head.depth; ++j) middle[j] = static_cast<uint8_t>(kMiddle);
  for (int64_t key = 0; key < head.keys; key += kPanelWidth) {
    dot_stream<1>(middle, 0, keys + key * head.depth, 0, head.depth / 4, sums + key, 0);
  }
  for (int64_t key = args.kv_len; key < head.keys; ++key) sums[key] = 1;
}

inline void pack_values_i8(const PackHeadArgs& args, const PackedHead& head) {
  auto* values = reinterpret_cast<int8_t*>(args.packed + head.values);
  auto* scales = reinterpret_cast<float*>(args.packed + head.value_scales);
  auto* means = reinterpret_cast<float*>(args.packed + head.value_means);
  alignas(64) float low[kMaxHeadDimI8], high[kMaxHeadDimI8], inverse[kMaxHeadDimI8];
  measure_columns(args.v, args.v_stride, args.kv_len, args.head_dim, {means, low, high});
  for (int64_t j = 0; j < head.width; ++j) {
    const bool exists = j < args.head_dim;
    if (!exists) means[j] = 0.0f;
    scales[j] = exists ? symmetric_scale(larger(high[j] - means[j], means[j] - low[j])) : 0.0f;
    inverse[j] = scales[j] > 0.0f ? 1.0f / scales[j] : 0.0f;
  }
  for (int64_t key = 0; key < head.keys; key += 4) {
    for (int64_t j = 0; j < head.width; j += kLanes) {
      const Vec mean = load(means + j), factor = load(inverse + j);
      const int64_t count = smaller<int64_t>(kLanes, args.head_dim - j);
      Vec part[4];
#pragma GCC unroll 4
      for (int64_t i = 0; i < 4; ++i) {
        const float* row = args.v + (key + i) * args.v_stride + j;
        part[i] = key + i >= args.kv_len || count <= 0 ? mean : count >= kLanes ? load(row) : load_partial(row, count);
        part[i] = mul(sub(part[i], mean), factor);
      }
      int8_t* to = values + j / kPanelWidth * head.keys * kPanelWidth + j % kPanelWidth * 4;
      store_quads(to + key * kPanelWidth, part[0], part[1], part[2], part[3]);
    }
  }
}

inline void pack_head_i8(const PackHeadArgs& args) {
  const PackedHead head(args.kv_len, args.head_dim);
  pack_keys_i8(args, head);
  pack_values_i8(args, head);
}

}  // namespace anyon::ANYON_SIMD
