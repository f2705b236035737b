// Ops on quantised weights wired into programs, and values that are kept between resets.
#include <gtest/gtest.h>

#include <cmath>

#include "bundle_writer.h"
#include "kernels/half/half.h"
#include "kernels/linear/linear.h"
#include "kernels/linear_i4/linear_i4.h"
#include "kernels/linear_i8/linear_i8.h"
#include "program/native_session.h"

namespace anyon {
namespace {

using testing::BundleWriter;
using Json = nlohmann::json;
using Floats = std::vector<float>;

std::unique_ptr<NativeSession> session_of(BundleWriter& writer, const char* program) {
  writer.manifest["programs"]["p"] = Json::parse(program);
  return std::make_unique<NativeSession>(writer.open(), "p", std::make_shared<ThreadPool>(1), selected_isa());
}

Floats run(NativeSession& session, const std::vector<TensorView>& inputs) {
  TensorView output;
  session.run(inputs, {&output, 1});
  return {output.as<float>(), output.as<float>() + output.shape.elements()};
}

TensorView view(const Shape& shape, const Floats& values) {
  return {DType::kF32, shape, const_cast<float*>(values.data())};
}

// Rows (1 2 3) and (-4 0 4) in steps of 0.5 and 0.25.
void add_weight_i8(BundleWriter& writer) {
  const std::vector<int8_t> q = {1, 2, 3, -4, 0, 4};
  std::vector<int8_t> packed(static_cast<size_t>(panel16x4_bytes(2, 3)));
  pack_panel16x4(q.data(), 3, 2, 3, packed.data());
  writer.add<int8_t>("w", "I8", {1, 1, 16, 4}, packed);
  writer.add("w.scale", {2}, {0.5f, 0.25f});
  writer.add<int32_t>("w.sum", "I32", {2}, {6, 0});
}

constexpr const char* kLinearI8 = R"({"dims": {"time": [1, 16]}, "states": [],
  "inputs": [{"name": "x", "dtype": "f32", "shape": ["time", 3]}],
  "outputs": [{"name": "y", "dtype": "f32", "shape": ["time", 2]}],
  "ops": [{"op": "linear_i8", "name": "", "inputs": ["x", "w", "w.scale", "w.sum", "b", ""],
           "outputs": ["y"], "attrs": {"k": 3, "n": 2, "activation": "none", "input_bits": 16}}]})";

TEST(QuantizedOps, LinearI8MultipliesRoundedInputsAndAddsBias) {
  BundleWriter writer;
  add_weight_i8(writer);
  writer.add("b", {2}, {10, 20});
  const auto session = session_of(writer, kLinearI8);
  // Row 0: 0.5 * (1*1 + 2*2 + 3*3) + 10; row 1: 0.25 * (-4*1 + 4*3) + 20.
  const Floats x = {1, 2, 3}, y = run(*session, {view({1, 3}, x)});
  EXPECT_NEAR(y[0], 17, 1e-3);
  EXPECT_NEAR(y[1], 22, 1e-3);
}

TEST(QuantizedOps, RefuseWeightsAndAttributesThatDoNotFit) {
  const auto problem = [](const std::string& from, const std::string& to) -> std::string {
    BundleWriter writer;
    add_weight_i8(writer);
    writer.add("b", {2}, {10, 20});
    std::string program = kLinearI8;
    program.replace(program.find(from), from.size(), to);
    try {
      session_of(writer, program.c_str());
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), Status::kBadProgram);
      return error.what();
    }
    return "nothing";
  };
  EXPECT_NE(problem("\"k\": 3", "\"k\": 70000").find("'k'"), std::string::npos);
  EXPECT_NE(problem("\"n\": 2", "\"n\": 20").find("'w'"), std::string::npos);
  EXPECT_NE(problem("\"w.sum\"", "\"w.scale\"").find("'w.scale'"), std::string::npos);
  EXPECT_NE(problem("\"w\"", "\"b\"").find("'b'"), std::string::npos);
  EXPECT_NE(problem("\"input_bits\": 16", "\"input_bits\": 12").find("neither 8 nor 16"), std::string::npos);
  EXPECT_NE(problem(R"("linear_i8", "name": "", "inputs": ["x", "w", "w.scale", "w.sum", "b", ""])",
                    R"("linear_i4", "name": "", "inputs": ["x", "w", "w.scale", "w.sum", "b", ""])")
                .find("'group'"),
            std::string::npos);
}

