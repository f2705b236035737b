// What passes a limit is refused with a message that states it, before memory is spent on it.
#include "core/limits.h"

#include <gtest/gtest.h>

#include "bundle/json.h"
#include "bundle_writer.h"
#include "frontends/bpe_tokenizer.h"
#include "pipelines/whisper_model.h"
#include "program/program.h"
#ifndef ANYON_WITHOUT_GRAPH
#include "graph/program.h"
#endif

namespace anyon {
namespace {

using Json = nlohmann::json;

template <class Call>
void expect_refusal(Call call, const std::string& words) {
  try {
    call();
    FAIL() << "accepted, expected: " << words;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

Json names(size_t count) {
  Json list = Json::array();
  for (size_t i = 0; i < count; ++i) list.push_back("");
  return list;
}

// A program without ops, to put too much into.
Json empty_program() {
  return {{"dims", Json::object()},
          {"inputs", Json::array()},
          {"outputs", Json::array()},
          {"states", Json::array()},
          {"ops", Json::array()}};
}

void parse(const Json& program) {
  testing::BundleWriter writer;
  writer.manifest["programs"]["main"] = program;
  parse_program(writer.open(), "main");
}

TEST(Limits, JsonOfTooManyValuesOrTooDeep) {
  std::string many = "[0";
  for (int64_t i = 0; i < limits::kJsonValues; ++i) many += ",0";
  expect_refusal([&] { parse_json(many + "]", "test"); }, "more than 4000000 values");
  expect_refusal([&] { parse_json(std::string(33, '[') + std::string(33, ']'), "test"); }, "nested deeper than 32");
}

TEST(Limits, FusedPrograms) {
  Json program = empty_program();
  for (const auto& [key, count, words] : {std::tuple{"inputs", limits::kPorts, "more than 4096 items"},
                                          {"outputs", limits::kPorts, "more than 4096 items"},
                                          {"states", limits::kStates, "more than 4096 items"},
                                          {"ops", limits::kOps, "more than 100000 items"}}) {
    program = empty_program();
    program[key] = names(count + 1);
    expect_refusal([&] { parse(program); }, words);
  }
  program = empty_program();
  for (size_t i = 0; i <= limits::kSymbols; ++i) program["dims"]["d" + std::to_string(i)] = {1, 2};
  expect_refusal([&] { parse(program); }, "more than 64 members");
  program = empty_program();
  program["dims"]["d"] = {0, limits::kDimension + 1};
  expect_refusal([&] { parse(program); }, "is outside 0..1099511627776");
  program = empty_program();
  program["ops"].push_back({{"op", "add"},
                            {"name", ""},
                            {"inputs", names(limits::kOpValues + 1)},
                            {"outputs", {"y"}},
                            {"attrs", Json::object()}});
  expect_refusal([&] { parse(program); }, "more than 1024 items");
  program = empty_program();
  program["ops"].push_back({{"op", std::string(limits::kText + 1, 'x')},
                            {"name", ""},
                            {"inputs", Json::array()},
                            {"outputs", Json::array()},
                            {"attrs", Json::object()}});
  expect_refusal([&] { parse(program); }, "more than 512 bytes");
}

#ifndef ANYON_WITHOUT_GRAPH
TEST(Limits, GraphPrograms) {
  const auto parse_graph = [](const Json& node) {
    testing::BundleWriter writer;
    Json program = empty_program();
    program.update({{"kind", "graph"}, {"opset", 20}, {"ops", Json::array({node})}});
    writer.manifest["programs"]["main"] = program;
    graph::parse_graph_program(writer.open(), "main");
  };
  Json node = {{"op", "Concat"},
               {"name", ""},
               {"inputs", names(limits::kNodeValues + 1)},
               {"outputs", {"y"}},
               {"attrs", {{"axis", 0}}}};
  expect_refusal([&] { parse_graph(node); }, "more than 65536 items");
  node["inputs"] = Json::array();
  node["outputs"] = names(limits::kNodeValues + 1);
  expect_refusal([&] { parse_graph(node); }, "more than 65536 items");
}
#endif

TEST(Limits, TokensOfABundle) {
  const auto tokenizer = [](uint32_t token_bytes, size_t special_bytes, size_t special_count) {
    const std::vector<uint32_t> offsets = {0, token_bytes};
    const std::vector<uint8_t> bytes(token_bytes, 'x');
    BpeArrays arrays;
    arrays.offsets = offsets;
    arrays.bytes = bytes;
    arrays.merges_by_id = true;
    arrays.n_vocab = 100'000;
    for (size_t i = 0; i < special_count; ++i) {
      arrays.special.emplace_back(std::string(special_bytes, 's') + std::to_string(i), static_cast<int32_t>(1 + i));
    }
    return BpeTokenizer(std::move(arrays));
  };
  EXPECT_EQ(tokenizer(limits::kTokenBytes, 10, 1).decode(std::vector<int32_t>{0}).size(), limits::kTokenBytes);
  expect_refusal([&] { tokenizer(limits::kTokenBytes + 1, 10, 1); }, "token 0 has more than 4096 bytes");
  expect_refusal([&] { tokenizer(1, limits::kTokenBytes, 1); }, "a special token has more than 4096 bytes");
  expect_refusal([&] { tokenizer(1, 1, limits::kSpecialTokens + 1); }, "too many special tokens");
}

}  // namespace
}  // namespace anyon
