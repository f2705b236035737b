// Every attention_i8 kernel against attention in double precision, within what two roundings to 8 bits cost.
#include "kernels/attention_i8/attention_i8.h"

#include "core/arena.h"
#include "kernels/testing.h"

namespace anyon {
namespace {

using testing::kCanary;
using testing::Random;

struct Case {
  AttentionArgs args;
  std::vector<float> q, k, v, y;

  Case(Random& random, int64_t batch, int64_t kv_batch, int64_t q_len, int64_t kv_len, int64_t head_dim, float spread) {
    args.batch = batch;
    args.kv_batch = kv_batch;
    args.heads = random.between(1, 3);
    args.q_len = q_len;
    args.kv_len = kv_len;
    args.head_dim = head_dim;
    args.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
    const int64_t width = args.heads * head_dim + random.between(0, 5);
    q = random.floats(batch * q_len * width, -spread, spread);
    k = random.floats(kv_batch * kv_len * width, -spread, 1.5f * spread);  // off centre, which must not matter
    v = random.floats(kv_batch * kv_len * width, -1.0f, 2.0f);
    y.assign(static_cast<size_t>(batch * q_len * width), kCanary);
    args.q_strides = args.y_strides = {q_len * width, width, head_dim};
    args.k_strides = args.v_strides = {kv_len * width, width, head_dim};
    args.q = q.data();
    args.k = k.data();
    args.v = v.data();
    args.y = y.data();
  }

  void run(Isa isa, ThreadPool& pool) {
    const Arena packed(args.kv_batch * args.heads * PackedHead(args.kv_len, args.head_dim).bytes);
    const Arena workspace(attention_i8_workspace_bytes(args, pool.size()));
    pack_attention_i8(isa, args, packed.data(), pool);
    attention_i8(isa, args, packed.data(), workspace.data(), pool);
  }

  std::vector<float> expected() {
    std::vector<float> result(y.size(), kCanary);
    AttentionArgs exact = args;
    exact.y = result.data();
    reference::attention(exact);
    return result;
  }

