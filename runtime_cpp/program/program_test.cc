// Programs are checked completely before anything runs; whatever is wrong is named.
#include "program/program.h"

#include <gtest/gtest.h>

#include <functional>

#include "program/native_session.h"
#include "tiny_decoder.h"

namespace anyon {
namespace {

using testing::BundleWriter;
using testing::TinyDecoder;
using Json = nlohmann::json;

class ProgramTest : public ::testing::Test {
 protected:
  // The status and message that loading the tiny decoder gives after `change` was made to its program.
  std::pair<Status, std::string> refusal(const std::function<void(Json&)>& change) {
    BundleWriter writer = writer_;
    change(writer.manifest["programs"]["decoder"]);
    try {
      NativeSession(writer.open("tiny.anyon"), "decoder", pool_, Isa::kScalar);
    } catch (const Error& error) {
      return {error.status(), error.what()};
    }
    return {Status::kOk, "it was accepted"};
  }

  const BundleWriter writer_ = TinyDecoder(1).writer();
  const std::shared_ptr<ThreadPool> pool_ = std::make_shared<ThreadPool>(1);
};

TEST_F(ProgramTest, PublishesInputsAndOutputsInOrder) {
  const NativeSession session(writer_.open(), "decoder", pool_, Isa::kScalar);
  ASSERT_EQ(session.inputs().size(), 7u);
  EXPECT_EQ(session.inputs()[0].name, "tokens");
  EXPECT_EQ(session.inputs()[0].dtype, DType::kI64);
  EXPECT_EQ(session.inputs()[3].dims, (std::vector<std::string>{"batch", "3", "frames", "8"}));
  ASSERT_EQ(session.outputs().size(), 2u);
  EXPECT_EQ(session.outputs()[0].name, "logits");
  EXPECT_EQ(session.outputs()[0].dims, (std::vector<std::string>{"batch", "rows", "37"}));
  EXPECT_EQ(session.state_length(), 0);
}

TEST_F(ProgramTest, NamesTheProgramsThereAre) {
  const auto bundle = writer_.open("tiny.anyon");
  try {
    parse_program(bundle, "encoder");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kInvalidArgument);
    EXPECT_STREQ(error.what(), "tiny.anyon: has no program 'encoder'; it has decoder");
  }
}

TEST_F(ProgramTest, NamesAnUnknownOpWithItsPlace) {
  const auto [status, message] = refusal([](Json& program) { program["ops"][7]["op"] = "teleport"; });
  EXPECT_EQ(status, Status::kUnsupportedOp);
  EXPECT_EQ(
      message.rfind("tiny.anyon: program 'decoder': op 7 (teleport 'tiny.b0'): this build has no op 'teleport'", 0), 0u)
      << message;
}

struct Case {
  const char* what;
  std::function<void(Json&)> change;
  const char* message;
};

TEST_F(ProgramTest, RefusesWhatDoesNotHoldTogether) {
  ASSERT_EQ(refusal([](Json&) {}).first, Status::kOk);
  // Ops: 0 embedding, 1 embedding, 2 add, 3 layer_norm, 4 linear qkv, 5 attention, 6 linear out, 7 layer_norm,
  // 8 linear query, 9 attention; 14 to 24 the next layer, second to last: gather.
  const auto set = [](const char* pointer, const Json& value) {
    return [=](Json& program) { program[Json::json_pointer(pointer)] = value; };
  };
  const auto erase = [](const char* pointer, const char* key) {
    return [=](Json& program) { program[Json::json_pointer(pointer)].erase(key); };
  };
  const int64_t huge = int64_t{1} << 62;
  const std::vector<Case> cases = {
      {"program not an object", [](Json& program) { program = 3; }, "not an object"},
      {"no ops", erase("", "ops"), "'ops' is missing"},
      {"no dims", erase("", "dims"), "'dims' is missing"},
      {"ops a number", set("/ops", 1), "is not a list"},
      {"op a list", set("/ops/3", Json::array()), "is not an object"},
      {"op without a name", erase("/ops/3", "name"), "'name' is missing"},
      {"op with an unknown field", set("/ops/3/layout", "x"), "'layout' is not known"},
      {"op name a number", set("/ops/3/op", 5), "is not text"},
      {"long text", set("/ops/3/name", std::string(5000, 'x')), "more than 512 bytes"},
      {"an unknown attribute", set("/ops/3/attrs/axis", 1), "'axis' is not an attribute"},
      {"a missing attribute", erase("/ops/3/attrs", "epsilon"), "'epsilon' is missing"},
      {"attribute of another type", set("/ops/3/attrs/epsilon", "1e-5"), "is not a number"},
      {"attribute out of range", set("/ops/3/attrs/epsilon", -1), "is outside"},
      {"whole number as fraction", set("/ops/4/attrs/n", 72.0), "is not a whole number"},
      {"negative size", set("/ops/4/attrs/n", -72), "is outside"},
      {"enormous size", set("/ops/4/attrs/n", huge), "is outside"},
      {"size over 64 bits", set("/ops/4/attrs/n", UINT64_MAX), "is outside"},
      {"size that is not the weight's", set("/ops/4/attrs/n", 100),
       "input 'blocks.0.qkv' is [5, 24, 16], needs [7, 24, 16]"},
      {"width that is not the value's", set("/ops/4/attrs/k", 25), "does not end in k = 25"},
      {"unknown activation", set("/ops/4/attrs/activation", "swish"), "'swish' is none of none, gelu"},
      {"scale infinite", set("/ops/5/attrs/scale", 1e300), "is outside"},
      {"too many heads", set("/ops/5/attrs/heads", 1 << 20), "is outside"},
      {"heads that are not the state's", set("/ops/5/attrs/heads", 2), "state 'self_key_0' is not f32"},
      {"offset past the width", set("/ops/5/attrs/v_offset", 49), "at column 49"},
      {"only one state", set("/ops/5/attrs/key_state", ""), "only one of"},
      {"one state for both", set("/ops/5/attrs/key_state", "self_value_0"), "are the same"},
      {"unknown state", set("/ops/5/attrs/key_state", "self_key_9"), "no state 'self_key_9'"},
      {"state of two ops", set("/ops/16/attrs/key_state", "self_key_0"), "both append to state 'self_key_0'"},
      {"state of no op",
       [](Json& program) {
         program["ops"][5]["attrs"].erase("key_state");
         program["ops"][5]["attrs"].erase("value_state");
       },
       "no op appends to state 'self_key_0'"},
      {"too few inputs", set("/ops/2/inputs", {"e"}), "has 1 inputs, needs 2"},
      {"too many inputs", set("/ops/2/inputs", {"e", "p", "e"}), "has 3 inputs, needs 2"},
      {"required input left out", set("/ops/2/inputs", {"e", ""}), "is required"},
      {"input from nowhere", set("/ops/2/inputs/1", "q"), "'q' is neither a tensor nor made"},
      {"input from a later op", set("/ops/2/inputs/1", "a0"), "'a0' is neither a tensor nor made"},
      {"input that is a growing state", set("/ops/2/inputs/1", "self_key_0"), "growing state"},
      {"input of another type", set("/ops/2/inputs/1", "tokens"), "input 'tokens' is i64 [1, 1], needs f32"},
      {"shapes that do not broadcast", set("/ops/2/inputs/1", "blocks.0.qkv.bias"), "broadcast"},
      {"a weight without bias of its size", set("/ops/4/inputs/2", "ln.bias"), "input 'ln.bias' is [24], needs [72]"},
      {"a residual of another shape", set("/ops/6/inputs/3", "qkv0"), "input 'qkv0' is [1, 1, 72], needs [1, 1, 24]"},
      {"no outputs", set("/ops/2/outputs", Json::array()), "has 0 outputs, needs 1"},
      {"empty output name", set("/ops/2/outputs", {""}), "is empty"},
      {"output defined twice", set("/ops/2/outputs", {"e"}), "'e' is defined twice"},
      {"output called like a tensor", set("/ops/2/outputs", {"ln.bias"}), "also the name of a tensor"},
      {"input called like a tensor", set("/inputs/0/name", "ln.bias"), "also the name of a tensor"},
      {"input defined twice", set("/inputs/0/name", "select"), "'select' is defined twice"},
      {"unknown dtype", set("/inputs/0/dtype", "f8"), "'f8' is not a type"},
      {"unknown dimension", set("/inputs/0/shape/0", "depth"), "'depth' is not among"},
      {"negative dimension", set("/inputs/3/shape/1", -3), "is outside"},
      {"nine dimensions", set("/inputs/0/shape", std::vector<int>(9, 1)), "more than 8 items"},
      {"broadcast without a batch", set("/inputs/3/shape/0", 1), "broadcast input needs"},
      {"bounds of one number", set("/dims/batch", {1}), "not [smallest, largest]"},
      {"bounds in the wrong order", set("/dims/batch", {4, 1}), "is outside"},
      {"bounds negative", set("/dims/batch", {-1, 4}), "is outside"},
      {"dimension called like a number",
       [](Json& program) {
         program["dims"]["3"] = {1, 2};
       },
       "not a name"},
      {"output that nothing makes", set("/outputs/0/name", "scores"), "'scores' is neither"},
      {"output of another dtype", set("/outputs/0/dtype", "f16"), "'logits' is f32, the program declares f16"},
      {"output of another rank", set("/outputs/0/shape", {"batch", 37}),
       "'logits' has shape [1, 1, 37], needs [batch, 37]"},
      {"output of another size", set("/outputs/0/shape/2", 38), "needs [batch, rows, 38]"},
      {"output past its bounds",
       [](Json& program) {
         program["dims"]["width"] = {1, 20};
         program["outputs"][1]["shape"][2] = "width";
       },
       "'width' is 24, allowed are 1 to 20"},
      {"state kind unknown", set("/states/0/kind", "ring"), "neither append nor replace"},
      {"state axis out of range", set("/states/0/axis", 4), "is outside"},
      {"state axis is the batch", set("/states/0/axis", 0), "is outside"},
      {"state without a batch", set("/states/0/shape/0", 1), "axis 0 of a state is the batch"},
      {"state capacity zero", set("/states/0/capacity", 0), "is outside"},
      {"state of a named width", set("/states/0/shape/3", "frames"), "must be a number"},
      {"state too large",
       [](Json& program) {
         for (const int state : {0, 1}) program["states"][state]["capacity"] = int64_t{1} << 40;
         for (const int state : {0, 1}) program["states"][state]["shape"] = {"batch", 1 << 16, "past", 1 << 16};
         program["ops"][5]["attrs"].update({{"heads", 1 << 16}, {"head_dim", 1 << 16}});
       },
       "too large"},
      {"state of another dtype", set("/states/0/dtype", "f16"), "state 'self_key_0' is not f32"},
      {"state named twice", set("/states/1/name", "self_key_0"), "'self_key_0' is defined twice"},
      {"batch that no input gives",
       [](Json& program) {
         program["dims"]["rooms"] = {1, 2};
         program["states"][0]["shape"][0] = "rooms";
       },
       "state 'self_key_0' uses the dimension 'rooms', which no input gives"},
      {"gather along no axis", [](Json& program) { program["ops"][program["ops"].size() - 2]["attrs"]["axis"] = 3; },
       "axis 3 is outside a value of rank 3"},
  };
  for (const Case& test : cases) {
    const auto [status, message] = refusal(test.change);
    EXPECT_EQ(status, Status::kBadProgram) << test.what << ": " << message;
    EXPECT_NE(message.find(test.message), std::string::npos) << test.what << ": " << message;
    EXPECT_EQ(message.rfind("tiny.anyon: ", 0), 0u) << test.what << ": " << message;
  }
}

TEST_F(ProgramTest, ListsOpsOnceEach) {
  for (const OpRow* row : all_ops()) {
    EXPECT_EQ(find_op(row->name), row) << row->name;
    EXPECT_LE(row->min_inputs, row->max_inputs) << row->name;
  }
  EXPECT_EQ(find_op(""), nullptr);
}

}  // namespace
}  // namespace anyon
