// weigh_keys_i8.h for AVX-512 with VNNI: scores leave the product's registers as floats, and 32 weights at a time come
// from a table. Included by weigh_keys_i8.h only.
#pragma once

namespace anyon::ANYON_SIMD {

// Scores of kRows queries, kPackedKeys keys at a time, and the largest of each row.
template <int kRows>
void score_rows(const StripOfKeys& strip, float* largest) {
  constexpr int kPanels = kStripPanelsI8;
  static_assert(kPackedKeys == kPanels * kPanelWidth);
  const uint8_t* const queries = strip.queries;
  const int64_t query_stride = strip.query_stride, depth = strip.depth, padded = strip.padded;
  const int64_t panel_stride = depth * kPanelWidth;
  const float* const key_scales = strip.key_scales;
  const int32_t* const key_sums = strip.key_sums;
  const int8_t* keys = strip.keys;
  float* const scores = strip.scores;
  alignas(64) float tops[kRows * kLanes];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) store(tops + r * kLanes, set1(-__builtin_inff()));
  for (int64_t key = 0; key < padded; key += kPackedKeys, keys += kPanels * panel_stride) {
    Sum sum[kRows][kPanels];
#pragma GCC unroll 16
    for (int c = 0; c < kPanels; ++c) {
      const Sum offset = sub(zero_sum(), load_sum(key_sums + key + c * kLanes));
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) sum[r][c] = offset;
    }
    for (int64_t g = 0; g < depth; g += 4) {
      Input query[kRows];
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) query[r] = broadcast4(queries + r * query_stride + g);
#pragma GCC unroll 16
      for (int c = 0; c < kPanels; ++c) {
        const Weights w = load_weights(keys + c * panel_stride + g * kPanelWidth);
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) sum[r][c] = dot4(sum[r][c], query[r], w);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      // Else GCC 12 copies every sum to the stack in every turn of the loop.
#pragma GCC unroll 16
      for (int c = 0; c < kPanels; ++c) asm("" : "+v"(sum[r][c].v));
    }
    Vec scale[kPanels];
#pragma GCC unroll 16
    for (int c = 0; c < kPanels; ++c) scale[c] = load(key_scales + key + c * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      Vec score[kPanels];
#pragma GCC unroll 16
      for (int c = 0; c < kPanels; ++c) {
        score[c] = mul(to_float(sum[r][c]), scale[c]);
        store(scores + r * kAttentionI8Keys + key + c * kLanes, score[c]);
      }
      const Vec top = max(max(score[0], score[1]), max(score[2], score[3]));
      store(tops + r * kLanes, max(top, load(tops + r * kLanes)));
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) largest[r] = reduce_max(load(tops + r * kLanes));
}

inline void score_strip(const StripOfKeys& strip, float* largest) {
  static_assert(kStripRowsI8 == 6);
  using Rows = void(const StripOfKeys& strip, float* largest);
  constexpr Rows* kRows[] = {score_rows<1>, score_rows<2>, score_rows<3>, score_rows<4>, score_rows<5>, score_rows<6>};
  kRows[strip.rows - 1](strip, largest);
}

// Weights are looked up by the distance to the largest score in 64ths of a power of two (at most 0.55 % off, which
// averages out over keys): six bits choose 65280 * 2^(-i / 64), the rest shift it down.
inline constexpr int kStepsOfTwo = 64;

alignas(64) inline constexpr uint16_t kWeightTable[kStepsOfTwo] = {
    65280, 64577, 63881, 63193, 62512, 61839, 61173, 60514, 59862, 59217, 58579, 57948, 57324, 56707, 56096, 55491,
    54894, 54302, 53717, 53139, 52566, 52000, 51440, 50886, 50338, 49796, 49259, 48729, 48204, 47684, 47171, 46663,
    46160, 45663, 45171, 44684, 44203, 43727, 43256, 42790, 42329, 41873, 41422, 40976, 40534, 40098, 39666, 39238,
    38816, 38398, 37984, 37575, 37170, 36770, 36374, 35982, 35594, 35211, 34831, 34456, 34085, 33718, 33355, 32995};

// Scores of row r to weights 255 * 2^((score - largest) * factor); returns their sum. Padding scores -inf.
inline float weigh_row(const StripOfKeys& strip, int64_t r, float factor, float largest, uint8_t* weights) {
  const float* scores = strip.scores + r * kAttentionI8Keys;
  float slope = factor * static_cast<float>(kStepsOfTwo);
  // Where products are so large that floats no longer hold the steps, steps become smaller.
  constexpr float kMostSteps = 4194304.0f;
  const float size = largest < 0.0f ? -largest : largest;
  if (!(size * slope < kMostSteps)) slope = kMostSteps / size;
  const Vec slopes = set1(slope), shift = set1(-largest * slope);
  const __m512i low = _mm512_load_si512(kWeightTable), high = _mm512_load_si512(kWeightTable + 32);
  // Seven of the eight bits that a weight is shifted by anyway; the last one rounds.
  const __m512i nearest = _mm512_set1_epi16(7 * kStepsOfTwo), none = _mm512_setzero_si512();
  const auto steps = [&](int64_t i) { return _mm512_cvtps_epi32(fma(load(scores + i), slopes, shift).v); };
  const auto weigh = [&](int64_t i) {
    // Distances beyond 16 bits, and those of -inf, stay at the largest.
    const __m512i distance = _mm512_subs_epi16(nearest, _mm512_packs_epi32(steps(i), steps(i + kLanes)));
    const __m512i fraction = _mm512_permutex2var_epi16(low, distance, high);
    return _mm512_avg_epu16(_mm512_srlv_epi16(fraction, _mm512_srli_epi16(distance, 6)), none);
  };
  // Packing works within 128 bits: four keys of each of the four vectors, which belong side by side.
  const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sum = none;
  for (int64_t i = 0; i < strip.padded; i += 4 * kLanes) {
    const __m512i bytes = _mm512_packus_epi16(weigh(i), weigh(i + 2 * kLanes));
    sum = _mm512_dpbusd_epi32(sum, bytes, ones);
    _mm512_storeu_si512(weights + i, _mm512_permutexvar_epi32(in_order, bytes));
  }
  return reduce_add(to_float({sum}));
}

}  // namespace anyon::ANYON_SIMD
