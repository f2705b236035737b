// The native session decodes exactly what a model without caches computes, whatever is done to its states between.
#include "program/native_session.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <thread>

#include "tiny_decoder.h"

namespace {
// Counts what the whole binary allocates, to prove that steady runs do not.
std::atomic<int64_t> allocations{0};
}  // namespace

[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace anyon {
namespace {

using testing::BundleWriter;
using testing::TinyDecoder;
using Json = nlohmann::json;

// f32 kernels against double loops: values are of order 1 to 10 and sums have at most 40 terms.
constexpr double kTolerance = 2e-4;
constexpr int64_t kFrames = 11;

// A session of the tiny decoder, the cross-attention inputs it reads, and buffers for the other inputs.
class Decoder {
 public:
  explicit Decoder(std::shared_ptr<const Bundle> bundle, TinyDecoder& model, int threads = 1, int64_t frames = kFrames,
                   Isa isa = selected_isa())
      : frames_(frames), session_(std::move(bundle), "decoder", std::make_shared<ThreadPool>(threads), isa) {
    for (int64_t i = 0; i < 2 * TinyDecoder::kLayers; ++i) {
      cross_.push_back(model.random_values(TinyDecoder::kHeads * frames * TinyDecoder::kHeadDim));
    }
    outputs_.resize(session_.outputs().size());
  }

  // Runs tokens (batch, time) and returns logits (batch, select.size(), vocab).
  std::span<const float> run(const std::vector<int64_t>& tokens, int64_t batch, const std::vector<int64_t>& select) {
    const auto time = static_cast<int64_t>(tokens.size()) / batch;
    positions_.resize(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      positions_[i] = session_.state_length() + static_cast<int64_t>(i) % time;
    }
    tokens_ = tokens;
    select_ = select;
    inputs_.clear();
    inputs_.push_back(ints(tokens_, {batch, time}));
    inputs_.push_back(ints(positions_, {batch, time}));
    inputs_.push_back(ints(select_, {static_cast<int64_t>(select_.size())}));
    for (auto& values : cross_) {
      inputs_.push_back({DType::kF32, {1, TinyDecoder::kHeads, frames_, TinyDecoder::kHeadDim}, values.data()});
    }
    session_.run(inputs_, outputs_);
    return {outputs_[0].as<const float>(), static_cast<size_t>(outputs_[0].shape.elements())};
  }

  NativeSession& session() { return session_; }
  const std::vector<std::vector<float>>& cross() const { return cross_; }
  std::vector<TensorView>& inputs() { return inputs_; }
  std::vector<TensorView>& outputs() { return outputs_; }
  int64_t frames() const { return frames_; }

 private:
  static TensorView ints(std::vector<int64_t>& values, const Shape& shape) {
    return {DType::kI64, shape, values.data()};
  }

  int64_t frames_;
  NativeSession session_;
  std::vector<std::vector<float>> cross_;
  std::vector<int64_t> tokens_, positions_, select_;
  std::vector<TensorView> inputs_, outputs_;
};

void expect_logits(std::span<const float> actual, const std::vector<double>& expected, const std::string& where) {
  ASSERT_EQ(actual.size(), expected.size()) << where;
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], kTolerance) << where << ", token " << i;
}

class NativeSessionTest : public ::testing::Test {
 protected:
  TinyDecoder model_{7};
  std::shared_ptr<const Bundle> bundle_ = model_.writer().open();

  std::vector<double> expected(const Decoder& decoder, const std::vector<int64_t>& tokens) {
    return model_.logits(tokens, decoder.cross(), decoder.frames()).back();
  }

  // The message of the error that `call` throws, after checking its status.
  template <class F>
  std::string error_of(Status status, F&& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), status) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  }
};

TEST_F(NativeSessionTest, DecodesStepByStepLikeAModelWithoutACache) {
  for (const Isa isa : supported_isas()) {
    for (const int threads : {1, 3}) {
      Decoder decoder(bundle_, model_, threads, kFrames, isa);
      std::vector<int64_t> tokens = {3, 1, 36, 5};
      std::span<const float> logits = decoder.run(tokens, 1, {3});
      for (int64_t next : {9, 0, 22, 17, 30, 4}) {
        expect_logits(logits, expected(decoder, tokens), std::string(name(isa)) + std::to_string(tokens.size()));
        tokens.push_back(next);
        logits = decoder.run({next}, 1, {0});
      }
      expect_logits(logits, expected(decoder, tokens), name(isa));
      EXPECT_EQ(decoder.session().state_length(), static_cast<int64_t>(tokens.size()));
    }
  }
}

