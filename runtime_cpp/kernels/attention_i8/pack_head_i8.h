// Packing of one head for attention_i8: keys and values to 8-bit panels with their scales, sums and means.
#pragma once

#include "kernels/attention_i8/attention_i8.h"
#include "kernels/linear_i8/micro_kernel_i8.h"
#include "kernels/linear_i8/rounding.h"

namespace anyon::ANYON_SIMD {

// Queries are symmetric around this: products take signed or unsigned inputs, as the ISA has it.
inline constexpr int32_t kMiddle = kInputLow + 128;

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
  // Keys that are not there score (0 - 1) * infinity.
  for (int64_t key = args.kv_len; key < head.keys; ++key) {
    key_sums[key] = 1;
    key_scales[key] = __builtin_inff();
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

}  // namespace anyon::ANYON_SIMD
