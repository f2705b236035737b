// Each of Whisper's rules on a vocabulary small enough to see: 10 text tokens, end of text, specials, 8 timestamps.
#include "loops/logit_rules.h"

#include <gtest/gtest.h>

#include <cmath>

namespace anyon {
namespace {

constexpr int32_t kEot = 10;   // 11 and 12 are other special tokens
constexpr int32_t kTime = 13;  // <|0.00|>
constexpr int32_t kVocab = 21;

class LogitRulesTest : public testing::Test {
 protected:
  LogitRuleOptions options{.n_vocab = kVocab, .eot = kEot, .timestamp_begin = kTime};
  std::vector<float> logits = std::vector<float>(kVocab, 0.0f);
  std::vector<float> scratch = std::vector<float>(kVocab);

  AllowedRow apply(std::vector<int32_t> tokens) {
    return LogitRules(options, row_math(Isa::kScalar)).apply(logits.data(), tokens, scratch.data());
  }

  // The tokens that may come next.
  std::vector<int32_t> allowed(std::vector<int32_t> tokens) {
    const AllowedRow row = apply(std::move(tokens));
    std::vector<int32_t> ids;
    for (int32_t id = row.begin; id < row.end; ++id) {
      if (row.row[id] > kNegativeInfinity) ids.push_back(id);
    }
    return ids;
  }

  void favour_text() {
    for (int32_t id = 0; id <= kEot; ++id) logits[id] = 5.0f;
  }
};

std::vector<int32_t> range(int32_t begin, int32_t end) {
  std::vector<int32_t> ids;
  for (int32_t id = begin; id < end; ++id) ids.push_back(id);
  return ids;
}

TEST_F(LogitRulesTest, AWindowBeginsWithATimestamp) {
  EXPECT_EQ(allowed({}), range(kTime, kVocab));
}

TEST_F(LogitRulesTest, TheFirstTimestampIsAtMostTheInitialOne) {
  options.max_initial_timestamp = 2;
  EXPECT_EQ(allowed({}), range(kTime, kTime + 3));
}

TEST_F(LogitRulesTest, TextFollowsTheFirstTimestamp) {
  EXPECT_EQ(allowed({kTime}), range(0, kEot + 1));
}

TEST_F(LogitRulesTest, AfterTextATimestampMustBeLater) {
  favour_text();
  std::vector<int32_t> expected = range(0, kEot + 1);
  for (const int32_t id : range(kTime + 3, kVocab)) expected.push_back(id);
  EXPECT_EQ(allowed({kTime + 2, 4}), expected);
}

TEST_F(LogitRulesTest, AfterAnEndingTimestampTheNextBeginsOrTheTextEnds) {
  favour_text();
  std::vector<int32_t> expected = {kEot};
  for (const int32_t id : range(kTime + 5, kVocab)) expected.push_back(id);  // the same time is allowed
  EXPECT_EQ(allowed({kTime, 4, kTime + 5}), expected);
}

TEST_F(LogitRulesTest, AfterAPairOfTimestampsTextMustFollow) {
  EXPECT_EQ(allowed({kTime, 4, kTime + 5, kTime + 5}), range(0, kEot + 1));
}

TEST_F(LogitRulesTest, ATimestampComesWhenAllTogetherAreLikelierThanTheLikeliestText) {
  logits[3] = 1.5f;  // six timestamps at 0 weigh log 6 = 1.79
  EXPECT_EQ(allowed({kTime, 4}), range(kTime + 1, kVocab));
  logits[3] = 2.1f;
  const AllowedRow row = apply({kTime, 4});
  EXPECT_EQ(row.best.index, 3);
}

TEST_F(LogitRulesTest, WithoutTimestampsNoneMayBeWritten) {
  options.timestamps = false;
  EXPECT_EQ(allowed({}), range(0, kEot + 1));
  EXPECT_EQ(allowed({4}), range(0, kEot + 1));
}

TEST_F(LogitRulesTest, SuppressedTokensNeverCome) {
  options.timestamps = false;
  options.suppress = {3, 0, 3, -5, 1000, kEot};
  EXPECT_EQ(allowed({4}), (std::vector<int32_t>{1, 2, 4, 5, 6, 7, 8, 9}));
}

TEST_F(LogitRulesTest, BlanksAreSuppressedAtTheBeginningOnly) {
  options.timestamps = false;
  options.begin_suppress = {1, kEot};
  EXPECT_EQ(allowed({}), (std::vector<int32_t>{0, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(allowed({4}), range(0, kEot + 1));
}

TEST_F(LogitRulesTest, ProbabilitiesAreOfTheAllowedTokensAlone) {
  options.timestamps = false;
  options.suppress = {0};
  logits[0] = 100.0f;
  const AllowedRow row = apply({4});
  double sum = 0.0;
  for (int32_t id = 1; id <= kEot; ++id) sum += std::exp(row.log_probability(id));
  EXPECT_NEAR(sum, 1.0, 1e-6);
}

TEST_F(LogitRulesTest, TextAndTimestampsShareTheProbability) {
  favour_text();
  logits[kTime + 4] = 3.0f;
  const AllowedRow row = apply({kTime, 4});
  double sum = 0.0;
  for (int32_t id = row.begin; id < row.end; ++id) {
    if (row.row[id] > kNegativeInfinity) sum += std::exp(row.log_probability(id));
  }
  EXPECT_NEAR(sum, 1.0, 1e-6);
}

TEST_F(LogitRulesTest, ARepeatedTextTokenIsPenalisedOnceWhateverItsSign) {
  options.timestamps = false;
  options.repetition_penalty = 2.0f;
  logits[4] = 3.0f;
  logits[5] = -3.0f;
  const AllowedRow row = apply({4, 5, 4, 5});
  EXPECT_EQ(row.row[4], 1.5f);
  EXPECT_EQ(row.row[5], -6.0f);
  EXPECT_EQ(row.row[6], 0.0f);
}

TEST_F(LogitRulesTest, TimestampsAreNotPenalised) {
  options.repetition_penalty = 2.0f;
  logits[kTime + 2] = 3.0f;
  const AllowedRow row = apply({kTime, 4, kTime + 2});
  EXPECT_EQ(row.row[kTime + 2], 3.0f);
}

TEST_F(LogitRulesTest, AnNgramIsNotWrittenTwice) {
  options.timestamps = false;
  options.no_repeat_ngram_size = 3;
  EXPECT_EQ(allowed({1, 2, 3, 1, 2}), (std::vector<int32_t>{0, 1, 2, 4, 5, 6, 7, 8, 9, kEot}));
  EXPECT_EQ(allowed({1, 2, 3, 2}), range(0, kEot + 1));
}

TEST_F(LogitRulesTest, LogitsThatAreNotNumbersAllowNothing) {
  logits.assign(kVocab, NAN);
  EXPECT_EQ(apply({kTime, 4}).best.index, -1);
}

TEST_F(LogitRulesTest, TheLogitsOfTheBackendStayAsTheyAre) {
  const std::vector<float> before = logits;
  apply({});
  apply({kTime, 4});
  EXPECT_EQ(logits, before);
}

}  // namespace
}  // namespace anyon