TEST_F(NativeSessionTest, SelectsTheRowsAskedFor) {
  Decoder decoder(bundle_, model_);
  const std::vector<int64_t> tokens = {3, 1, 36, 5, 8};
  const std::span<const float> logits = decoder.run(tokens, 1, {4, 0, 2});
  const TinyDecoder::Matrix all = model_.logits(tokens, decoder.cross(), kFrames);
  expect_logits(logits.subspan(0, TinyDecoder::kVocab), all[4], "row 0");
  expect_logits(logits.subspan(TinyDecoder::kVocab, TinyDecoder::kVocab), all[0], "row 1");
  expect_logits(logits.subspan(2 * TinyDecoder::kVocab, TinyDecoder::kVocab), all[2], "row 2");
  EXPECT_EQ(decoder.outputs()[1].shape, (Shape{1, 5, TinyDecoder::kWidth}));
}

TEST_F(NativeSessionTest, KeepsBeamsApartThroughAnyReordering) {
  Decoder decoder(bundle_, model_, 2);
  std::vector<std::vector<int64_t>> beams = {{3, 1, 36}};
  decoder.run(beams[0], 1, {2});
  std::mt19937 random(5);
  for (int step = 0; step < 24; ++step) {
    // From 1 to 6 rows, some twice, some dropped, in any order.
    std::vector<int64_t> rows;
    const size_t count = 1 + random() % 6;
    for (size_t b = 0; b < count; ++b) rows.push_back(static_cast<int64_t>(random() % beams.size()));
    std::vector<std::vector<int64_t>> next;
    std::vector<int64_t> tokens;
    for (const int64_t row : rows) {
      next.push_back(beams[static_cast<size_t>(row)]);
      tokens.push_back(static_cast<int64_t>(random() % TinyDecoder::kVocab));
      next.back().push_back(tokens.back());
    }
    beams = next;
    decoder.session().reorder_states(rows);
    const std::span<const float> logits = decoder.run(tokens, static_cast<int64_t>(count), {0});
    for (size_t b = 0; b < count; ++b) {
      expect_logits(logits.subspan(b * TinyDecoder::kVocab, TinyDecoder::kVocab), expected(decoder, beams[b]),
                    "step " + std::to_string(step) + ", beam " + std::to_string(b));
    }
  }
}

TEST_F(NativeSessionTest, GoesBackToAPrefixAndOnFromThere) {
  Decoder decoder(bundle_, model_);
  decoder.run({3, 1, 36, 5, 8, 2}, 1, {5});
  decoder.session().truncate_states(3);
  EXPECT_EQ(decoder.session().state_length(), 3);
  expect_logits(decoder.run({11, 12}, 1, {1}), expected(decoder, {3, 1, 36, 11, 12}), "after truncation");
  decoder.session().reset_states();
  expect_logits(decoder.run({20}, 1, {0}), expected(decoder, {20}), "after reset");
}

TEST_F(NativeSessionTest, TakesAnotherBatchAfterAReset) {
  Decoder decoder(bundle_, model_);
  decoder.run({1, 2}, 1, {1});
  decoder.session().reset_states();
  const std::span<const float> logits = decoder.run({4, 5, 6, 7, 8, 9}, 3, {1});
  for (int64_t b = 0; b < 3; ++b) {
    expect_logits(logits.subspan(static_cast<size_t>(b) * TinyDecoder::kVocab, TinyDecoder::kVocab),
                  expected(decoder, {4 + 2 * b, 5 + 2 * b}), "row " + std::to_string(b));
  }
}

// One run serves signals of their own length: each slot keeps its states and its cross-attention inputs.
class SlotsTest : public NativeSessionTest {
 protected:
  static constexpr int64_t kVocab = TinyDecoder::kVocab;

  SlotsTest() { shared_.session().set_slots(3); }

  // Tokens for one slot alone, with the audio of `owner`, whose memory holds something else afterwards.
  void alone(int64_t slot, Decoder& owner, const std::vector<int64_t>& tokens, int64_t batch = 1) {
    const auto last = static_cast<int64_t>(tokens.size()) / batch - 1;
    owner.run(tokens, batch, {last});
    shared_.session().select_slots({&slot, 1});
    std::vector<std::vector<float>> copies = owner.cross();
    std::vector<TensorView> inputs = owner.inputs();
    for (size_t i = 0; i < copies.size(); ++i) inputs[inputs.size() - copies.size() + i].data = copies[i].data();
    shared_.session().run(inputs, shared_.outputs());
  }

