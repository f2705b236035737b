// Attention with everything ONNX lets it have, head by head, and rotary position embedding.
#include <cmath>
#include <cstring>
#include <limits>

#include "graph/map.h"
#include "graph/product.h"
#include "graph/strided.h"
#include "kernels/linear/linear.h"

namespace anyon::graph {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// (batch, heads, time, dim), f32. `heads` splits the last axis of a value of rank 3.
Tensor in_heads(Run& run, const Tensor& x, int64_t heads) {
  if (x.shape.rank() == 4) return x;
  if (x.shape.rank() != 3 || heads < 1 || x.shape[2] < heads || x.shape[2] % heads != 0) {
    run.fail({"an input is neither of rank 4 nor of rank 3 with a number of heads that divides it"});
  }
  const int64_t batch = x.shape[0], time = x.shape[1], dim = x.shape[2] / heads;
  const Tensor y = run.scratch(x.dtype, {batch, heads, time, dim});
  const std::array<int64_t, 4> strides = {time * heads * dim, dim, heads * dim, 1};
  copy_strided(x, 0, strides, y);
  return y;
}

// The past with the new positions behind it.
Tensor appended(Run& run, const Tensor& past, const Tensor& fresh) {
  if (past.shape.rank() != 4 || past.shape[0] != fresh.shape[0] || past.shape[1] != fresh.shape[1] ||
      past.shape[3] != fresh.shape[3]) {
    run.fail({"the past does not fit the new keys or values"});
  }
  const int64_t dim = fresh.shape[3], old = past.shape[2] * dim, added = fresh.shape[2] * dim;
  const Tensor y = run.scratch(DType::kF32, {fresh.shape[0], fresh.shape[1], past.shape[2] + fresh.shape[2], dim});
  for (int64_t head = 0; head < fresh.shape[0] * fresh.shape[1]; ++head) {
    float* to = y.as<float>() + head * (old + added);
    std::copy_n(past.as<const float>() + head * old, old, to);
    std::copy_n(fresh.as<const float>() + head * added, added, to + old);
  }
  return y;
}

struct AttentionCase {
  Tensor q, k, v, mask;
  bool mask_is_bool = false;
  Strides mask_strides{};               // by (batch, head, query, key); 0 where it is broadcast
  int64_t mask_keys = 0;                // keys behind them are masked
  std::vector<int64_t> offsets, valid;  // by batch: positions before the first query, keys that count
  bool causal = false;
  int64_t left = -1, right = -1;
  float scale = 1, softcap = 0;

