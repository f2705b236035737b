// Graphs run as ONNX says, and whatever is wrong with one is named, without a crash and within the limits.
#include "graph/graph_session.h"

#include <gtest/gtest.h>

#include <functional>

#include "bundle_writer.h"

namespace anyon::graph {
namespace {

using anyon::testing::BundleWriter;
using Json = nlohmann::json;

Json op(const char* type, const Json& inputs, const Json& outputs, const Json& attrs = Json::object()) {
  return {{"op", type}, {"name", "layer"}, {"inputs", inputs}, {"outputs", outputs}, {"attrs", attrs}};
}

// f32 inputs x and y of any number of rows of three, and whatever ops give "z".
class GraphSessionTest : public ::testing::Test {
 protected:
  GraphSessionTest() {
    program_ = {{"kind", "graph"},
                {"opset", 23},
                {"dims", {{"rows", {0, 100}}, {"?", {0, 1 << 30}}}},
                {"inputs", {port("x", {"rows", 3}), port("y", {"rows", 3})}},
                {"outputs", Json::array({port("z", {"?", 3})})},
                {"states", Json::array()},
                {"ops", Json::array({op("Add", {"x", "y"}, {"z"})})}};
    writer_.add<int64_t>("huge", "I64", {2}, {int64_t{1} << 31, int64_t{1} << 31});
    writer_.add<int64_t>("large", "I64", {2}, {1 << 20, 1 << 10});
    writer_.add<int64_t>("negative", "I64", {1}, {-7});
    writer_.add<int64_t>("zero", "I64", {1}, {0});
    writer_.add<int64_t>("one", "I64", {1}, {1});
  }

  static Json port(const char* name, const Json& shape) { return {{"name", name}, {"dtype", "f32"}, {"shape", shape}}; }

  std::unique_ptr<GraphSession> session() {
    writer_.manifest["programs"]["main"] = program_;
    Limits limits;
    limits.memory = 1 << 20;
    limits.iterations = 1000;
    return std::make_unique<GraphSession>(writer_.open("g.anyon"), "main", pool_, best_isa(), limits);
  }

  std::vector<float> run(GraphSession& session, std::vector<float> x, std::vector<float> y) {
    const auto rows = static_cast<int64_t>(x.size()) / 3;
    const std::vector<TensorView> inputs = {{DType::kF32, {rows, 3}, x.data()}, {DType::kF32, {rows, 3}, y.data()}};
    std::vector<TensorView> outputs(1);
    session.run(inputs, outputs);
    return {outputs[0].as<float>(), outputs[0].as<float>() + outputs[0].shape.elements()};
  }

  // What loading, or else one run of two rows, says about these ops.
  std::string refusal(const Json& ops, Status expected) {
    program_["ops"] = ops.is_array() ? ops : Json::array({ops});  // compilers differ about braces around one value
    try {
      const auto made = session();
      run(*made, std::vector<float>(6, 1.0f), std::vector<float>(6, 2.0f));
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), expected) << error.what();
      return error.what();
    }
    return "it was accepted";
  }

  BundleWriter writer_;
  Json program_;
  const std::shared_ptr<ThreadPool> pool_ = std::make_shared<ThreadPool>(2);
};

TEST_F(GraphSessionTest, RunsWithAnyNumberOfRows) {
  program_["ops"] = {op("Add", {"x", "y"}, {"sum"}), op("Neg", {"sum"}, {"z"})};
  const auto made = session();
  EXPECT_EQ(run(*made, {1, 2, 3}, {10, 20, 30}), (std::vector<float>{-11, -22, -33}));
  EXPECT_EQ(run(*made, {1, 2, 3, 4, 5, 6}, {1, 1, 1, 1, 1, 1}), (std::vector<float>{-2, -3, -4, -5, -6, -7}));
  EXPECT_EQ(run(*made, {}, {}), std::vector<float>{});
}