  // One token for every row of these slots; `past` holds the positions of each row so far.
  std::span<const float> together(const std::vector<int64_t>& slots, std::vector<int64_t> tokens,
                                  std::vector<int64_t> past) {
    shared_.session().select_slots(slots);
    const auto rows = static_cast<int64_t>(tokens.size());
    int64_t select[1] = {0};
    std::vector<float> nothing(static_cast<size_t>(TinyDecoder::kHeads * kFrames * TinyDecoder::kHeadDim), 1e9f);
    std::vector<TensorView> inputs = {
        {DType::kI64, {rows, 1}, tokens.data()}, {DType::kI64, {rows, 1}, past.data()}, {DType::kI64, {1}, select}};
    for (int64_t i = 0; i < 2 * TinyDecoder::kLayers; ++i) {
      inputs.push_back({DType::kF32, {1, TinyDecoder::kHeads, kFrames, TinyDecoder::kHeadDim}, nothing.data()});
    }
    shared_.session().run(inputs, shared_.outputs());
    return {shared_.outputs()[0].as<const float>(), static_cast<size_t>(rows * kVocab)};
  }

  Decoder shared_{bundle_, model_, 2};
  Decoder first_{bundle_, model_}, second_{bundle_, model_};
};

TEST_F(SlotsTest, RowsHaveTheirOwnLengthAndTheirOwnAudio) {
  alone(0, first_, {3, 1, 36, 7});
  alone(2, second_, {5});
  const std::span<const float> logits = together({0, 2}, {9, 11}, {4, 1});
  expect_logits(logits.first(kVocab), expected(first_, {3, 1, 36, 7, 9}), "the longer");
  expect_logits(logits.subspan(kVocab), expected(second_, {5, 11}), "the shorter");
  const std::span<const float> turned = together({2, 0}, {2, 4}, {2, 5});
  expect_logits(turned.first(kVocab), expected(second_, {5, 11, 2}), "the shorter first");
  expect_logits(turned.subspan(kVocab), expected(first_, {3, 1, 36, 7, 9, 4}), "the longer last");
}

TEST_F(SlotsTest, ASlotTakesAnotherSignalWhileOthersGoOn) {
  alone(0, first_, {3, 1});
  alone(1, second_, {5, 6, 8});
  together({0, 1}, {9, 11}, {2, 3});
  shared_.session().select_slots(std::vector<int64_t>{0});
  shared_.session().reset_states();
  Decoder third(bundle_, model_);
  alone(0, third, {30, 31});
  const std::span<const float> logits = together({0, 1}, {1, 2}, {2, 4});
  expect_logits(logits.first(kVocab), expected(third, {30, 31, 1}), "the new one");
  expect_logits(logits.subspan(kVocab), expected(second_, {5, 6, 8, 11, 2}), "the one that went on");
}

TEST_F(SlotsTest, BeamsOfASlotStayInIt) {
  alone(0, first_, {3, 1});
  alone(1, second_, {5});
  shared_.session().reorder_states(std::vector<int64_t>{0, 0});
  const std::span<const float> logits = together({0, 1}, {9, 11, 12}, {2, 1, 1});
  expect_logits(logits.first(kVocab), expected(first_, {3, 1, 9}), "alone");
  expect_logits(logits.subspan(kVocab, kVocab), expected(second_, {5, 11}), "first beam");
  expect_logits(logits.subspan(2 * kVocab), expected(second_, {5, 12}), "second beam");
}

TEST_F(SlotsTest, RefusesWhatNoSlotHas) {
  alone(0, first_, {3, 1});
  error_of(Status::kInvalidArgument, [&] { together({0, 1}, {1, 2}, {2, 0}); });
  shared_.session().reset_states();
  error_of(Status::kInvalidArgument, [&] { shared_.session().select_slots(std::vector<int64_t>{0, 3}); });
  error_of(Status::kInvalidArgument, [&] { shared_.session().select_slots(std::vector<int64_t>{1, 1}); });
  error_of(Status::kUnsupportedOption, [&] { shared_.session().set_slots(65); });
}

