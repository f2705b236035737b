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

// 2^x for x <= 8, relative error 1e-4: finer than the 8 bits it is rounded to. Exactly 0 below -126.5.
inline Vec coarse_exp2(Vec x) {
  x = max(set1(-127.0f), x);
  const Vec shifted = add(x, set1(kRoundToExponent));
  const Vec r = sub(x, sub(shifted, set1(kRoundToExponent)));
  Vec p = set1(0.0558282f);
  p = fma(p, r, set1(0.2401397f));
  p = fma(p, r, set1(0.6931340f));
  p = fma(p, r, set1(1.0f));
  return mul(p, shift_to_exponent(shifted));
}

// 2^x of one number, as exact as simd_math.h's.
inline float exp2_of(float x) {
  return reduce_max(exp2_to_127(set1(x)));
}

// The scratch of one strip of queries.
struct StripScratch {
  StripScratch(void* memory, int64_t head_dim)
      : depth(round_up(head_dim, 4)),
        width(round_up(head_dim, kPanelWidth)),
        scores(static_cast<float*>(memory)),
        sums(scores + kStripRowsI8 * kBlockKeysI8),
        products(reinterpret_cast<int32_t*>(sums + kStripRowsI8 * width)),
        queries(reinterpret_cast<uint8_t*>(products + kStripRowsI8 * larger<int64_t>(kBlockKeysI8, width))),
        weights(queries + kStripRowsI8 * round_up(head_dim, 64)) {}

  int64_t depth, width;
  float* scores;      // (rows, kBlockKeysI8)
  float* sums;        // (rows, width): weights times values so far
  int32_t* products;  // (rows, kBlockKeysI8) with keys, then (rows, width) with values
  uint8_t* queries;   // (rows, head_dim) to whole cache lines
  uint8_t* weights;   // (rows, kBlockKeysI8)
};

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

