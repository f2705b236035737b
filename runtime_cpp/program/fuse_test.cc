// Fused ops give the bits of the ops they replace, for few rows and many and on any number of threads.
#include "program/fuse.h"

#include "bundle_writer.h"
#include "kernels/linear_i8/linear_i8.h"
#include "kernels/testing.h"
#include "program/native_session.h"

namespace anyon {
namespace {

using testing::BundleWriter;
using testing::Random;
using Json = nlohmann::json;

constexpr int64_t kWidth = 40, kBetween = 72;

void add_linear(BundleWriter& writer, Random& random, const std::string& name, int64_t n, int64_t k) {
  std::vector<int8_t> q(static_cast<size_t>(n * k));
  std::vector<int32_t> sum(static_cast<size_t>(n), 0);
  for (int64_t i = 0; i < n * k; ++i) {
    q[static_cast<size_t>(i)] = static_cast<int8_t>(random.between(-127, 127));
    sum[static_cast<size_t>(i / k)] += q[static_cast<size_t>(i)];
  }
  std::vector<int8_t> packed(static_cast<size_t>(panel16x4_bytes(n, k)));
  pack_panel16x4(q.data(), k, n, k, packed.data());
  writer.add<int8_t>(name, "I8", {(n + 15) / 16, (k + 3) / 4, 16, 4}, packed);
  writer.add(name + ".scale", {n}, random.floats(n, 0.001f, 0.02f));
  writer.add<int32_t>(name + ".sum", "I32", {n}, sum);
  writer.add(name + ".bias", {n}, random.floats(n));
}

// y = x + down(gelu(up(norm(x)))), with every value between as an output too or not.
Json mlp(int input_bits, bool shows_all) {
  const auto linear = [&](const char* name, const char* x, const char* residual, const char* y, int64_t n, int64_t k,
                          const char* activation) {
    const std::string w = name;
    return Json{{"op", "linear_i8"},
                {"name", name},
                {"inputs", {x, w, w + ".scale", w + ".sum", w + ".bias", residual}},
                {"outputs", {y}},
                {"attrs", {{"k", k}, {"n", n}, {"activation", activation}, {"input_bits", input_bits}}}};
  };
  const auto value = [](const char* name, int64_t width) {
    return Json{{"name", name}, {"dtype", "f32"}, {"shape", {"time", width}}};
  };
  Json program = {
      {"dims", {{"time", {1, 200}}}},
      {"states", Json::array()},
      {"inputs", {value("x0", kWidth)}},
      {"outputs", {value("y", kWidth)}},
      {"ops",
       {{{"op", "add"}, {"name", ""}, {"inputs", {"x0", "x0"}}, {"outputs", {"x"}}, {"attrs", Json::object()}},
        {{"op", "layer_norm"},
         {"name", "norm"},
         {"inputs", {"x", "norm.scale", "norm.bias"}},
         {"outputs", {"normed"}},
         {"attrs", {{"epsilon", 1e-5}}}},
        linear("up", "normed", "", "between", kBetween, kWidth, "gelu"),
        linear("down", "between", "x", "y", kWidth, kBetween, "none")}}};
  if (shows_all) {
    program["outputs"].push_back(value("normed", kWidth));
    program["outputs"].push_back(value("between", kBetween));
  }
  return program;
}

struct Mlp {
  explicit Mlp(int input_bits) : random(testing::test_seed()) {
    writer.add("norm.scale", {kWidth}, random.floats(kWidth));
    writer.add("norm.bias", {kWidth}, random.floats(kWidth));
    add_linear(writer, random, "up", kBetween, kWidth);
    add_linear(writer, random, "down", kWidth, kBetween);
    writer.manifest["programs"]["fused"] = mlp(input_bits, false);
    writer.manifest["programs"]["apart"] = mlp(input_bits, true);
    bundle = writer.open();
  }

  std::vector<float> run(const char* program, Isa isa, int threads, const std::vector<float>& x) {
    NativeSession session(bundle, program, std::make_shared<ThreadPool>(threads), isa);
    const TensorView input{
        DType::kF32, {static_cast<int64_t>(x.size()) / kWidth, kWidth}, const_cast<float*>(x.data())};
    std::vector<TensorView> outputs(session.outputs().size());
    session.run({&input, 1}, outputs);
    return {outputs[0].as<float>(), outputs[0].as<float>() + outputs[0].shape.elements()};
  }

  Random random;
  BundleWriter writer;
  std::shared_ptr<const Bundle> bundle;
};

TEST(Fuse, NormAndTwoLinearsThatNobodyElseReadsBecomeOneOp) {
  Mlp model(8);
  Program fused = parse_program(model.bundle, "fused"), apart = parse_program(model.bundle, "apart");
  fuse_ops(fused);
  fuse_ops(apart);
  ASSERT_EQ(fused.ops.size(), 2u);
  EXPECT_STREQ(fused.ops[1].row->name, "linear_pair_i8");
  EXPECT_EQ(fused.ops[1].name, "up + down");
  EXPECT_EQ(fused.ops[1].index, 1);
  EXPECT_EQ(apart.ops.size(), 4u);
}

TEST(Fuse, FusedOpsKeepEveryBit) {
  ANYON_TRACE_SEED();
  for (const int input_bits : {8, 16}) {
    Mlp model(input_bits);
    for (const Isa isa : supported_isas()) {
      for (const int64_t rows : {1, 16, 17, 48, 49, 200}) {  // few rows, and blocks that are full or not
        const std::vector<float> x = model.random.floats(rows * kWidth);
        const std::vector<float> expected = model.run("apart", isa, 1, x);
        for (const int threads : {1, 3}) {
          EXPECT_TRUE(testing::same_bits(model.run("fused", isa, threads, x), expected))
              << name(isa) << ", " << rows << " rows, " << threads << " threads, " << input_bits << " bits";
        }
      }
    }
  }
}

}  // namespace
}  // namespace anyon
