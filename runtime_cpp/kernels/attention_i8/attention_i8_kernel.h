// attention_i8's kernels, written once: packing of a head, and online softmax over blocks of keys.
#pragma once

#include "kernels/attention_i8/attention_i8.h"
#include "kernels/linear_i8/micro_kernel_i8.h"
#include "kernels/linear_i8/rounding.h"
#include "kernels/simd_math.h"

namespace anyon::ANYON_SIMD {

inline constexpr int64_t kBlockKeysI8 = 256;
// Queries are symmetric around this, weights start from 0: products take signed or unsigned inputs, as the ISA has it.
inline constexpr int32_t kMiddle = kInputLow + 128;
inline constexpr float kLog2Largest = kInputLow == 0 ? 7.9943534f : 6.9886847f;  // log2 of 255 and of 127

// mean[j] over `rows` rows, then largest[j] = max |row[j] - mean[j]|; `width` is a multiple of the lanes where
// possible.
inline void column_statistics(const float* x, int64_t stride, int64_t rows, int64_t width, float* mean,
                              float* largest) {
  for (int64_t j = 0; j < width; j += kLanes) {
    const int64_t count = smaller<int64_t>(kLanes, width - j);
    const auto value = [&](int64_t r) {
      return count == kLanes ? load(x + r * stride + j) : load_partial(x + r * stride + j, count);
    };
    Vec sum[4] = {zero(), zero(), zero(), zero()};
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      for (int c = 0; c < 4; ++c) sum[c] = add(sum[c], value(r + c));
    }
    for (; r < rows; ++r) sum[0] = add(sum[0], value(r));
    const Vec average =
        mul(add(add(sum[0], sum[1]), add(sum[2], sum[3])), set1(rows > 0 ? 1.0f / static_cast<float>(rows) : 0.0f));
    Vec top[2] = {zero(), zero()};
    for (r = 0; r + 2 <= rows; r += 2) {
      for (int c = 0; c < 2; ++c) top[c] = max(abs(sub(value(r + c), average)), top[c]);
    }
    for (; r < rows; ++r) top[0] = max(abs(sub(value(r), average)), top[0]);
    store_partial_or_all(mean + j, average, count);
    store_partial_or_all(largest + j, max(top[0], top[1]), count);
  }
}

inline void pack_head_i8(const PackHeadArgs& args) {
  const PackedHead head(args.kv_len, args.head_dim);
  auto* keys = reinterpret_cast<int8_t*>(args.packed);
  auto* values = reinterpret_cast<int8_t*>(args.packed + head.values);
  auto* key_scales = reinterpret_cast<float*>(args.packed + head.key_scales);
  auto* key_sums = reinterpret_cast<int32_t*>(args.packed + head.key_sums);
  auto* value_scales = reinterpret_cast<float*>(args.packed + head.value_scales);
  auto* value_means = reinterpret_cast<float*>(args.packed + head.value_means);
  // Statistics of the keys stand for a moment where those of the values will be.
  column_statistics(args.k, args.k_stride, args.kv_len, args.head_dim, value_means, value_scales);

  constexpr int64_t kMaxDepth = 256;
  alignas(64) float centred[kMaxDepth];
  alignas(64) uint8_t bytes[kMaxDepth] = {};
  for (int64_t key = 0; key < head.keys; ++key) {
    int8_t* to = keys + key / kPanelWidth * head.depth * kPanelWidth + key % kPanelWidth * 4;
    float scale = 0.0f;
    if (key < args.kv_len) {
      const float* row = args.k + key * args.k_stride;
      Vec top = zero();
      for (int64_t j = 0; j < args.head_dim; j += kLanes) {
        const int64_t count = smaller<int64_t>(kLanes, args.head_dim - j);
        const Vec value = count == kLanes ? sub(load(row + j), load(value_means + j))
                                          : sub(load_partial(row + j, count), load_partial(value_means + j, count));
        top = max(abs(value), top);
        store(centred + j, value);
      }
      const float largest = reduce_max(top);
      scale = symmetric_scale(largest);
      const Vec inverse = set1(scale > 0.0f ? 1.0f / scale : 0.0f);
      for (int64_t j = 0; j < args.head_dim; j += kLanes) store_bytes(bytes + j, mul(load(centred + j), inverse));
      for (int64_t j = args.head_dim; j < head.depth; ++j) bytes[j] = 0;
    } else {
      for (int64_t j = 0; j < head.depth; ++j) bytes[j] = 0;
    }
    key_scales[key] = scale;
    for (int64_t g = 0; g * 4 < head.depth; ++g) __builtin_memcpy(to + g * kPanelWidth * 4, bytes + g * 4, 4);
  }
  // What a query's offset adds to every product: kMiddle times the sum of the key.
  alignas(64) uint8_t middle[kMaxDepth];
  for (int64_t j = 0; j < head.depth; ++j) middle[j] = static_cast<uint8_t>(kMiddle);
  for (int64_t key = 0; key < head.keys; key += kPanelWidth) {
    dot_stream<1>(middle, 0, keys + key * head.depth, 0, head.depth / 4, key_sums + key, 0);
  }

  column_statistics(args.v, args.v_stride, args.kv_len, args.head_dim, value_means, value_scales);
  for (int64_t j = 0; j < head.width; ++j) {
    if (j >= args.head_dim) value_means[j] = value_scales[j] = 0.0f;
    value_scales[j] = symmetric_scale(value_scales[j]);
  }
  for (int64_t j = 0; j < head.width; j += kLanes) {
    alignas(64) float inverses[kLanes];
    for (int i = 0; i < kLanes; ++i) inverses[i] = value_scales[j + i] > 0.0f ? 1.0f / value_scales[j + i] : 0.0f;
    const Vec inverse = load(inverses), mean = load(value_means + j);
    const int64_t count = smaller<int64_t>(kLanes, args.head_dim - j);
    int8_t* to = values + j / kPanelWidth * head.keys * kPanelWidth + j % kPanelWidth * 4;
    for (int64_t key = 0; key < head.keys; key += 4) {
      Vec part[4];
      for (int64_t i = 0; i < 4; ++i) {
        const float* row = args.v + (key + i) * args.v_stride + j;
        part[i] = key + i >= args.kv_len || count <= 0 ? mean : count >= kLanes ? load(row) : load_partial(row, count);
        part[i] = mul(sub(part[i], mean), inverse);
      }
      store_quads(to + key * kPanelWidth, part[0], part[1], part[2], part[3]);
    }
  }
}