TEST_F(NativeSessionTest, RefusesInputsThatDoNotFitAndSaysWhich) {
  const auto refused = [&](Status status, auto&& change, const std::string& words) {
    Decoder decoder(bundle_, model_);
    decoder.run({1, 2}, 1, {1});
    decoder.session().reset_states();
    change(decoder);
    const std::string message = error_of(status, [&] { decoder.session().run(decoder.inputs(), decoder.outputs()); });
    EXPECT_NE(message.find(words), std::string::npos) << message;
    EXPECT_EQ(message.rfind("test.anyon: program 'decoder'", 0), 0u) << message;
    decoder.outputs().resize(2);
    // Refused or failed: nothing runs until the states are reset.
    error_of(Status::kPoisoned, [&] { decoder.run({1, 2}, 1, {1}); });
    error_of(Status::kPoisoned, [&] { decoder.session().truncate_states(0); });
    error_of(Status::kPoisoned, [&] { decoder.session().reorder_states(std::vector<int64_t>{0}); });
    decoder.session().reset_states();
    expect_logits(decoder.run({1, 2}, 1, {1}), expected(decoder, {1, 2}), words);
  };
  int64_t big[] = {99, 1}, negative[] = {-1, 1}, late[] = {5, 32}, one[] = {1, 1, 1, 1};
  const auto i64 = [](int64_t* values, const Shape& shape) { return TensorView{DType::kI64, shape, values}; };
  refused(
      Status::kInvalidArgument,
      [&](Decoder& d) {
        d.inputs()[0] = i64(big, {1, 2});
      },
      "id 99");
  refused(
      Status::kInvalidArgument,
      [&](Decoder& d) {
        d.inputs()[0] = i64(negative, {1, 2});
      },
      "id -1");
  refused(
      Status::kInvalidArgument,
      [&](Decoder& d) {
        d.inputs()[1] = i64(late, {1, 2});
      },
      "id 32");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.inputs()[2] = i64(big, {1}); }, "index 99");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.inputs()[2] = i64(negative, {1}); }, "index -1");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.inputs()[0].dtype = DType::kI32; }, "'tokens' is i32");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.inputs()[0] = i64(one, {4}); }, "'tokens' has shape [4]");
  refused(
      Status::kInvalidArgument,
      [&](Decoder& d) {
        d.inputs()[0] = i64(one, {1, 3});
      },
      "'time' is 2, but another input");
  refused(
      Status::kInvalidArgument,
      [&](Decoder& d) {
        d.inputs()[0] = i64(one, {9, 2});
      },
      "'batch' is 9, allowed are 1 to 8");
  refused(
      Status::kInvalidArgument,
      [&](Decoder& d) {
        d.inputs()[0].shape = {1, -2};
      },
      "'time' is -2");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.inputs()[0].data = nullptr; }, "'tokens' has no data");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.inputs()[3].shape[3] = 9; }, "'cross_key_0' has shape");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.inputs()[3].shape[0] = 2; }, "do not divide the batch of 1");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.inputs()[3].data = d.outputs()[0].data; },
      "output of this very session");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.inputs().pop_back(); }, "6 inputs given");
  refused(
      Status::kInvalidArgument, [&](Decoder& d) { d.outputs().resize(1); }, "room for 1");
}

TEST_F(NativeSessionTest, RefusesWhatTheStatesCannotHold) {
  Decoder decoder(bundle_, model_);
  decoder.run(std::vector<int64_t>(30, 1), 1, {29});
  EXPECT_NE(error_of(Status::kInvalidArgument,
                     [&] {
                       decoder.run({1, 2, 3}, 1, {2});
                     })
                .find("holds 32"),
            std::string::npos);
  decoder.session().reset_states();
  decoder.run({1, 2}, 2, {0});
  EXPECT_NE(error_of(Status::kInvalidArgument,
                     [&] {
                       decoder.run({1, 2, 3}, 3, {0});
                     })
                .find("states hold 2 rows"),
            std::string::npos);
  decoder.session().reset_states();
  decoder.run({1, 2}, 2, {0});
  // A refused argument changes nothing.
  error_of(Status::kInvalidArgument, [&] { decoder.session().reorder_states(std::vector<int64_t>{0, 2}); });
  error_of(Status::kInvalidArgument, [&] { decoder.session().reorder_states(std::vector<int64_t>{-1}); });
  error_of(Status::kInvalidArgument, [&] { decoder.session().reorder_states({}); });
  error_of(Status::kInvalidArgument, [&] { decoder.session().truncate_states(2); });
  error_of(Status::kInvalidArgument, [&] { decoder.session().truncate_states(-1); });
  const std::span<const float> logits = decoder.run({3, 4}, 2, {0});
  expect_logits(logits.subspan(0, TinyDecoder::kVocab), expected(decoder, {1, 3}), "row 0");
  expect_logits(logits.subspan(TinyDecoder::kVocab), expected(decoder, {2, 4}), "row 1");
}

