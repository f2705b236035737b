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

constexpr int64_t kWidth = 40, kBetween = 72, kHeads = 3, kHeadDim = 32;

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

Json linear(const std::string& w, const char* x, const char* residual, const std::string& y, int64_t n, int64_t k,
            const char* activation, int input_bits) {
  return {{"op", "linear_i8"},
          {"name", w},
          {"inputs", {x, w, w + ".scale", w + ".sum", w + ".bias", residual}},
          {"outputs", {y}},
          {"attrs", {{"k", k}, {"n", n}, {"activation", activation}, {"input_bits", input_bits}}}};
}

Json norm(const char* x, const char* y) {
  return {{"op", "layer_norm"},
          {"name", "norm"},
          {"inputs", {x, "norm.scale", "norm.bias"}},
          {"outputs", {y}},
          {"attrs", {{"epsilon", 1e-5}}}};
}

Json value(const std::string& name, const Json& shape) {
  return {{"name", name}, {"dtype", "f32"}, {"shape", shape}};
}

// y = x + down(gelu(up(norm(x)))), with every value between as an output too or not.
Json mlp(int input_bits, bool shows_all) {
  Json program = {{"dims", {{"time", {1, 200}}}}, {"states", Json::array()}};
  program["inputs"] = Json::array({value("x0", {"time", kWidth})});
  program["outputs"] = Json::array({value("y", {"time", kWidth})});
  program["ops"] = Json::array();
  program["ops"].push_back(
      {{"op", "add"}, {"name", ""}, {"inputs", {"x0", "x0"}}, {"outputs", {"x"}}, {"attrs", Json::object()}});
  program["ops"].push_back(norm("x", "normed"));
  program["ops"].push_back(linear("up", "normed", "", "between", kBetween, kWidth, "gelu", input_bits));
  program["ops"].push_back(linear("down", "between", "x", "y", kWidth, kBetween, "none", input_bits));
  if (shows_all) {
    program["outputs"].push_back(value("normed", {"time", kWidth}));
    program["outputs"].push_back(value("between", {"time", kBetween}));
  }
  return program;
}

// Of norm(x): queries as they are, keys and values split into heads. With everything shown nothing can be merged.
Json projections(const std::vector<std::string>& names, bool shows_all) {
  Json program = {{"dims", {{"batch", {1, 2}}, {"time", {1, 200}}}}, {"states", Json::array()}};
  program["inputs"] = Json::array({value("x", {"batch", "time", kWidth})});
  program["outputs"] = Json::array();
  program["ops"] = Json::array();
  program["ops"].push_back(norm("x", "normed"));
  for (const std::string& name : names) {
    const std::string y = name + ".y", heads = name + ".heads";
    const bool splits = name != "query";
    program["ops"].push_back(linear(name, "normed", "", y, kHeads * kHeadDim, kWidth, "none", 8));
    if (splits) {
      program["ops"].push_back({{"op", "split_heads"},
                                {"name", ""},
                                {"inputs", Json::array({y})},
                                {"outputs", Json::array({heads})},
                                {"attrs", {{"heads", kHeads}}}});
      program["outputs"].push_back(value(heads, {"batch", kHeads, "time", kHeadDim}));
    }
    if (shows_all || !splits) program["outputs"].push_back(value(y, {"batch", "time", kHeads * kHeadDim}));
  }
  if (shows_all) program["outputs"].push_back(value("normed", {"batch", "time", kWidth}));
  return program;
}

struct Model {
  explicit Model(int input_bits = 8) : random(testing::test_seed()) {
    writer.add("norm.scale", {kWidth}, random.floats(kWidth));
    writer.add("norm.bias", {kWidth}, random.floats(kWidth));
    add_linear(writer, random, "up", kBetween, kWidth);
    add_linear(writer, random, "down", kWidth, kBetween);
    writer.manifest["programs"]["fused"] = mlp(input_bits, false);
    writer.manifest["programs"]["apart"] = mlp(input_bits, true);
    writer.manifest["programs"]["group"] = projections({"query", "key", "value"}, false);
    for (const char* name : {"query", "key", "value"}) {
      add_linear(writer, random, name, kHeads * kHeadDim, kWidth);
      writer.manifest["programs"][name] = projections({name}, true);
    }
    bundle = writer.open();
  }

