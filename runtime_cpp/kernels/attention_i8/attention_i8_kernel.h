// attention_i8's kernels, written once: online softmax over blocks of keys.
#pragma once

#include "kernels/attention_i8/attention_i8.h"
#include "kernels/attention_i8/pack_head_i8.h"
#include "kernels/attention_i8/weigh_keys_i8.h"
#include "kernels/linear_i8/rounding.h"
#include "kernels/simd_math.h"

namespace anyon::ANYON_SIMD {

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
        sums(scores + kStripRowsI8 * kAttentionI8Keys),
        products(reinterpret_cast<int32_t*>(sums + kGroupRows * head.width)),
        weights(reinterpret_cast<uint8_t*>(products + kStripRowsI8 * larger<int64_t>(kAttentionI8Keys, head.width))),
        queries(weights + kStripRowsI8 * kAttentionI8Keys) {}

  const AttendArgs& args;
  const PackedHead& head;
  int64_t query_stride;
  float* scores;      // (strip rows, kAttentionI8Keys)
  float* sums;        // (group rows, width): weights times values so far
  int32_t* products;  // (strip rows, kAttentionI8Keys) with keys, then (strip rows, width) with values
  uint8_t* weights;   // (strip rows, kAttentionI8Keys)
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

// One strip of queries over one block of keys.
inline void attend_block(AttendGroup& group, int64_t strip, int64_t rows, int64_t begin) {
  const PackedHead& head = group.head;
  const auto* values = reinterpret_cast<const int8_t*>(group.args.packed + head.values);
  const int64_t count = smaller(kAttentionI8Keys, group.args.kv_len - begin), padded = round_up(count, kPackedKeys);
  const int64_t first = strip * kStripRowsI8;
  StripOfKeys keys;
  keys.queries = group.queries + first * group.query_stride;
  keys.query_stride = group.query_stride;
  keys.rows = rows;
  keys.keys = reinterpret_cast<const int8_t*>(group.args.packed) + begin * head.depth;
  keys.key_scales = reinterpret_cast<const float*>(group.args.packed + head.key_scales) + begin;
  keys.key_sums = reinterpret_cast<const int32_t*>(group.args.packed + head.key_sums) + begin;
  keys.depth = head.depth;
  keys.count = count;
  keys.padded = padded;
  keys.scores = group.scores;
  keys.products = group.products;
  alignas(64) float block_maximum[kStripLanes] = {}, block_total[kStripLanes] = {};
  score_strip(keys, block_maximum);
  for (int64_t r = 0; r < rows; ++r) {
    const float query_scale = group.query_scale[first + r];
    block_total[r] = weigh_row(keys, r, query_scale, block_maximum[r], group.weights + r * kAttentionI8Keys);
    block_maximum[r] *= query_scale;
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
  multiply_panels(group.weights, kAttentionI8Keys, rows, values + begin * kPanelWidth, head.keys * kPanelWidth,
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
    for (int64_t begin = 0; begin < args.kv_len; begin += kAttentionI8Keys) {
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