inline void attend_strip(const AttendArgs& args, const PackedHead& head, const float* const* q_rows,
                         float* const* y_rows, int64_t rows) {
  const StripScratch scratch(args.scratch, args.head_dim);
  const auto* keys = reinterpret_cast<const int8_t*>(args.packed);
  const auto* values = reinterpret_cast<const int8_t*>(args.packed + head.values);
  const auto* key_scales = reinterpret_cast<const float*>(args.packed + head.key_scales);
  const auto* key_sums = reinterpret_cast<const int32_t*>(args.packed + head.key_sums);
  const auto* value_scales = reinterpret_cast<const float*>(args.packed + head.value_scales);
  const auto* value_means = reinterpret_cast<const float*>(args.packed + head.value_means);
  float maximum[kStripRowsI8], total[kStripRowsI8], query_scale[kStripRowsI8];
  const int64_t query_stride = round_up(args.head_dim, 64);
  for (int64_t r = 0; r < rows; ++r) {
    maximum[r] = -__builtin_inff();
    total[r] = 0.0f;
    const Range extent = range(q_rows[r], args.head_dim);
    const float scale = symmetric_scale(larger(-extent.low, extent.high));
    const InputScale input = {scale, scale > 0.0f ? 1.0f / scale : 0.0f, kMiddle};
    quantize(q_rows[r], args.head_dim, input, scratch.queries + r * query_stride);
    query_scale[r] = scale * args.scale * kLog2E;  // scores in powers of two
    for (int64_t j = 0; j < scratch.width; ++j) scratch.sums[r * scratch.width + j] = 0.0f;
  }
  for (int64_t begin = 0; begin < args.kv_len; begin += kBlockKeysI8) {
    const int64_t count = smaller(kBlockKeysI8, args.kv_len - begin);
    const int64_t padded = round_up(count, kPackedKeys);
    multiply_panels(scratch.queries, query_stride, rows, keys + begin * head.depth, head.depth * kPanelWidth,
                    padded / kPanelWidth, head.depth / 4, scratch.products, kBlockKeysI8);
    float kept[kStripRowsI8], added[kStripRowsI8];  // what sums so far, and those of this block, are multiplied by
    for (int64_t r = 0; r < rows; ++r) {
      float* scores = scratch.scores + r * kBlockKeysI8;
      Vec top[2] = {set1(-__builtin_inff()), set1(-__builtin_inff())};
      const auto score = [&](int64_t i) {
        const Sum sum = sub(load_sum(scratch.products + r * kBlockKeysI8 + i), load_sum(key_sums + begin + i));
        return mul(to_float(sum), load(key_scales + begin + i));
      };
      int64_t i = 0;
      for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
        const Vec a = score(i), b = score(i + kLanes);
        store(scores + i, a);
        store(scores + i + kLanes, b);
        top[0] = max(a, top[0]);
        top[1] = max(b, top[1]);
      }
      for (; i < padded; i += kLanes) {
        store(scores + i, score(i));
        for (int64_t j = larger(i, count); j < i + kLanes; ++j) scores[j] = -__builtin_inff();
        top[0] = max(load(scores + i), top[0]);
      }
      const float block_maximum = reduce_max(max(top[0], top[1])) * query_scale[r];
      // Weights of the block are relative to its own maximum, so that a block of small ones keeps its precision.
      const Vec factor = set1(query_scale[r]), shift = set1(kLog2Largest - block_maximum);
      constexpr float kRounder = 12582912.0f;
      Vec sum[2] = {zero(), zero()};
      uint8_t* weights = scratch.weights + r * kBlockKeysI8;
      for (i = 0; i < padded; i += 2 * kLanes) {
#pragma GCC unroll 2
        for (int c = 0; c < 2; ++c) {
          const Vec weight = coarse_exp2(fma(load(scores + i + c * kLanes), factor, shift));
          const Vec whole = sub(add(weight, set1(kRounder)), set1(kRounder));
          sum[c] = add(sum[c], whole);
          store_bytes(weights + i + c * kLanes, whole);
        }
      }
      const float next = larger(maximum[r], block_maximum);
      kept[r] = exp2_of(maximum[r] - next);
      added[r] = exp2_of(block_maximum - next);
      maximum[r] = next;
      total[r] = total[r] * kept[r] + reduce_add(add(sum[0], sum[1])) * added[r];
    }
    multiply_panels(scratch.weights, kBlockKeysI8, rows, values + begin * kPanelWidth, head.keys * kPanelWidth,
                    head.width / kPanelWidth, padded / 4, scratch.products, scratch.width);
    for (int64_t r = 0; r < rows; ++r) {
      const Vec old_factor = set1(kept[r]), new_factor = set1(added[r]);
      for (int64_t j = 0; j < scratch.width; j += kLanes) {
        float* sums = scratch.sums + r * scratch.width + j;
        const Vec products = to_float(load_sum(scratch.products + r * scratch.width + j));
        store(sums, fma(products, new_factor, mul(load(sums), old_factor)));
      }
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    const Vec inverse = set1(total[r] > 0.0f ? 1.0f / total[r] : 0.0f);
    const bool none = !(total[r] > 0.0f);  // no keys: zeros
    for (int64_t j = 0; j < args.head_dim; j += kLanes) {
      const Vec factor = mul(load(value_scales + j), inverse);
      const Vec y = none ? zero() : fma(load(scratch.sums + r * scratch.width + j), factor, load(value_means + j));
      store_partial_or_all(y_rows[r] + j, y, smaller<int64_t>(kLanes, args.head_dim - j));
    }
  }
}

inline void attend_i8(const AttendArgs& args) {
  const PackedHead head(args.kv_len, args.head_dim);
  for (int64_t row = 0; row < args.rows; row += kStripRowsI8) {
    attend_strip(args, head, args.q_rows + row, args.y_rows + row, smaller<int64_t>(kStripRowsI8, args.rows - row));
  }
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

AttentionI8Kernels ANYON_KERNEL_NAME(attention_i8)() {
  return {ANYON_SIMD::pack_head_i8, ANYON_SIMD::attend_i8};
}

}  // namespace anyon