TEST(QuantizedOps, ATiedTableServesEmbeddingAndProduct) {
  BundleWriter writer;
  std::vector<uint8_t> q(20 * 40), packed(static_cast<size_t>(panel16x8_bytes(20, 40, 32)));
  for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<uint8_t>(i * 7 % 16);
  pack_panel16x8(q.data(), 40, 20, 40, 32, packed.data());
  writer.add<uint8_t>("w", "U8", {2, 8, 16, 4}, packed);
  writer.add<uint16_t>("w.scale", "F16", {2, 2, 16}, std::vector<uint16_t>(64, 0x3800));  // 0.5
  writer.add<uint8_t>("w.zero", "U8", {2, 2, 16}, std::vector<uint8_t>(64, 3));
  const auto session = session_of(writer, R"({"dims": {"time": [1, 16]}, "states": [],
    "inputs": [{"name": "ids", "dtype": "i64", "shape": ["time"]}],
    "outputs": [{"name": "y", "dtype": "f32", "shape": ["time", 20]}],
    "ops": [{"op": "embedding_i4", "name": "", "inputs": ["ids", "w", "w.scale", "w.zero"], "outputs": ["x"],
             "attrs": {"rows": 20, "width": 40, "group": 32}},
            {"op": "linear_i4", "name": "", "inputs": ["x", "w", "w.scale", "w.zero", "", ""], "outputs": ["y"],
             "attrs": {"k": 40, "n": 20, "group": 32, "activation": "none", "input_bits": 16}}]})");
  std::vector<int64_t> ids = {17};
  const Floats y = run(*session, {{DType::kI64, {1}, ids.data()}});
  for (size_t row = 0; row < 20; ++row) {
    double expected = 0.0;
    for (size_t j = 0; j < 40; ++j) expected += 0.25 * (q[17 * 40 + j] - 3.0) * (q[row * 40 + j] - 3.0);
    EXPECT_NEAR(y[row], expected, 0.01) << row;
  }
}

TEST(HalfWeights, GiveWhatTheSameNumbersInFloatsGive) {
  // Numbers that 16 bits hold exactly: multiples of 1/8 up to 4.
  const int64_t n = 450, k = 37;
  Floats rows;
  for (int64_t i = 0; i < n * k; ++i) rows.push_back(static_cast<float>(i * 7 % 65 - 32) / 8.0f);
  const auto half = [](float value) {
    uint16_t bits = 0;
    while (reference::half_to_float(bits) != std::fabs(value)) ++bits;
    return static_cast<uint16_t>(bits | (std::signbit(value) ? 0x8000 : 0));
  };
  const auto panels = [&](bool as_half, BundleWriter& writer) {
    Floats packed(static_cast<size_t>(panel16_elements(n, k)));
    pack_panel16(rows.data(), k, n, k, packed.data());
    const std::vector<int64_t> shape = {(n + 15) / 16, k, 16};
    if (!as_half) return writer.add("w", shape, packed);
    std::vector<uint16_t> bits;
    for (const float value : packed) bits.push_back(half(value));
    writer.add<uint16_t>("w", "F16", shape, bits);
  };
  std::vector<Floats> results;
  for (const bool as_half : {false, true}) {
    BundleWriter writer;
    panels(as_half, writer);
    const auto session = session_of(writer, R"({"dims": {"time": [1, 64]}, "states": [],
      "inputs": [{"name": "ids", "dtype": "i64", "shape": [1, "time"]}],
      "outputs": [{"name": "y", "dtype": "f32", "shape": [1, "time", 450]}],
      "ops": [{"op": "embedding", "name": "", "inputs": ["ids", "w"], "outputs": ["x"],
               "attrs": {"rows": 450, "width": 37, "layout": "panel16"}},
              {"op": "conv1d", "name": "", "inputs": ["x", "w", "", ""], "outputs": ["c"],
               "attrs": {"cin": 37, "cout": 450, "kernel": 1, "stride": 1, "padding": 0}},
              {"op": "linear", "name": "", "inputs": ["x", "w", "", "c"], "outputs": ["y"],
               "attrs": {"k": 37, "n": 450, "activation": "gelu"}}]})");
    for (const int64_t count : {1, 50}) {
      std::vector<int64_t> ids;
      for (int64_t i = 0; i < count; ++i) ids.push_back(i * 31 % n);
      results.push_back(run(*session, {{DType::kI64, {1, count}, ids.data()}}));
    }
  }
  EXPECT_EQ(results[0], results[2]);
  EXPECT_EQ(results[1], results[3]);
}