TEST_F(NativeSessionTest, AllocatesNothingInTheSteadyState) {
  Decoder decoder(bundle_, model_, 2);
  const std::vector<int64_t> prompt = {3, 1, 36, 5}, one = {7}, two = {7, 8}, last = {3}, first = {0};
  const std::vector<int64_t> swap = {1, 0}, both = {0, 0}, front = {0};
  const auto window = [&] {
    decoder.session().reset_states();
    decoder.run(prompt, 1, last);
    decoder.session().truncate_states(3);
    for (int step = 0; step < 4; ++step) decoder.run(one, 1, first);
    decoder.session().reorder_states(both);
    for (int step = 0; step < 8; ++step) {
      decoder.run(two, 2, first);
      decoder.session().reorder_states(step % 2 == 0 ? swap : both);
    }
    decoder.session().reorder_states(front);
    decoder.run(one, 1, first);
  };
  window();
  const int64_t before = allocations;
  for (int round = 0; round < 3; ++round) window();
  EXPECT_EQ(allocations - before, 0);
}

TEST_F(NativeSessionTest, GivesTheSameBitsWhateverTheThreads) {
  // Eight threads share one bundle; half of them share one pool as well.
  constexpr int kThreads = 8;
  const auto shared_pool = std::make_shared<ThreadPool>(2);
  TinyDecoder inputs(3);
  std::vector<std::vector<float>> cross;
  for (int64_t i = 0; i < 2 * TinyDecoder::kLayers; ++i) {
    cross.push_back(inputs.random_values(TinyDecoder::kHeads * kFrames * TinyDecoder::kHeadDim));
  }
  const auto decode = [&](std::shared_ptr<ThreadPool> pool) {
    NativeSession session(bundle_, "decoder", std::move(pool), selected_isa());
    std::vector<float> all;
    for (int round = 0; round < 5; ++round) {
      session.reset_states();
      for (int64_t step = 0; step < 12; ++step) {
        int64_t token = step * 3 % TinyDecoder::kVocab, position = step, select = 0;
        std::vector<TensorView> in = {
            {DType::kI64, {1, 1}, &token}, {DType::kI64, {1, 1}, &position}, {DType::kI64, {1}, &select}};
        for (auto& values : cross) {
          in.push_back({DType::kF32, {1, TinyDecoder::kHeads, kFrames, TinyDecoder::kHeadDim}, values.data()});
        }
        std::vector<TensorView> out(2);
        session.run(in, out);
        all.insert(all.end(), out[0].as<float>(), out[0].as<float>() + out[0].shape.elements());
      }
    }
    return all;
  };
  const std::vector<float> alone = decode(std::make_shared<ThreadPool>(1));
  std::vector<std::vector<float>> results(kThreads);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      results[i] = decode(i % 2 == 0 ? shared_pool : std::make_shared<ThreadPool>(1 + static_cast<int>(i) / 3));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& result : results) {
    ASSERT_EQ(result.size(), alone.size());
    EXPECT_EQ(std::memcmp(result.data(), alone.data(), alone.size() * sizeof(float)), 0);
  }
}

TEST_F(NativeSessionTest, SaysWhereItRunsAndHowLongEachOpTook) {
  Decoder decoder(bundle_, model_);
  decoder.run({1, 2}, 1, {1});
  EXPECT_TRUE(decoder.session().events().empty());
  decoder.session().set_profiling(true);
  decoder.run({1}, 1, {0});
  const Placement placement = decoder.session().placement();
  EXPECT_EQ(placement.program, "decoder");
  EXPECT_EQ(placement.backend, "native");
  EXPECT_EQ(placement.isa, name(selected_isa()));
  EXPECT_EQ(placement.precision, "f32");
  EXPECT_EQ(placement.ops, static_cast<int64_t>(TinyDecoder::program().at("ops").size()));
  EXPECT_GT(placement.arena_bytes, 0);
  EXPECT_EQ(placement.state_bytes, 4 * TinyDecoder::kWidth * TinyDecoder::kContext * 4);
  ASSERT_EQ(static_cast<int64_t>(decoder.session().events().size()), placement.ops);
  int64_t time = 0;
  for (const OpEvent& event : decoder.session().events()) {
    EXPECT_GE(event.begin_ns, time);
    EXPECT_GE(event.end_ns, event.begin_ns);
    time = event.end_ns;
  }
}

}  // namespace
}  // namespace anyon