// 2^x for x <= 8, relative error 1e-4: finer than the 8 bits it is rounded to. Exactly 0 far below -127.
inline Vec coarse_exp2(Vec x) {
#if defined(ANYON_SIMD_AVX512VNNI)
  // What is left of x above the next integer below it, and a product with two to that integer: one instruction each.
  const Vec r = {_mm512_reduce_ps(x.v, _MM_FROUND_TO_NEG_INF)};
  Vec p = set1(0.0780244f);
  p = fma(p, r, set1(0.2260674f));
  p = fma(p, r, set1(0.6958335f));
  p = fma(p, r, set1(0.9999252f));
  return {_mm512_scalef_ps(p.v, x.v)};
#else
  x = max(set1(-127.0f), x);
  const Vec shifted = add(x, set1(kRoundToExponent));
  const Vec r = sub(x, sub(shifted, set1(kRoundToExponent)));
  Vec p = set1(0.0558282f);
  p = fma(p, r, set1(0.2401397f));
  p = fma(p, r, set1(0.6931340f));
  p = fma(p, r, set1(1.0f));
  return mul(p, shift_to_exponent(shifted));
#endif
}

// Queries that go over the keys together, so that a block of keys and values is read from the first-level cache: a few
// strips, each as many rows as the micro kernel takes.
inline constexpr int64_t kGroupStrips = 4;
inline constexpr int64_t kGroupRows = kGroupStrips * kStripRowsI8;
inline constexpr int64_t kStripLanes = (kStripRowsI8 + kLanes - 1) / kLanes * kLanes;

// Running state of a group of queries, and the scratch of one strip and one block.
struct AttendGroup {
  AttendGroup(const AttendArgs& attend, const PackedHead& packed_head)
      : args(attend),
        head(packed_head),
        query_stride(round_up(args.head_dim, 64)),
        scores(static_cast<float*>(args.scratch)),
        sums(scores + kStripRowsI8 * kBlockKeysI8),
        products(reinterpret_cast<int32_t*>(sums + kGroupRows * head.width)),
        weights(reinterpret_cast<uint8_t*>(products + kStripRowsI8 * larger<int64_t>(kBlockKeysI8, head.width))),
        queries(weights + kStripRowsI8 * kBlockKeysI8) {}

  const AttendArgs& args;
  const PackedHead& head;
  int64_t query_stride;
  float* scores;      // (strip rows, kBlockKeysI8)
  float* sums;        // (group rows, width): weights times values so far
  int32_t* products;  // (strip rows, kBlockKeysI8) with keys, then (strip rows, width) with values
  uint8_t* weights;   // (strip rows, kBlockKeysI8)
  uint8_t* queries;   // (group rows, head_dim) to whole cache lines
  float query_scale[kGroupRows];
  // Strip by strip in whole vectors: of all scores so far, and of all weights.
  alignas(64) float maximum[kGroupStrips * kStripLanes];
  alignas(64) float total[kGroupStrips * kStripLanes];
};

