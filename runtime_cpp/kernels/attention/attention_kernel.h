// attention, written once: online softmax over blocks of keys, so scores never leave the cache.
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/linear/micro_kernel.h"
#include "kernels/simd_math.h"

namespace anyon::ANYON_SIMD {

// The running state of the queries of a block. Scores are in powers of two: q is scaled by scale * log2(e) first.
struct AttentionState {
  AttentionState(const AttentionBlock& block, int64_t key_block)
      : rows(block.rows), q_stride(round_up(block.head_dim, kPanelWidth)), score_stride(key_block) {
    q = block.scratch;
    sums = q + rows * q_stride;
    scores = sums + rows * q_stride;
    maximum = scores + rows * score_stride;
    total = maximum + rows;
  }

  int64_t rows;
  int64_t q_stride;      // of q and sums: head_dim rounded up, zero padded in q
  int64_t score_stride;  // of scores
  float* q;              // (rows, head_dim) scaled
  float* sums;           // (rows, head_dim) of weights times values
  float* scores;         // (rows, keys of a block); weights after the softmax step
  float* maximum;        // (rows) of all scores so far
  float* total;          // (rows) of all weights so far
};

inline void load_queries(const AttentionBlock& block, AttentionState& state) {
  const float factor = block.scale * kLog2E;
  for (int64_t r = 0; r < state.rows; ++r) {
    float* q = state.q + r * state.q_stride;
    for (int64_t i = 0; i < block.head_dim; ++i) q[i] = block.q_rows[r][i] * factor;
    for (int64_t i = block.head_dim; i < state.q_stride; ++i) q[i] = 0.0f;
    state.maximum[r] = -__builtin_inff();
    state.total[r] = 0.0f;
  }
}

inline void scale_row(float* row, int64_t width, Vec factor) {
  for (int64_t i = 0; i < width; i += kLanes) store(row + i, mul(load(row + i), factor));
}

// Turns one row of `count` scores, of which the first `visible` count, into weights relative to the new maximum, and
// rescales what was summed before. `count` is rounded up to whole vectors; the row has room for them.
inline void softmax_step(AttentionState& state, int64_t r, int64_t visible, int64_t count, bool first) {
  constexpr int kChains = 4;
  float* scores = state.scores + r * state.score_stride;
  const int64_t padded = round_up(count, kLanes);
  visible = smaller(larger<int64_t>(visible, 0), count);
  for (int64_t i = visible; i < padded; ++i) scores[i] = -__builtin_inff();
  const int64_t used = round_up(visible, kLanes);

  Vec top[kChains];
#pragma GCC unroll 4
  for (int c = 0; c < kChains; ++c) top[c] = set1(state.maximum[r]);
  int64_t i = 0;
  for (; i + kChains * kLanes <= used; i += kChains * kLanes) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) top[c] = max(top[c], load(scores + i + c * kLanes));
  }
  for (; i < used; i += kLanes) top[0] = max(top[0], load(scores + i));
  const float maximum = reduce_max(max(max(top[0], top[1]), max(top[2], top[3])));
  const float before = state.maximum[r];
  // A row that has seen nothing has no maximum to subtract; its weights become 0 through -inf.
  const Vec shift = set1(maximum > -__builtin_inff() || maximum != maximum ? maximum : 0.0f);

  Vec sum[2] = {zero(), zero()};
  for (i = 0; i + 2 * kLanes <= used; i += 2 * kLanes) {
#pragma GCC unroll 2
    for (int c = 0; c < 2; ++c) {
      const Vec weight = exp2_to_127(sub(load(scores + i + c * kLanes), shift));
      sum[c] = add(sum[c], weight);
      store(scores + i + c * kLanes, weight);
    }
  }
  for (; i < used; i += kLanes) {
    const Vec weight = exp2_to_127(sub(load(scores + i), shift));
    sum[0] = add(sum[0], weight);
    store(scores + i, weight);
  }
  for (; i < padded; i += kLanes) store(scores + i, zero());
  const float added = reduce_add(add(sum[0], sum[1]));
  if (first) {
    state.total[r] = added;
  } else if (maximum == before) {
    state.total[r] += added;
  } else {
    const Vec correction = exp2_to_127(sub(set1(before), shift));
    scale_row(state.sums + r * state.q_stride, state.q_stride, correction);
    state.total[r] = state.total[r] * reduce_max(correction) + added;
  }
  state.maximum[r] = maximum;
}