  std::string describe() const {
    return "batch " + std::to_string(args.batch) + "/" + std::to_string(args.kv_batch) + " heads " +
           std::to_string(args.heads) + " q_len " + std::to_string(args.q_len) + " kv_len " +
           std::to_string(args.kv_len) + " head_dim " + std::to_string(args.head_dim);
  }
};

TEST(AttentionI8, EveryKernelAgreesWithTheReference) {
  ANYON_TRACE_SEED();
  ThreadPool pool(2);
  for (const auto& row : testing::runnable(attention_i8_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed());
    for (int i = 0; i < 30; ++i) {
      const int64_t kv_batch = random.between(1, 2);
      const float spread = i % 3 == 0 ? 0.1f : i % 3 == 1 ? 1.0f : 4.0f;  // nearly uniform to sharp weights
      Case c(random, kv_batch * random.between(1, 3), kv_batch, random.coin() ? 1 : random.between(1, 130),
             random.between(1, 700), random.coin() ? 64 : random.between(1, 100), spread);
      SCOPED_TRACE(c.describe());
      c.run(row.isa, pool);
      const std::vector<float> expected = c.expected();
      double error = 0.0, signal = 0.0;
      for (size_t j = 0; j < expected.size(); ++j) {
        if (expected[j] == kCanary) {
          ASSERT_EQ(c.y[j], kCanary) << "wrote outside the heads at " << j;
          continue;
        }
        ASSERT_TRUE(std::isfinite(c.y[j]));
        const double difference = double{c.y[j]} - expected[j];
        error += difference * difference;
        signal += double{expected[j]} * expected[j];
        // A score is off by at most two half steps: |q| |k| sqrt(d) / 127 each, in practice far less. Values span 3.
        ASSERT_NEAR(c.y[j], expected[j], spread > 1.0f ? 0.5 : 0.1) << "at " << j;
      }
      // As a whole: 30 dB at the least, 40 and more where the weights are not sharp.
      ASSERT_LT(error, signal * (spread > 1.0f ? 1e-3 : 1e-4));
    }
  }
}

TEST(AttentionI8, SmallWeightsOfManyKeysAreNotLost) {
  // One key with most of the weight, and 1,299 with 1 / 2000 of it each: rounded relative to the largest weight alone
  // they would all vanish. Only the 255 that share its block do.
  ThreadPool pool(1);
  for (const auto& row : testing::runnable(attention_i8_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(7);
    Case c(random, 1, 1, 1, 1300, 64, 1.0f);
    std::fill(c.q.begin(), c.q.end(), 1.0f);
    std::fill(c.k.begin(), c.k.end(), 0.0f);
    const int64_t width = c.args.k_strides.time;
    for (int64_t j = 0; j < width; ++j) c.k[static_cast<size_t>(j)] = 7.6f / 8.0f;  // e^7.6 = 2000
    for (int64_t key = 0; key < 1300; ++key) {
      for (int64_t j = 0; j < width; ++j) c.v[static_cast<size_t>(key * width + j)] = key == 0 ? 0.0f : 1.0f;
    }
    c.run(row.isa, pool);
    const float kept = 1300.0f - 256.0f, expected = kept / (kept + std::exp(7.6f));
    EXPECT_NEAR(c.y[0], expected, 0.005f);
  }
}

TEST(AttentionI8, AQueryOfZerosWeighsEveryKeyAlike) {
  ThreadPool pool(1);
  for (const auto& row : testing::runnable(attention_i8_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(8);
    for (const int64_t kv_len : {1, 31, 300}) {
      Case c(random, 1, 1, 1, kv_len, 64, 1.0f);
      std::fill(c.q.begin(), c.q.end(), 0.0f);
      c.run(row.isa, pool);
      const std::vector<float> expected = c.expected();
      for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(c.y[i], expected[i], 0.01f) << kv_len;
    }
  }
}

TEST(AttentionI8, FarScoresAndSingleKeysStayFinite) {
  ThreadPool pool(1);
  for (const auto& row : testing::runnable(attention_i8_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(9);
    for (const float size : {1e-30f, 1e4f, 1e15f}) {  // scores from nothing to far beyond what exp can tell apart
      Case c(random, 1, 1, 3, 200, 64, size);
      c.run(row.isa, pool);
      for (const float value : c.y) ASSERT_TRUE(std::isfinite(value)) << size;
    }
    Case one(random, 1, 1, 2, 1, 64, 1.0f);
    one.run(row.isa, pool);
    const std::vector<float> expected = one.expected();
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(one.y[i], expected[i], 1e-5f);
  }
}

TEST(AttentionI8, GivesTheSameBitsOnAnyNumberOfThreadsAndForQueriesAlone) {
  ANYON_TRACE_SEED();
  ThreadPool one(1), three(3);
  for (const auto& row : testing::runnable(attention_i8_kernels())) {
    SCOPED_TRACE(row.name);
    Random random(testing::test_seed() + 1);
    Case c(random, 1, 1, 110, 333, 64, 1.0f);
    c.run(row.isa, one);
    const std::vector<float> alone = c.y;
    std::fill(c.y.begin(), c.y.end(), kCanary);
    c.run(row.isa, three);
    ASSERT_TRUE(testing::same_bits(alone, c.y));
    const AttentionArgs all = c.args;
    std::fill(c.y.begin(), c.y.end(), kCanary);
    c.args.q_len = 1;
    for (int64_t i = 0; i < all.q_len; ++i) {
      c.args.q = all.q + i * all.q_strides.time;
      c.args.y = all.y + i * all.y_strides.time;
      c.run(row.isa, three);
    }
    ASSERT_TRUE(testing::same_bits(alone, c.y));
  }
}

}  // namespace
}  // namespace anyon