inline void load_queries(AttendGroup& group, const float* const* q_rows, int64_t rows) {
  const int64_t head_dim = group.args.head_dim;
  for (int64_t i = 0; i < kGroupStrips * kStripLanes; ++i) {
    group.maximum[i] = -__builtin_inff();
    group.total[i] = 0.0f;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const Range extent = range(q_rows[r], head_dim);
    const float scale = symmetric_scale(larger(-extent.low, extent.high));
    const InputScale input = {scale, scale > 0.0f ? 1.0f / scale : 0.0f, kMiddle};
    quantize(q_rows[r], head_dim, input, group.queries + r * group.query_stride);
    group.query_scale[r] = scale * group.args.scale * kLog2E;  // scores in powers of two
    for (int64_t j = 0; j < group.head.width; ++j) group.sums[r * group.head.width + j] = 0.0f;
  }
}

// products = x (rows, 4 * groups) times `panels` panels, several at a time.
inline void multiply_panels(const uint8_t* x, int64_t x_stride, int64_t rows, const int8_t* weight,
                            int64_t panel_stride, int64_t panels, int64_t groups, int32_t* products, int64_t stride) {
  for (int64_t panel = 0; panel < panels;) {
    const bool wide = panels - panel >= kStripPanelsI8;
    strip_kernel_i8(rows, wide)(x, x_stride, weight + panel * panel_stride, panel_stride, groups,
                                products + panel * kPanelWidth, stride);
    panel += wide ? kStripPanelsI8 : 1;
  }
}

// Products of row r of the strip with `count` keys from `begin` to scores, before the query's scale; returns the
// largest.
inline float score_row(const AttendGroup& group, int64_t r, int64_t begin, int64_t count) {
  const auto* key_scales = reinterpret_cast<const float*>(group.args.packed + group.head.key_scales) + begin;
  const auto* key_sums = reinterpret_cast<const int32_t*>(group.args.packed + group.head.key_sums) + begin;
  const int32_t* products = group.products + r * kBlockKeysI8;
  float* scores = group.scores + r * kBlockKeysI8;
  const auto score = [&](int64_t i) {
    return mul(to_float(sub(load_sum(products + i), load_sum(key_sums + i))), load(key_scales + i));
  };
  constexpr int kUnroll = 4;
  Vec top[kUnroll];
#pragma GCC unroll 4
  for (int c = 0; c < kUnroll; ++c) top[c] = set1(-__builtin_inff());
  int64_t i = 0;
  for (; i + kUnroll * kLanes <= count; i += kUnroll * kLanes) {
#pragma GCC unroll 4
    for (int c = 0; c < kUnroll; ++c) {
      const Vec value = score(i + c * kLanes);
      store(scores + i + c * kLanes, value);
      top[c] = max(value, top[c]);
    }
  }
  float largest = reduce_max(max(max(top[0], top[1]), max(top[2], top[3])));
  for (; i < count; i += kLanes) {  // rows are padded to whole vectors
    store(scores + i, score(i));
    for (int64_t j = i; j < smaller(count, i + kLanes); ++j) largest = larger(largest, scores[j]);
  }
  return largest;
}

// Scores of row r of the strip to weights relative to the block's own maximum, so that a block of small ones keeps its
// precision; returns their sum. Keys from `count` to `padded` weigh nothing.
inline float weigh_row(const AttendGroup& group, int64_t r, float query_scale, float block_maximum, int64_t count,
                       int64_t padded) {
  const float* scores = group.scores + r * kBlockKeysI8;
  uint8_t* weights = group.weights + r * kBlockKeysI8;
  const Vec factor = set1(query_scale), shift = set1(kLog2Largest - block_maximum);
  const auto weight = [&](int64_t i) { return coarse_exp2(fma(load(scores + i), factor, shift)); };
  constexpr int kUnroll = 4;
  Sum sum[kUnroll];
#pragma GCC unroll 4
  for (int c = 0; c < kUnroll; ++c) sum[c] = zero_sum();
  int64_t i = 0;
  for (; i + kUnroll * kLanes <= count; i += kUnroll * kLanes) {
#pragma GCC unroll 4
    for (int c = 0; c < kUnroll; ++c)
      sum[c] = add(sum[c], store_bytes(weights + i + c * kLanes, weight(i + c * kLanes)));
  }
  for (; i < padded; i += kLanes) {
    alignas(64) float lanes[kLanes];
    store(lanes, i < count ? weight(i) : zero());
    for (int64_t j = smaller<int64_t>(kLanes, larger<int64_t>(0, count - i)); j < kLanes; ++j) lanes[j] = 0.0f;
    sum[0] = add(sum[0], store_bytes(weights + i, load(lanes)));
  }
  return reduce_add(to_float(add(add(sum[0], sum[1]), add(sum[2], sum[3]))));
}

