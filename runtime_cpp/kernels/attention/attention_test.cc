// Both attention kernels of every ISA against reference.cc: cached, causal, shared keys, any strides.
#include "kernels/attention/attention.h"

#include "core/arena.h"
#include "kernels/linear/linear.h"
#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::kEps;
using testing::Random;

struct Attention {
  Attention(Random& random, int64_t kv_batch, int64_t group, int64_t q_len, int64_t kv_len) {
    args.kv_batch = kv_batch;
    args.batch = kv_batch * group;
    args.heads = random.between(1, 3);
    args.q_len = q_len;
    args.kv_len = kv_len;
    args.head_dim = random.coin() ? 64 : random.between(1, 140);
    // Flat weights, and weights so peaked that the running maximum must be rescaled.
    args.scale = (random.coin() ? 1.0f : 8.0f) / std::sqrt(static_cast<float>(args.head_dim));
    args.causal = random.coin();
    args.past = random.between(0, std::max<int64_t>(0, kv_len - q_len));
    q = fill(random, args.batch, q_len, &args.q_strides);
    k = fill(random, kv_batch, kv_len, &args.k_strides);
    v = fill(random, kv_batch, kv_len, &args.v_strides);
    y = fill(random, args.batch, q_len, &args.y_strides);
    args.q = q.data();
    args.k = k.data();
    args.v = v.data();
    args.y = y.data();
  }

  // (batch, heads, time, head_dim) or (batch, time, heads * head_dim) with a gap after each row.
  std::vector<float> fill(Random& random, int64_t batch, int64_t time, AttentionStrides* strides) const {
    const int64_t gap = random.between(0, 5);
    if (random.coin()) {
      strides->time = args.head_dim + gap;
      strides->head = strides->time * time;
      strides->batch = strides->head * args.heads;
    } else {
      strides->head = args.head_dim;
      strides->time = args.heads * args.head_dim + gap;
      strides->batch = strides->time * time;
    }
    return random.floats(batch * strides->batch);
  }

  std::vector<float> run(Isa isa, ThreadPool& pool) {
    std::fill(y.begin(), y.end(), kCanary);
    const Arena workspace(attention_workspace_bytes(args, pool.size()));
    attention(isa, args, workspace.data(), pool);
    return y;
  }

  std::vector<float> expected() const {
    std::vector<float> result(y.size(), kCanary);
    AttentionArgs a = args;
    a.y = result.data();
    reference::attention(a);
    return result;
  }

  // Each score is off by the roundings of its dot product (independent, about sqrt(head_dim) of them at 4 deviations)
  // and of the scaled query; a weight by twice that, as the sum of weights shifts with it, plus exp's 2e-7; the sum of
  // kv_len weighted values of size up to 1 adds its own roundings.
  double bound() const {
    const double terms = 4.0 * std::sqrt(static_cast<double>(args.head_dim)) + 4.0;
    const double score = static_cast<double>(args.scale) * static_cast<double>(args.head_dim) * 0.5;
    return 2.0 * terms * kEps * score + 1e-6 + 4.0 * kEps * std::sqrt(static_cast<double>(args.kv_len));
  }

  std::string describe() const {
    return "batch " + std::to_string(args.batch) + " kv_batch " + std::to_string(args.kv_batch) + " heads " +
           std::to_string(args.heads) + " q_len " + std::to_string(args.q_len) + " kv_len " +
           std::to_string(args.kv_len) + " head_dim " + std::to_string(args.head_dim) + " scale " +
           std::to_string(args.scale) + (args.causal ? " causal past " + std::to_string(args.past) : "");
  }

  AttentionArgs args;
  std::vector<float> q, k, v, y;
};

void expect_close(const Attention& attention, const std::vector<float>& y) {
  const std::vector<float> expected = attention.expected();
  const double bound = attention.bound();
  // The canary in both marks gaps between rows.
  for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], expected[i], bound) << "at " << i;
}

Attention some_attention(Random& random, bool few) {
  if (few) {
    const int64_t group = random.between(1, 5), q_len = random.between(1, kFewQueries / group);
    return Attention(random, random.between(1, 3), group, q_len, random.between(0, 200));
  }
  const int64_t group = random.between(1, 3), q_len = random.between(kFewQueries / group + 1, 60);
  return Attention(random, random.between(1, 2), group, q_len, random.between(0, 540));
}