inline void write_results(const AttentionBlock& block, const AttentionState& state) {
  for (int64_t r = 0; r < state.rows; ++r) {
    const float* sums = state.sums + r * state.q_stride;
    const bool sees_nothing = block.visible[r] <= 0;
    const Vec factor = sees_nothing ? zero() : div(set1(1.0f), set1(state.total[r]));
    float* y = block.y_rows[r];
    int64_t i = 0;
    for (; i + kLanes <= block.head_dim; i += kLanes) {
      store(y + i, sees_nothing ? zero() : mul(load(sums + i), factor));
    }
    if (i < block.head_dim) {
      store_partial(y + i, sees_nothing ? zero() : mul(load(sums + i), factor), block.head_dim - i);
    }
  }
}

inline int64_t most_visible(const AttentionBlock& block) {
  int64_t most = 0;
  for (int64_t r = 0; r < block.rows; ++r) most = larger(most, block.visible[r]);
  return most;
}

// Many queries: both products run on linear's micro-kernel over packed keys and values.
inline void attend_in_blocks(const AttentionBlock& block) {
  AttentionState state(block, kBlockKeys);
  load_queries(block, state);
  const float* q_rows[kBlockQueries];
  const float* weight_rows[kBlockQueries];
  for (int64_t r = 0; r < state.rows; ++r) {
    q_rows[r] = state.q + r * state.q_stride;
    weight_rows[r] = state.scores + r * state.score_stride;
  }
  const int64_t value_panels = state.q_stride / kPanelWidth;
  const int64_t end = most_visible(block);
  for (int64_t begin = 0; begin < end; begin += kBlockKeys) {
    const int64_t count = smaller(kBlockKeys, end - begin);
    multiply_tile(q_rows, state.rows, 0, block.k + begin * block.head_dim, round_up(count, kPanelWidth) / kPanelWidth,
                  block.head_dim * kPanelWidth, block.head_dim, false, state.scores, state.score_stride);
    for (int64_t r = 0; r < state.rows; ++r) softmax_step(state, r, block.visible[r] - begin, count, begin == 0);
    multiply_tile(weight_rows, state.rows, 0, block.v + begin * kPanelWidth, value_panels, block.kv_len * kPanelWidth,
                  count, begin > 0, state.sums, state.q_stride);
  }
  write_results(block, state);
}

// scores[0..kLanes) = q . k_j for the keys j in [0, kLanes), those from `count` on read as the last one.
inline void score_keys(const float* q, const float* k, int64_t k_stride, int64_t count, int64_t head_dim,
                       float* scores) {
  constexpr int kGroup = kLanes < 8 ? kLanes : 8;  // as many row pointers as there are registers for
  Vec sum[kLanes];
#pragma GCC unroll 4
  for (int group = 0; group < kLanes; group += kGroup) {
    const float* rows[kGroup];
#pragma GCC unroll 8
    for (int c = 0; c < kGroup; ++c) {
      rows[c] = k + smaller<int64_t>(group + c, count - 1) * k_stride;
      sum[group + c] = zero();
    }
    int64_t i = 0;
    for (; i + kLanes <= head_dim; i += kLanes) {
      const Vec value = load(q + i);
#pragma GCC unroll 8
      for (int c = 0; c < kGroup; ++c) sum[group + c] = fma(value, load(rows[c] + i), sum[group + c]);
    }
    if (i < head_dim) {
      const Vec value = load(q + i);
#pragma GCC unroll 8
      for (int c = 0; c < kGroup; ++c) {
        sum[group + c] = fma(value, load_partial(rows[c] + i, head_dim - i), sum[group + c]);
      }
    }
  }
  store(scores, sum_each(sum));
}