// Attention over keys and values that come from outside: packed once, then read by every step.
constexpr const char* kHeld = R"({"dims": {"batch": [1, 4], "frames": [1, 300]}, "states": [],
  "inputs": [{"name": "q", "dtype": "f32", "shape": ["batch", 1, 32]},
             {"name": "k", "dtype": "f32", "shape": ["batch", 2, "frames", 16], "broadcast": true, "held": true},
             {"name": "v", "dtype": "f32", "shape": ["batch", 2, "frames", 16], "broadcast": true, "held": true}],
  "outputs": [{"name": "y", "dtype": "f32", "shape": ["batch", 1, 32]}],
  "ops": [{"op": "pack_attention_i8", "name": "", "inputs": ["k", "v"], "outputs": ["packed"],
           "attrs": {"heads": 2, "head_dim": 16, "scale": 0.25}},
          {"op": "attention_i8", "name": "", "inputs": ["q", "k", "v", "packed"], "outputs": ["y"],
           "attrs": {"heads": 2, "head_dim": 16, "scale": 0.25}}]})";

class HeldTest : public ::testing::Test {
 protected:
  HeldTest() : session_(session_of(writer_, kHeld)) {}

  // Every value of head h is 10 * number + h, so that is what attention over any keys gives.
  Floats attend(int64_t batch, int64_t frames, float number, bool new_memory = true) {
    if (new_memory) {
      k_.assign(static_cast<size_t>(2 * frames * 16), 0.5f);
      v_.clear();
      for (int64_t i = 0; i < 2 * frames * 16; ++i) v_.push_back(10 * number + (i < frames * 16 ? 0.0f : 1.0f));
    }
    const Floats q(static_cast<size_t>(batch * 32), 1.0f);
    return run(*session_, {view({batch, 1, 32}, q), view({1, 2, frames, 16}, k_), view({1, 2, frames, 16}, v_)});
  }

  static void expect_number(const Floats& y, float number) {
    for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], 10 * number + (i % 32 < 16 ? 0.0f : 1.0f), 1e-4) << i;
  }

  BundleWriter writer_;
  std::unique_ptr<NativeSession> session_;
  Floats k_, v_;
};

TEST_F(HeldTest, WhatFollowsFromHeldInputsIsComputedOnceUntilAReset) {
  session_->set_profiling(true);
  expect_number(attend(1, 70, 1), 1);
  expect_number(attend(3, 70, 1, false), 1);
  expect_number(attend(1, 70, 1, false), 1);
  EXPECT_EQ(session_->events().size(), 4u) << "packed once, attended three times";
  session_->reset_states();
  expect_number(attend(1, 70, 2), 2);
  EXPECT_EQ(session_->events().size(), 6u);
}

TEST_F(HeldTest, OtherShapesAreComputedAnew) {
  expect_number(attend(1, 70, 1), 1);
  expect_number(attend(2, 300, 2), 2);
  expect_number(attend(2, 5, 3), 3);
  expect_number(attend(1, 70, 4), 4);
}

TEST_F(HeldTest, ARunThatFailsKeepsNothing) {
  expect_number(attend(1, 70, 1), 1);
  EXPECT_THROW(session_->run({}, {}), Error);
  session_->reset_states();
  expect_number(attend(1, 70, 5), 5);
}

}  // namespace
}  // namespace anyon