  // What is added to the score of a key; -inf for one that must not be seen.
  float bias(int64_t b, int64_t h, int64_t i, int64_t j) const {
    const int64_t at = offsets[static_cast<size_t>(b)] + i;
    if (j >= valid[static_cast<size_t>(b)] || (causal && j > at) || (left >= 0 && at - j > left) ||
        (right >= 0 && j - at > right)) {
      return kMinusInfinity;
    }
    if (!mask.defined) return 0;
    if (j >= mask_keys) return kMinusInfinity;
    const float value =
        mask.as<const float>()[b * mask_strides[0] + h * mask_strides[1] + i * mask_strides[2] + j * mask_strides[3]];
    if (mask_is_bool) return value != 0 ? 0 : kMinusInfinity;
    return value;
  }
};

void read_mask(Run& run, AttentionCase& c) {
  if (!run.has(3)) return;
  c.mask = run.input_as(3, DType::kF32);
  c.mask_is_bool = run.input(3).dtype == DType::kBool;
  const int rank = c.mask.shape.rank();
  if (rank < 1 || rank > 4) run.fail({"its mask has a rank other than 1 to 4"});
  const std::array<int64_t, 4> full = {c.q.shape[0], c.q.shape[1], c.q.shape[2], c.k.shape[2]};
  const Strides own = strides_of(c.mask.shape);
  for (int axis = 0; axis < rank; ++axis) {
    const auto to = static_cast<size_t>(4 - rank + axis);
    const int64_t size = c.mask.shape[axis];
    if (to == 3 ? size > full[to] : size != 1 && size != full[to]) run.fail({"its mask does not fit the scores"});
    c.mask_strides[to] = size == 1 ? 0 : own[static_cast<size_t>(axis)];
  }
  c.mask_keys = c.mask.shape[rank - 1];
}

AttentionCase read_case(Run& run) {
  const Attributes& attributes = run.attributes();
  AttentionCase c;
  const int64_t heads = attributes.integer("q_num_heads", 0), kv_heads = attributes.integer("kv_num_heads", heads);
  c.q = in_heads(run, run.input_as(0, DType::kF32), heads);
  c.k = in_heads(run, run.input_as(1, DType::kF32), kv_heads);
  c.v = in_heads(run, run.input_as(2, DType::kF32), kv_heads);
  int64_t past = 0;
  if (run.has(4) != run.has(5)) run.fail({"past keys and values come together or not at all"});
  if (run.has(4)) {
    past = run.input(4).shape.rank() == 4 ? run.input(4).shape[2] : 0;
    c.k = appended(run, run.input_as(4, DType::kF32), c.k);
    c.v = appended(run, run.input_as(5, DType::kF32), c.v);
  }
  if (c.k.shape[0] != c.q.shape[0] || c.v.shape[0] != c.q.shape[0] || c.k.shape[3] != c.q.shape[3] ||
      c.v.shape[1] != c.k.shape[1] || c.v.shape[2] != c.k.shape[2] || c.k.shape[1] == 0 ||
      c.q.shape[1] % c.k.shape[1] != 0) {
    run.fail({"queries, keys and values do not fit each other"});
  }
  run.expect_room(2 * c.q.shape[0]);
  const auto batch = static_cast<size_t>(c.q.shape[0]);
  c.offsets.assign(batch, past);
  c.valid.assign(batch, c.k.shape[2]);
  if (run.has(6)) {
    c.valid = run.integers(6);
    if (c.valid.size() != batch) run.fail({"it has another number of lengths than rows"});
    for (size_t b = 0; b < batch && !run.has(4); ++b) c.offsets[b] = c.valid[b] - c.q.shape[2];
  }
  c.causal = attributes.flag("is_causal");
  c.left = attributes.integer("left_window_size", -1);
  c.right = attributes.integer("right_window_size", -1);
  c.softcap = static_cast<float>(attributes.number("softcap", 0));
  c.scale = static_cast<float>(
      attributes.number("scale", 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, c.q.shape[3])))));
  read_mask(run, c);
  return c;
}

// One row of scores becomes probabilities, or zeros when no key may be seen. `kept` receives what the mode asks for.
void weigh(const AttentionCase& c, int64_t b, int64_t h, int64_t i, float* row, int64_t keys, int64_t mode,
           float* kept) {
  const auto keep = [&](int64_t when) {
    if (kept != nullptr && mode == when) std::copy_n(row, keys, kept);
  };
  for (int64_t j = 0; j < keys; ++j) row[j] *= c.scale;
  keep(0);
  if (c.softcap > 0) {
    for (int64_t j = 0; j < keys; ++j) row[j] = c.softcap * std::tanh(row[j] / c.softcap);
  }
  keep(1);
  bool any = false;
  for (int64_t j = 0; j < keys; ++j) {
    const float bias = c.bias(b, h, i, j);
    any = any || bias != kMinusInfinity;
    row[j] += bias;
  }
  keep(2);
  float most = kMinusInfinity;
  for (int64_t j = 0; j < keys; ++j) most = std::max(most, row[j]);
  double sum = 0;
  for (int64_t j = 0; j < keys; ++j) {
    row[j] = any ? std::exp(row[j] - most) : 0.0f;
    sum += row[j];
  }
  const auto factor = static_cast<float>(sum == 0 ? 0 : 1 / sum);
  for (int64_t j = 0; j < keys; ++j) row[j] *= factor;
  keep(3);
}