// sums[0..kVectors*kLanes) = [sums +] weights (count) times values (count, width); `width` of the last vector's lanes.
template <int kVectors>
void add_values(const float* weights, const float* v, int64_t v_stride, int64_t count, int64_t last_lanes,
                bool accumulate, float* sums) {
  Vec sum[kVectors];
#pragma GCC unroll 8
  for (int c = 0; c < kVectors; ++c) sum[c] = accumulate ? load(sums + c * kLanes) : zero();
  if (last_lanes == kLanes) {
    for (int64_t j = 0; j < count; ++j) {
      const Vec weight = load1(weights + j);
#pragma GCC unroll 8
      for (int c = 0; c < kVectors; ++c) sum[c] = fma(weight, load(v + j * v_stride + c * kLanes), sum[c]);
    }
  } else {
    for (int64_t j = 0; j < count; ++j) {
      const Vec weight = load1(weights + j);
#pragma GCC unroll 8
      for (int c = 0; c + 1 < kVectors; ++c) sum[c] = fma(weight, load(v + j * v_stride + c * kLanes), sum[c]);
      const int c = kVectors - 1;
      sum[c] = fma(weight, load_partial(v + j * v_stride + c * kLanes, last_lanes), sum[c]);
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < kVectors; ++c) store(sums + c * kLanes, sum[c]);
}

inline void add_value_rows(const float* weights, const float* v, int64_t v_stride, int64_t count, int64_t head_dim,
                           bool accumulate, float* sums) {
  int64_t i = 0;
  for (; i + 8 * kLanes <= head_dim; i += 8 * kLanes) {
    add_values<8>(weights, v + i, v_stride, count, kLanes, accumulate, sums + i);
  }
  for (; i + 4 * kLanes <= head_dim; i += 4 * kLanes) {
    add_values<4>(weights, v + i, v_stride, count, kLanes, accumulate, sums + i);
  }
  for (; i < head_dim; i += kLanes) {
    add_values<1>(weights, v + i, v_stride, count, smaller<int64_t>(kLanes, head_dim - i), accumulate, sums + i);
  }
}

// Few queries: keys and values are read where they lie, once, a block at a time that all queries share in cache.
inline void attend_few(const AttentionBlock& block) {
  constexpr int64_t kKeys = 64;
  AttentionState state(block, kKeys);
  load_queries(block, state);
  const int64_t end = most_visible(block);
  for (int64_t begin = 0; begin < end; begin += kKeys) {
    const int64_t count = smaller(kKeys, end - begin);
    const float* k = block.k + begin * block.k_stride;
    const float* v = block.v + begin * block.v_stride;
    for (int64_t r = 0; r < state.rows; ++r) {
      for (int64_t j = 0; j < count; j += kLanes) {
        score_keys(state.q + r * state.q_stride, k + j * block.k_stride, block.k_stride, count - j, block.head_dim,
                   state.scores + r * state.score_stride + j);
      }
      softmax_step(state, r, block.visible[r] - begin, count, begin == 0);
    }
    for (int64_t r = 0; r < state.rows; ++r) {
      add_value_rows(state.scores + r * state.score_stride, v, block.v_stride, count, block.head_dim, begin > 0,
                     state.sums + r * state.q_stride);
    }
  }
  write_results(block, state);
}

}  // namespace anyon::ANYON_SIMD

namespace anyon {

void ANYON_KERNEL_NAME(attention_few_f32)(const AttentionBlock& block) {
  ANYON_SIMD::attend_few(block);
}

void ANYON_KERNEL_NAME(attention_blocks_f32)(const AttentionBlock& block) {
  ANYON_SIMD::attend_in_blocks(block);
}

}  // namespace anyon