  // The program's outputs.
  std::vector<std::vector<float>> run(const char* program, Isa isa, int threads, const Shape& shape,
                                      const std::vector<float>& x) {
    NativeSession session(bundle, program, std::make_shared<ThreadPool>(threads), isa);
    const TensorView input{DType::kF32, shape, const_cast<float*>(x.data())};
    std::vector<TensorView> outputs(session.outputs().size());
    session.run({&input, 1}, outputs);
    std::vector<std::vector<float>> values;
    for (const TensorView& output : outputs) {
      values.emplace_back(output.as<float>(), output.as<float>() + output.shape.elements());
    }
    return values;
  }

  Random random;
  BundleWriter writer;
  std::shared_ptr<const Bundle> bundle;
};

TEST(Fuse, NormAndTwoLinearsThatNobodyElseReadsBecomeOneOp) {
  Model model;
  Program fused = parse_program(model.bundle, "fused"), apart = parse_program(model.bundle, "apart");
  fuse_ops(fused);
  fuse_ops(apart);
  ASSERT_EQ(fused.ops.size(), 2u);
  EXPECT_STREQ(fused.ops[1].row->name, "linear_pair_i8");
  EXPECT_EQ(fused.ops[1].name, "up + down");
  EXPECT_EQ(fused.ops[1].index, 1);
  EXPECT_EQ(apart.ops.size(), 4u);
}

TEST(Fuse, LinearsOfOneNormAndTheirHeadsBecomeOneOp) {
  Model model;
  Program group = parse_program(model.bundle, "group"), alone = parse_program(model.bundle, "key");
  fuse_ops(group);
  fuse_ops(alone);
  ASSERT_EQ(group.ops.size(), 1u);
  EXPECT_STREQ(group.ops[0].row->name, "linear_group_i8");
  EXPECT_EQ(group.ops[0].outputs.size(), 3u);
  EXPECT_EQ(alone.ops.size(), 3u);
}

TEST(Fuse, PairsKeepEveryBit) {
  ANYON_TRACE_SEED();
  for (const int input_bits : {8, 16}) {
    Model model(input_bits);
    for (const Isa isa : supported_isas()) {
      for (const int64_t rows : {1, 16, 17, 48, 49, 200}) {  // few rows, and blocks that are full or not
        const std::vector<float> x = model.random.floats(rows * kWidth);
        const std::vector<float> expected = model.run("apart", isa, 1, {rows, kWidth}, x)[0];
        for (const int threads : {1, 3}) {
          EXPECT_TRUE(testing::same_bits(model.run("fused", isa, threads, {rows, kWidth}, x)[0], expected))
              << name(isa) << ", " << rows << " rows, " << threads << " threads, " << input_bits << " bits";
        }
      }
    }
  }
}

TEST(Fuse, GroupsKeepEveryBit) {
  ANYON_TRACE_SEED();
  Model model;
  for (const Isa isa : supported_isas()) {
    for (const int64_t time : {1, 9, 120}) {
      const Shape shape{2, time, kWidth};
      const std::vector<float> x = model.random.floats(shape.elements());
      for (const int threads : {1, 3}) {
        SCOPED_TRACE(std::string(name(isa)) + ", time " + std::to_string(time));
        const std::vector<std::vector<float>> group = model.run("group", isa, threads, shape, x);
        EXPECT_TRUE(testing::same_bits(group[0], model.run("query", isa, 1, shape, x)[0]));
        EXPECT_TRUE(testing::same_bits(group[1], model.run("key", isa, 1, shape, x)[0]));
        EXPECT_TRUE(testing::same_bits(group[2], model.run("value", isa, 1, shape, x)[0]));
      }
    }
  }
}

}  // namespace
}  // namespace anyon
