// Small programs whose results can be written down: every op's wiring, memory reuse, views, and replaced states.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "bundle_writer.h"
#include "program/native_session.h"

namespace anyon {
namespace {

using testing::BundleWriter;
using Json = nlohmann::json;

// A program under construction and a session of it.
class Model {
 public:
  Model() {
    program_ = {{"dims", {{"batch", {1, 4}}, {"time", {1, 16}}}},
                {"inputs", Json::array()},
                {"outputs", Json::array()},
                {"states", Json::array()},
                {"ops", Json::array()}};
  }

  BundleWriter& weights() { return writer_; }
  Json& json() { return program_; }
  Model& input(const std::string& name, const Json& shape, const char* dtype = "f32") {
    program_["inputs"].push_back({{"name", name}, {"dtype", dtype}, {"shape", shape}});
    return *this;
  }
  Model& op(const char* type, const Json& inputs, const std::string& output, const Json& attrs = Json::object()) {
    program_["ops"].push_back(
        {{"op", type}, {"name", ""}, {"inputs", inputs}, {"outputs", {output}}, {"attrs", attrs}});
    return *this;
  }
  Model& output(const std::string& name, const Json& shape, const char* dtype = "f32") {
    program_["outputs"].push_back({{"name", name}, {"dtype", dtype}, {"shape", shape}});
    return *this;
  }

  NativeSession& session() {
    if (!session_) {
      writer_.manifest["programs"]["p"] = program_;
      session_ = std::make_unique<NativeSession>(writer_.open(), "p", std::make_shared<ThreadPool>(1), selected_isa());
    }
    return *session_;
  }

  // Runs and returns output `index` as floats; its shape is in shape().
  std::vector<float> run(const std::vector<std::pair<Shape, std::vector<float>>>& inputs, size_t index = 0) {
    std::vector<TensorView> in, out(session().outputs().size());
    for (const auto& [shape, values] : inputs) in.push_back({DType::kF32, shape, const_cast<float*>(values.data())});
    session().run(in, out);
    shape_ = out[index].shape;
    return {out[index].as<float>(), out[index].as<float>() + shape_.elements()};
  }
  const Shape& shape() const { return shape_; }