// One strip of queries over one block of keys.
inline void attend_block(AttendGroup& group, int64_t strip, int64_t rows, int64_t begin) {
  const PackedHead& head = group.head;
  const auto* keys = reinterpret_cast<const int8_t*>(group.args.packed);
  const auto* values = reinterpret_cast<const int8_t*>(group.args.packed + head.values);
  const int64_t count = smaller(kBlockKeysI8, group.args.kv_len - begin), padded = round_up(count, kPackedKeys);
  const int64_t first = strip * kStripRowsI8;
  multiply_panels(group.queries + first * group.query_stride, group.query_stride, rows, keys + begin * head.depth,
                  head.depth * kPanelWidth, padded / kPanelWidth, head.depth / 4, group.products, kBlockKeysI8);
  alignas(64) float block_maximum[kStripLanes] = {}, block_total[kStripLanes] = {};
  for (int64_t r = 0; r < rows; ++r) {
    const float query_scale = group.query_scale[first + r];
    block_maximum[r] = score_row(group, r, begin, count) * query_scale;
    block_total[r] = weigh_row(group, r, query_scale, block_maximum[r], count, padded);
  }
  // What the sums so far, and those of this block, are multiplied by.
  alignas(64) float kept[kStripLanes], added[kStripLanes];
  for (int64_t i = 0; i < kStripLanes; i += kLanes) {
    float* maximum = group.maximum + strip * kStripLanes + i;
    float* total = group.total + strip * kStripLanes + i;
    const Vec next = max(load(maximum), load(block_maximum + i));
    const Vec old_factor = exp2_to_127(sub(load(maximum), next));
    const Vec new_factor = exp2_to_127(sub(load(block_maximum + i), next));
    store(kept + i, old_factor);
    store(added + i, new_factor);
    store(maximum, next);
    store(total, fma(load(block_total + i), new_factor, mul(load(total), old_factor)));
  }
  multiply_panels(group.weights, kBlockKeysI8, rows, values + begin * kPanelWidth, head.keys * kPanelWidth,
                  head.width / kPanelWidth, padded / 4, group.products, head.width);
  for (int64_t r = 0; r < rows; ++r) {
    const Vec old_factor = set1(kept[r]), new_factor = set1(added[r]);
    for (int64_t j = 0; j < head.width; j += kLanes) {
      float* sums = group.sums + (first + r) * head.width + j;
      store(sums,
            fma(to_float(load_sum(group.products + r * head.width + j)), new_factor, mul(load(sums), old_factor)));
    }
  }
}

inline void store_results(const AttendGroup& group, float* const* y_rows, int64_t rows) {
  const auto* value_scales = reinterpret_cast<const float*>(group.args.packed + group.head.value_scales);
  const auto* value_means = reinterpret_cast<const float*>(group.args.packed + group.head.value_means);
  for (int64_t r = 0; r < rows; ++r) {
    const float total = group.total[r / kStripRowsI8 * kStripLanes + r % kStripRowsI8];
    const bool none = !(total > 0.0f);  // no keys: zeros
    const Vec inverse = set1(none ? 0.0f : 1.0f / total);
    for (int64_t j = 0; j < group.args.head_dim; j += kLanes) {
      const Vec factor = mul(load(value_scales + j), inverse);
      const Vec y = none ? zero() : fma(load(group.sums + r * group.head.width + j), factor, load(value_means + j));
      store_partial_or_all(y_rows[r] + j, y, smaller<int64_t>(kLanes, group.args.head_dim - j));
    }
  }
}

inline void attend_i8(const AttendArgs& args) {
  const PackedHead head(args.kv_len, args.head_dim);
  AttendGroup group(args, head);
  for (int64_t row = 0; row < args.rows; row += kGroupRows) {
    const int64_t rows = smaller(kGroupRows, args.rows - row);
    load_queries(group, args.q_rows + row, rows);
    for (int64_t begin = 0; begin < args.kv_len; begin += kBlockKeysI8) {
      for (int64_t strip = 0; strip * kStripRowsI8 < rows; ++strip) {
        attend_block(group, strip, smaller<int64_t>(kStripRowsI8, rows - strip * kStripRowsI8), begin);
      }
    }
    store_results(group, args.y_rows + row, rows);
  }
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

AttentionI8Kernels ANYON_KERNEL_NAME(attention_i8)() {
  return {ANYON_SIMD::pack_head_i8, ANYON_SIMD::attend_i8};
}

}  // namespace anyon