void attention(Run& run) {
  const DType dtype = run.input(0).dtype;
  const AttentionCase c = read_case(run);
  const int64_t batch = c.q.shape[0], heads = c.q.shape[1], queries = c.q.shape[2], dim = c.q.shape[3];
  const int64_t keys = c.k.shape[2], width = c.v.shape[3], shared = heads / c.k.shape[1];
  const bool flat = run.input(0).shape.rank() == 3;
  const Tensor y =
      run.scratch(DType::kF32, flat ? Shape{batch, queries, heads * width} : Shape{batch, heads, queries, width});
  const int64_t step = flat ? heads * width : width;
  const Tensor scores = run.scratch(DType::kF32, {queries, keys});
  const int64_t mode = run.attributes().integer("qk_matmul_output_mode", 0);
  const Tensor kept = run.wants(3) ? run.scratch(DType::kF32, {batch, heads, queries, keys}) : Tensor();
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t kv = b * (heads / shared) + h / shared;
      const Tensor packed_k = pack_columns(run, c.k.as<const float>() + kv * keys * dim, dim, keys, 1, dim);
      const Tensor packed_v = pack_columns(run, c.v.as<const float>() + kv * keys * width, keys, width, width, 1);
      multiply(run, c.q.as<const float>() + (b * heads + h) * queries * dim, dim, packed_k.as<const float>(),
               scores.as<float>(), keys, queries, keys, dim);
      parallel_for(run.pool(), queries, 16, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          float* keep = kept.defined ? kept.as<float>() + ((b * heads + h) * queries + i) * keys : nullptr;
          weigh(c, b, h, i, scores.as<float>() + i * keys, keys, mode, keep);
        }
      });
      const int64_t first = flat ? b * queries * step + h * width : (b * heads + h) * queries * width;
      multiply(run, scores.as<const float>(), keys, packed_v.as<const float>(), y.as<float>() + first, step, queries,
               width, keys);
    }
  }
  run.give(0, y, dtype);
  run.give(1, c.k, run.input(1).dtype);
  run.give(2, c.v, run.input(2).dtype);
  if (kept.defined) run.give(3, kept, dtype);
}

void rotary_embedding(Run& run) {
  const DType dtype = run.input(0).dtype;
  const Tensor raw = run.input_as(0, DType::kF32);
  const Tensor x = in_heads(run, raw, run.attributes().integer("num_heads", 0));
  const Tensor cosines = run.input_as(1, DType::kF32), sines = run.input_as(2, DType::kF32);
  const int64_t batch = x.shape[0], heads = x.shape[1], times = x.shape[2], dim = x.shape[3];
  int64_t turned = run.attributes().integer("rotary_embedding_dim", 0);
  if (turned == 0) turned = dim;
  const int64_t half = turned / 2;
  const std::vector<int64_t> positions = run.integers(3);
  const bool by_position = run.has(3);
  const int64_t rows = half == 0 ? 0 : cosines.elements() / half;
  if (turned < 0 || turned > dim || turned % 2 != 0 || cosines.elements() != rows * half ||
      sines.elements() != rows * half ||
      (by_position ? static_cast<int64_t>(positions.size()) != batch * times : rows != batch * times)) {
    run.fail({"its tables do not fit its input"});
  }
  const bool interleaved = run.attributes().flag("interleaved"), flat = raw.shape.rank() == 3;
  const Tensor y = run.scratch(DType::kF32, raw.shape);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t < times; ++t) {
      const int64_t row = by_position ? positions[static_cast<size_t>(b * times + t)] : b * times + t;
      if (row < 0 || row >= rows) run.fail({"a position is outside the tables"});
      for (int64_t h = 0; h < heads; ++h) {
        const float* from = x.as<const float>() + ((b * heads + h) * times + t) * dim;
        float* to = y.as<float>() + (flat ? ((b * times + t) * heads + h) : ((b * heads + h) * times + t)) * dim;
        std::copy_n(from, dim, to);
        for (int64_t i = 0; i < half; ++i) {
          const int64_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
          const float c = cosines.as<const float>()[row * half + i], s = sines.as<const float>()[row * half + i];
          to[first] = from[first] * c - from[second] * s;
          to[second] = from[first] * s + from[second] * c;
        }
      }
    }
  }
  run.give(0, y, dtype);
}

constexpr OpRow kRows[] = {
    {"Attention", 23, 3, 7, 4, attention,
     "is_causal kv_num_heads left_window_size q_num_heads qk_matmul_output_mode right_window_size scale softcap "
     "softmax_precision"},
    {"RotaryEmbedding", 23, 3, 4, 1, rotary_embedding, "interleaved num_heads rotary_embedding_dim"},
};

}  // namespace

extern const std::span<const OpRow> attention_ops;
constinit const std::span<const OpRow> attention_ops = kRows;

}  // namespace anyon::graph