 private:
  BundleWriter writer_;
  Json program_;
  std::unique_ptr<NativeSession> session_;
  Shape shape_;
};

using Floats = std::vector<float>;
const Floats kSix = {1, 2, 3, 4, 5, 6};

TEST(Ops, MoveElements) {
  Model transpose;
  transpose.input("x", {2, 3}).op("transpose", {"x"}, "y", {{"perm", {1, 0}}}).output("y", {3, 2});
  EXPECT_EQ(transpose.run({{{2, 3}, kSix}}), (Floats{1, 4, 2, 5, 3, 6}));

  Model split;
  split.input("x", {1, 3, 4}).op("split_heads", {"x"}, "y", {{"heads", 2}}).output("y", {1, 2, 3, 2});
  EXPECT_EQ(split.run({{{1, 3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}}),
            (Floats{1, 2, 5, 6, 9, 10, 3, 4, 7, 8, 11, 12}));

  Model slice;
  slice.input("x", {2, 3}).op("slice", {"x"}, "y", {{"axis", -1}, {"start", 1}, {"end", 3}}).output("y", {2, 2});
  EXPECT_EQ(slice.run({{{2, 3}, kSix}}), (Floats{2, 3, 5, 6}));

  Model concat;
  concat.input("x", {2, 3}).input("z", {2, 1}).op("concat", {"x", "z", "x"}, "y", {{"axis", 1}}).output("y", {2, 7});
  EXPECT_EQ(concat.run({{{2, 3}, kSix}, {{2, 1}, {8, 9}}}), (Floats{1, 2, 3, 8, 1, 2, 3, 4, 5, 6, 9, 4, 5, 6}));

  Model gather;
  gather.weights().add<int64_t>("index", "I64", {2, 2}, {2, 0, 1, 1});
  gather.input("x", {2, 3}).op("gather", {"x", "index"}, "y", {{"axis", 1}}).output("y", {2, 2, 2});
  EXPECT_EQ(gather.run({{{2, 3}, kSix}}), (Floats{3, 1, 2, 2, 6, 4, 5, 5}));

  Model reshape;
  reshape.input("x", {2, "time"}).op("reshape", {"x"}, "y", {{"shape", {-1, 2}}}).op("add", {"y", "y"}, "z");
  reshape.output("z", {"time", 2});
  EXPECT_EQ(reshape.run({{{2, 3}, kSix}}), (Floats{2, 4, 6, 8, 10, 12}));
  EXPECT_EQ(reshape.shape(), (Shape{3, 2}));
}

TEST(Ops, ComputeElementwise) {
  Model model;
  model.weights().add("scale", {3}, {1, 10, 100});
  model.input("x", {"batch", 3}).op("mul", {"x", "scale"}, "m").op("sub", {"m", "x"}, "s").op("div", {"s", "x"}, "d");
  model.op("relu", {"d"}, "y").output("y", {"batch", 3});
  EXPECT_EQ(model.run({{{2, 3}, kSix}}), (Floats{0, 9, 99, 0, 9, 99}));

  const std::map<std::string, double (*)(double)> unary = {
      {"gelu", [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }},
      {"gelu_tanh",
       [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }},
      {"relu", [](double x) { return x > 0 ? x : 0; }},
      {"silu", [](double x) { return x / (1 + std::exp(-x)); }},
      {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }},
      {"tanh", [](double x) { return std::tanh(x); }},
      {"exp", [](double x) { return std::exp(x); }}};
  const Floats xs = {-3, -0.5, 0, 0.25, 2};
  for (const auto& [op, function] : unary) {
    Model one;
    one.input("x", {5}).op(op.c_str(), {"x"}, "y").output("y", {5});
    const Floats ys = one.run({{{5}, xs}});
    for (size_t i = 0; i < xs.size(); ++i) {
      EXPECT_NEAR(ys[i], function(xs[i]), 2e-6 * std::max(1.0, std::abs(function(xs[i])))) << op << "(" << xs[i] << ")";
    }
  }
}

TEST(Ops, Normalise) {
  Model softmax;
  softmax.input("x", {2, 2}).op("softmax", {"x"}, "y").output("y", {2, 2});
  const Floats p = softmax.run({{{2, 2}, {0, std::log(3.0f), 5, 5}}});
  const Floats expected = {0.25f, 0.75f, 0.5f, 0.5f};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(p[i], expected[i], 1e-6);

  Model norm;
  norm.weights().add("bias", {2}, {10, 20});
  norm.input("x", {1, 2}).op("layer_norm", {"x", "", "bias"}, "y", {{"epsilon", 0.0}}).output("y", {1, 2});
  const Floats y = norm.run({{{1, 2}, {3, 7}}});
  EXPECT_NEAR(y[0], 9, 1e-5);
  EXPECT_NEAR(y[1], 21, 1e-5);
}

TEST(Ops, ConvolveWithALongerResidual) {
  Model model;
  // One channel in, one out: y[t] = x[t-1] + 2 x[t] + 3 x[t+1] + 0.5, stride 2; then a table with one row too many.
  model.weights().add_panel16("w", 1, 3, {1, 2, 3});
  model.weights().add("b", {1}, {0.5});
  model.weights().add("table", {3, 1}, {100, 200, 300});
  model.input("x", {"batch", "time", 1});
  model.op("conv1d", {"x", "w", "b", "table"}, "y",
           {{"kernel", 3}, {"stride", 2}, {"padding", 1}, {"cin", 1}, {"cout", 1}, {"activation", "none"}});
  model.json()["dims"]["half"] = {1, 8};
  model.output("y", {"batch", "half", 1});
  EXPECT_EQ(model.run({{{2, 4, 1}, {1, 2, 3, 4, 10, 20, 30, 40}}}), (Floats{108.5, 220.5, 180.5, 400.5}));
  EXPECT_EQ(model.shape(), (Shape{2, 2, 1}));
}

TEST(Ops, AttendOverEitherLayout) {
  // One head of one dim: softmax over keys (0, ln 3) with query 1 weighs values 0.25 and 0.75.
  const float k = std::log(3.0f);
  const Json attrs = {{"heads", 1}, {"head_dim", 1}, {"scale", 1.0}};
  Model rank3;
  rank3.input("q", {1, 1, 1}).input("kv", {1, "time", 2});
  Json offset = attrs;
  offset["v_offset"] = 1;
  rank3.op("attention", {"q", "kv", "kv"}, "y", offset).output("y", {1, 1, 1});
  EXPECT_NEAR(rank3.run({{{1, 1, 1}, {1}}, {{1, 2, 2}, {0, 4, k, 8}}})[0], 7, 1e-5);

  Model rank4;
  rank4.input("q", {1, 1, 1, 1}).input("k", {1, 1, "time", 1}).input("v", {1, 1, "time", 1});
  rank4.op("attention", {"q", "k", "v"}, "y", attrs).output("y", {1, 1, 1});
  EXPECT_NEAR(rank4.run({{{1, 1, 1, 1}, {1}}, {{1, 1, 2, 1}, {0, k}}, {{1, 1, 2, 1}, {4, 8}}})[0], 7, 1e-5);
}

TEST(Memory, IsNotReusedWhileAValueIsStillNeeded) {
  // `a` is read again after ops that could have overwritten it.
  Model model;
  model.input("x", {4}).op("exp", {"x"}, "a").op("relu", {"a"}, "b").op("add", {"b", "b"}, "c");
  model.op("sub", {"c", "a"}, "d").op("add", {"d", "a"}, "e").output("e", {4}).output("a", {4});
  EXPECT_EQ(model.run({{{4}, {0, 0, 0, 0}}}), (Floats{2, 2, 2, 2}));
  EXPECT_EQ(model.run({{{4}, {0, 0, 0, 0}}}, 1), (Floats{1, 1, 1, 1}));
}

TEST(Memory, OfAChainIsUsedInPlace) {
  Model model;
  model.input("x", {1024});
  std::string last = "x";
  for (int i = 0; i < 20; ++i) {
    const std::string next = std::to_string(i).append("th");
    model.op("relu", {last}, next);
    last = next;
  }
  model.output(last, {1024});
  EXPECT_EQ(model.run({{{1024}, Floats(1024, 3)}}), Floats(1024, 3));
  EXPECT_LT(model.session().placement().arena_bytes, 2 * 4096);
}

TEST(Memory, OfAViewLivesAsLongAsTheView) {
  Model model;
  model.input("x", {2, 3}).op("relu", {"x"}, "a").op("reshape", {"a"}, "v", {{"shape", {3, 2}}});
  model.op("exp", {"x"}, "b").op("mul", {"b", "b"}, "c").op("add", {"v", "v"}, "y").output("y", {3, 2});
  model.output("c", {2, 3});
  EXPECT_EQ(model.run({{{2, 3}, kSix}}), (Floats{2, 4, 6, 8, 10, 12}));
}

TEST(Memory, OfOutputsThatAreInputsOrWeightsIsTheSessionsOwn) {
  Model model;
  model.weights().add("w", {2}, {5, 6});
  model.input("x", {2, "time"}).op("reshape", {"x"}, "flat", {{"shape", {-1}}}).output("flat", {"batch"});
  model.op("reshape", {"w"}, "w2", {{"shape", {1, 2}}}).output("w2", {1, 2}).output("x", {2, "time"});
  std::vector<TensorView> out(3);
  Floats x = {7, 8};
  const std::vector<TensorView> in = {{DType::kF32, {2, 1}, x.data()}};
  model.session().run(in, out);
  x = {0, 0};
  EXPECT_EQ(out[0].as<float>()[1], 8);
  EXPECT_EQ(out[1].as<float>()[1], 6);
  EXPECT_EQ(out[2].as<float>()[0], 7);
  EXPECT_EQ(out[2].shape, (Shape{2, 1}));
}

// h <- 2 h + x, and a state that swaps with it, so that one update would spoil the other if they were not simultaneous.
Model recurrent() {
  Model model;
  model.input("x", {"batch", 2}).op("add", {"h", "h"}, "hh").op("add", {"hh", "x"}, "h_next");
  model.op("reshape", {"h"}, "old_next", {{"shape", {0, 2}}});
  model.json()["states"] = {
      {{"name", "h"}, {"dtype", "f32"}, {"shape", {"batch", 2}}, {"kind", "replace"}, {"update", "h_next"}},
      {{"name", "old"}, {"dtype", "f32"}, {"shape", {"batch", 2}}, {"kind", "replace"}, {"update", "old_next"}}};
  model.output("h_next", {"batch", 2}).output("old", {"batch", 2});
  return model;
}

TEST(ReplaceState, StartsAtZeroAndBecomesItsUpdate) {
  Model model = recurrent();
  EXPECT_EQ(model.run({{{1, 2}, {1, 2}}}), (Floats{1, 2}));
  EXPECT_EQ(model.run({{{1, 2}, {10, 20}}}), (Floats{12, 24}));
  EXPECT_EQ(model.run({{{1, 2}, {0, 0}}}, 1), (Floats{1, 2})) << "what h was two runs ago";
  EXPECT_EQ(model.run({{{1, 2}, {0, 0}}}), (Floats{48, 96}));
  model.session().reset_states();
  EXPECT_EQ(model.run({{{2, 2}, {1, 2, 3, 4}}}), (Floats{1, 2, 3, 4}));
}

TEST(ReplaceState, FollowsAReorder) {
  Model model = recurrent();
  model.run({{{3, 2}, {1, 1, 2, 2, 3, 3}}});
  for (int round = 0; round < 2; ++round) {
    model.session().reorder_states(std::vector<int64_t>{2, 0, 0, 1});
    EXPECT_EQ(model.run({{{4, 2}, Floats(8, 0)}}),
              round == 0 ? (Floats{6, 6, 2, 2, 2, 2, 4, 4}) : (Floats{4, 4, 12, 12, 12, 12, 4, 4}));
  }
  model.session().reorder_states(std::vector<int64_t>{1});
  EXPECT_EQ(model.run({{{1, 2}, {0, 1}}}), (Floats{24, 25}));
  EXPECT_THROW(model.session().run({}, {}), Error);
  model.session().reset_states();
  model.run({{{1, 2}, {1, 2}}});
  EXPECT_NO_THROW(model.session().truncate_states(0)) << "no positions are kept, so none are dropped";
}

TEST(ReplaceState, MustBeUpdatedByAValueOfItsShape) {
  const auto refused = [](const std::function<void(Json&)>& change, const char* words) {
    Model model = recurrent();
    change(model.json());
    try {
      model.session();
      ADD_FAILURE() << words;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kBadProgram);
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  refused([](Json& p) { p["states"][0]["update"] = "nothing"; }, "'nothing' is neither");
  refused([](Json& p) { p["states"][0]["update"] = "x"; }, "is not the output of an op");
  refused([](Json& p) { p["states"][0].erase("update"); }, "'update' is missing");
  refused([](Json& p) { p["states"][0]["dtype"] = "i64"; }, "is i64");
  refused(
      [](Json& p) {
        p["ops"][2]["attrs"]["shape"] = {0, 1, 2};
      },
      "state 'old' is updated by f32 [1, 1, 2], needs f32 [1, 2]");
}

}  // namespace
}  // namespace anyon