TEST(Attention, EveryKernelAgreesWithTheReferenceOnAnyThreads) {
  ANYON_TRACE_SEED();
  ThreadPool one(1), three(3);
  // The two kernels of an ISA are the two halves of one dispatch; few queries reach the first, many the second.
  for (const auto& row : testing::runnable(attention_few_kernels())) {
    Random random(testing::test_seed());
    for (int i = 0; i < 32; ++i) {
      const bool few = i % 2 == 0;
      Attention attention = some_attention(random, few);
      SCOPED_TRACE(std::string(name(row.isa)) + (few ? " few: " : " blocks: ") + attention.describe());
      const std::vector<float> y = attention.run(row.isa, one);
      expect_close(attention, y);
      if (HasFatalFailure()) return;
      ASSERT_TRUE(testing::same_bits(y, attention.run(row.isa, three))) << "threads changed the result";
    }
  }
}

TEST(Attention, EveryIsaHasBothKernels) {
  const auto few = attention_few_kernels();
  const auto blocks = attention_blocks_kernels();
  ASSERT_EQ(few.size(), blocks.size());
  for (size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i].isa, blocks[i].isa);
}

TEST(Attention, ReadsKeysAndValuesFromTheRowsGiven) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  for (const auto& row : testing::runnable(attention_few_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 2);
    for (const int64_t q_len : {1, 30}) {
      Attention attention(random, 3, 2, q_len, 50);
      const std::vector<float> in_order = attention.run(row.isa, pool);
      // The same keys and values, stored backwards.
      const Attention original = attention;
      const std::vector<int32_t> rows = {2, 1, 0};
      attention.args.kv_rows = rows.data();
      for (int64_t b = 0; b < 3; ++b) {
        const int64_t k_size = attention.args.k_strides.batch, v_size = attention.args.v_strides.batch;
        std::copy_n(&original.k[b * k_size], k_size, &attention.k[(2 - b) * k_size]);
        std::copy_n(&original.v[b * v_size], v_size, &attention.v[(2 - b) * v_size]);
      }
      EXPECT_TRUE(testing::same_bits(in_order, attention.run(row.isa, pool)));
    }
  }
}

TEST(Attention, AQueryThatSeesNothingGivesZeros) {
  ThreadPool pool(1);
  for (const auto& row : testing::runnable(attention_few_kernels())) {
    SCOPED_TRACE(row.name);
    for (const int64_t q_len : {2, 40}) {
      Random random(1);
      Attention attention(random, 1, 1, q_len, 0);
      attention.args.causal = false;
      for (const float value : attention.run(row.isa, pool)) EXPECT_TRUE(value == 0.0f || value == kCanary);
    }
  }
}

TEST(Attention, MayWriteOverItsQueries) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  for (const auto& row : testing::runnable(attention_few_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 1);
    for (const bool few : {true, false}) {
      Attention attention = some_attention(random, few);
      attention.args.y_strides = attention.args.q_strides;
      attention.y.assign(attention.q.size(), kCanary);
      attention.args.y = attention.y.data();
      const std::vector<float> apart = attention.run(row.isa, pool);
      std::vector<float> in_place = attention.q;
      attention.args.q = in_place.data();
      attention.args.y = in_place.data();
      const Arena workspace(attention_workspace_bytes(attention.args, pool.size()));
      anyon::attention(row.isa, attention.args, workspace.data(), pool);
      for (size_t i = 0; i < apart.size(); ++i) ASSERT_TRUE(apart[i] == in_place[i] || apart[i] == kCanary);
    }
  }
}

TEST(Attention, ScratchSizedForTheLongestIsEnoughForShorter) {
  AttentionArgs args;
  args.heads = 6;
  args.head_dim = 64;
  int64_t before = 0;
  for (const int64_t size : {1, 2, 5, 17, 64, 448, 1500}) {
    args.batch = args.kv_batch = std::min<int64_t>(size, 5);
    args.q_len = size;
    args.kv_len = 2 * size;
    const int64_t bytes = attention_workspace_bytes(args, 2);
    EXPECT_GE(bytes, before);
    before = bytes;
  }
  args.kv_batch = 1;
  EXPECT_LE(attention_workspace_bytes(args, 2), before);
}

}  // namespace
}  // namespace anyon