TEST_F(GraphSessionTest, ListsEverythingThatIsMissingAtOnce) {
  const std::string message =
      refusal({op("Add", {"x", "y"}, {"a"}), op("Teleport", {"a"}, {"b"}), op("Softmax", {"b"}, {"z"}, {{"warp", 9}})},
              Status::kUnsupportedOp);
  EXPECT_NE(message.find("node 1 (Teleport 'layer'): op 'Teleport'"), std::string::npos) << message;
  EXPECT_NE(message.find("node 2 (Softmax 'layer'): attribute 'warp' of Softmax"), std::string::npos) << message;
}

TEST_F(GraphSessionTest, RefusesAnOpOlderThanItsMeaning) {
  program_["opset"] = 11;
  EXPECT_NE(refusal(Json::array({op("Softmax", {"x"}, {"z"})}), Status::kUnsupportedOp)
                .find("op 'Softmax' of opset 11, only from 13"),
            std::string::npos);
}

struct Case {
  const char* what;
  Json ops;
  Status status;
  const char* message;
};

TEST_F(GraphSessionTest, NamesWhatIsWrong) {
  const Json forever = {{"body",
                         {{"inputs", {"trip", "going", "state"}},
                          {"outputs", {"going", "next"}},
                          {"ops", Json::array({op("Add", {"state", "y"}, {"next"})})}}}};
  const std::vector<Case> cases = {
      {"a cycle",
       {op("Add", {"x", "b"}, {"a"}), op("Neg", {"a"}, {"b"}), op("Neg", {"b"}, {"z"})},
       Status::kBadProgram,
       "'b' is neither a tensor nor made by a node before this one (a cycle?)"},
      {"a value made twice",
       {op("Neg", {"x"}, {"z"}), op("Neg", {"y"}, {"z"})},
       Status::kBadProgram,
       "'z' is defined twice"},
      {"too few inputs", {op("Add", {"x"}, {"z"})}, Status::kBadProgram, "has 1 inputs, needs 2 to 2"},
      {"a required input left out", {op("Add", {"x", ""}, {"z"})}, Status::kBadProgram, "input 1 is required"},
      {"a size beyond addressing",
       {op("ConstantOfShape", {"huge"}, {"z"})},
       Status::kBadProgram,
       "node 0 (ConstantOfShape 'layer'): the shape [2147483648, 2147483648] is negative or too large"},
      {"a size beyond the limit",
       {op("ConstantOfShape", {"large"}, {"z"})},
       Status::kOutOfMemory,
       "needs 4294967296 bytes"},
      {"a negative size",
       {op("ConstantOfShape", {"negative"}, {"z"})},
       Status::kBadProgram,
       "is negative or too large"},
      {"an axis outside",
       {op("Concat", {"x", "y"}, {"z"}, {{"axis", -5}})},
       Status::kBadProgram,
       "axis -5 is outside a value of rank 2"},
      {"an index outside",
       {op("Gather", {"x", "negative"}, {"z"})},
       Status::kBadProgram,
       "index -7 is outside an axis of 2"},
      {"a step of zero",
       {op("Slice", {"x", "zero", "one", "zero", "zero"}, {"z"})},
       Status::kBadProgram,
       "a step is 0"},
      {"shapes that do not broadcast",
       {op("Transpose", {"x"}, {"a"}), op("Add", {"a", "x"}, {"z"})},
       Status::kBadProgram,
       "one of them must be 1"},
      {"a loop without end",
       {op("Loop", {"", "", "x"}, {"z"}, forever)},
       Status::kBadProgram,
       "loops turned 1000 times without coming to an end; give the loop a trip count"},
      {"an attribute of another type",
       {op("Softmax", {"x"}, {"z"}, {{"axis", "last"}})},
       Status::kBadProgram,
       "attribute 'axis' is not a whole number"},
      {"a kernel without end",
       {op("Unsqueeze", {"x", "zero"}, {"a"}), op("MaxPool", {"a"}, {"z"}, {{"kernel_shape", {int64_t{1} << 40}}})},
       Status::kBadProgram,
       "a size is out of range"},
      {"an output of another type",
       {op("Shape", {"x"}, {"z"})},
       Status::kBadProgram,
       "output 'z' is i64, the program declares f32"},
      {"floats where whole numbers are needed",
       {op("BitwiseAnd", {"x", "y"}, {"z"})},
       Status::kBadProgram,
       "its inputs are floats"},
  };
  for (const Case& each : cases) {
    const std::string message = refusal(each.ops, each.status);
    EXPECT_NE(message.find(each.message), std::string::npos) << each.what << ": " << message;
    EXPECT_EQ(message.rfind("g.anyon: program 'main'", 0), 0u) << each.what << ": " << message;
  }
}

TEST_F(GraphSessionTest, RefusesInputsThatTheProgramDoesNotTake) {
  const auto made = session();
  std::vector<float> data(400, 0.0f);
  std::vector<TensorView> outputs(1);
  const auto refuse = [&](const TensorView& x, const char* message) {
    made->reset_states();
    try {
      made->run(std::vector<TensorView>{x, {DType::kF32, {2, 3}, data.data()}}, outputs);
      FAIL() << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
  };
  refuse({DType::kF64, {2, 3}, data.data()}, "input 'x' is f64, needs f32");
  refuse({DType::kF32, {3}, data.data()}, "has shape [3], needs 2 dimensions");
  refuse({DType::kF32, {2, 4}, data.data()}, "axis 1 must be 3");
  refuse({DType::kF32, {101, 3}, data.data()}, "axis 0 ('rows') must be 0 to 100");
  refuse({DType::kF32, {5, 3}, data.data()}, "axis 0 ('rows') is 5 in an input before it");
}

TEST_F(GraphSessionTest, IsPoisonedByAnErrorUntilItIsReset) {
  program_["ops"] = Json::array({op("Gather", {"x", "one"}, {"z"}, {{"axis", 0}})});
  const auto made = session();
  EXPECT_THROW(run(*made, {1, 2, 3}, {1, 2, 3}), Error);
  try {
    run(*made, std::vector<float>(6), std::vector<float>(6));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kPoisoned);
  }
  made->reset_states();
  EXPECT_EQ(run(*made, {1, 2, 3, 4, 5, 6}, std::vector<float>(6)), (std::vector<float>{4, 5, 6}));
}

TEST_F(GraphSessionTest, ReadsValuesOfTheGraphAroundALoop) {
  // Three turns of state = state + y, y being outside.
  program_["ops"] = Json::array({op("Loop", {"three", "", "x"}, {"z"},
                                    {{"body",
                                      {{"inputs", {"trip", "going", "state"}},
                                       {"outputs", {"going", "next"}},
                                       {"ops", Json::array({op("Add", {"state", "y"}, {"next"})})}}}})});
  writer_.add<int64_t>("three", "I64", {1}, {3});
  EXPECT_EQ(run(*session(), {1, 2, 3}, {10, 20, 30}), (std::vector<float>{31, 62, 93}));
}

TEST_F(GraphSessionTest, UsesItsMemoryAgain) {
  Json ops = Json::array();
  std::string last = "x";
  for (int i = 0; i < 200; ++i) {
    const std::string next = i == 199 ? "z" : "v" + std::to_string(i);
    ops.push_back(op("Add", {last, "y"}, {next}));
    last = next;
  }
  program_["ops"] = ops;
  // 200 values of 1200 bytes each do not fit into 4 KiB; a few at a time do.
  writer_.manifest["programs"]["main"] = program_;
  Limits limits;
  limits.memory = 4096;
  GraphSession small(writer_.open("g.anyon"), "main", pool_, best_isa(), limits);
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_EQ(run(small, std::vector<float>(300, 1.0f), std::vector<float>(300, 0.5f)),
              std::vector<float>(300, 101.0f));
  }
}

}  // namespace
}  // namespace anyon::graph
