// Greedy, sampling and beam search on rows of probabilities written by hand.
#include "loops/token_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "loops/random.h"

namespace anyon {
namespace {

constexpr int32_t kEot = 3;
constexpr int32_t kVocab = 4;

// Rows whose log-probabilities are the logarithms of `probabilities`.
struct Rows {
  explicit Rows(std::vector<std::vector<double>> probabilities) {
    for (const auto& row : probabilities) {
      std::vector<float>& values = storage.emplace_back();
      for (const double p : row) values.push_back(p > 0 ? static_cast<float>(std::log(p)) : kNegativeInfinity);
    }
    for (const auto& values : storage) {
      AllowedRow row;
      row.row = values.data();
      row.end = kVocab;
      row.best = row_math(Isa::kScalar).peak(values.data(), kVocab);
      rows.push_back(row);
    }
  }
  std::vector<std::vector<float>> storage;
  std::vector<AllowedRow> rows;
};

std::unique_ptr<TokenSearch> search_of(const SearchOptions& options) {
  return make_search(options, kEot, 16, row_math(Isa::kScalar));
}

using Tokens = std::vector<int32_t>;

TEST(GreedySearch, TakesTheLikeliestTokenUntilTheEndOfText) {
  const auto search = search_of({.beam_size = 1});
  search->advance(Rows({{0.1, 0.6, 0.2, 0.1}}).rows);
  ASSERT_EQ(search->live().size(), 1u);
  EXPECT_EQ(search->live()[0].tokens, Tokens({1}));
  search->advance(Rows({{0.1, 0.1, 0.1, 0.7}}).rows);
  EXPECT_TRUE(search->done());
  const Hypothesis best = search->best();
  EXPECT_EQ(best.tokens, Tokens({1}));
  EXPECT_NEAR(best.sum_logprob, std::log(0.6 * 0.7), 1e-6);
}

TEST(GreedySearch, AnUnfinishedTextCountsAsItIs) {
  const auto search = search_of({.beam_size = 1});
  search->advance(Rows({{0.1, 0.6, 0.2, 0.1}}).rows);
  EXPECT_EQ(search->best().tokens, Tokens({1}));
}

TEST(BeamSearch, FindsATextThatGreedySearchMisses) {
  // Greedy takes 0 (0.5) and then can only reach 0.5 * 0.4; 1 (0.4) leads to 0.4 * 0.9.
  const auto search = search_of({.beam_size = 2});
  search->advance(Rows({{0.5, 0.4, 0.1, 0.0}}).rows);
  ASSERT_EQ(search->live().size(), 2u);
  EXPECT_EQ(search->live()[0].tokens, Tokens({0}));
  EXPECT_EQ(search->live()[1].tokens, Tokens({1}));
  search->advance(Rows({{0.4, 0.3, 0.3, 0.0}, {0.0, 0.0, 0.9, 0.1}}).rows);
  EXPECT_EQ(search->live()[0].tokens, Tokens({1, 2}));
  EXPECT_EQ(search->live()[1].tokens, Tokens({0, 0}));
  EXPECT_EQ(std::vector<int64_t>(search->sources().begin(), search->sources().end()), (std::vector<int64_t>{1, 0}));
  search->advance(Rows({{0.0, 0.0, 0.1, 0.9}, {0.1, 0.0, 0.1, 0.8}}).rows);
  EXPECT_TRUE(search->done());
  EXPECT_EQ(search->best().tokens, Tokens({1, 2}));
}

TEST(BeamSearch, EndsWhenAsManyTextsAreFinishedAsBeams) {
  const auto search = search_of({.beam_size = 2});
  search->advance(Rows({{0.5, 0.3, 0.0, 0.2}}).rows);
  EXPECT_EQ(search->finished().size(), 0u);  // the end of text scored below the two beams that go on
  search->advance(Rows({{0.1, 0.0, 0.0, 0.9}, {0.4, 0.0, 0.0, 0.6}}).rows);
  EXPECT_EQ(search->finished().size(), 2u);
  EXPECT_TRUE(search->done());
}

TEST(BeamSearch, PatienceAsksForMoreFinishedTexts) {
  const auto search = search_of({.beam_size = 2, .patience = 2.0f});
  search->advance(Rows({{0.5, 0.3, 0.0, 0.2}}).rows);
  search->advance(Rows({{0.1, 0.0, 0.0, 0.9}, {0.4, 0.0, 0.0, 0.6}}).rows);
  EXPECT_FALSE(search->done());
  search->advance(Rows({{0.0, 0.1, 0.0, 0.9}, {0.0, 0.1, 0.0, 0.9}}).rows);
  EXPECT_EQ(search->finished().size(), 4u);
  EXPECT_TRUE(search->done());
}

TEST(BeamSearch, LiveBeamsFillTheListWhenTheTextIsCutOff) {
  const auto search = search_of({.beam_size = 2});
  search->advance(Rows({{0.5, 0.4, 0.1, 0.0}}).rows);
  const Hypothesis best = search->best();
  EXPECT_EQ(best.tokens, Tokens({0}));
}

TEST(BeamSearch, ForbiddenTokensMakeNoBeam) {
  const auto search = search_of({.beam_size = 3});
  search->advance(Rows({{0.6, 0.4, 0.0, 0.0}}).rows);
  EXPECT_EQ(search->live().size(), 2u);
}

TEST(BeamSearch, EndsWhenNothingIsAllowed) {
  const auto search = search_of({.beam_size = 2});
  search->advance(Rows({{0.0, 0.0, 0.0, 0.0}}).rows);
  EXPECT_TRUE(search->done());
  EXPECT_TRUE(search->best().tokens.empty());
}

TEST(Ranking, DividesByTheLengthOrByThePenalty) {
  const std::vector<Hypothesis> texts = {{{1}, -1.0}, {{1, 1, 1, 1}, -2.0}};
  EXPECT_EQ(&highest(texts, std::nullopt), &texts[1]);  // -1 against -0.5
  EXPECT_EQ(&highest(texts, 0.0f), &texts[0]);          // the sums themselves
  // ((5 + 1) / 6)^1 = 1 and ((5 + 4) / 6)^1 = 1.5: -1 against -1.33
  EXPECT_EQ(&highest(texts, 1.0f), &texts[0]);
}

TEST(Sampling, DrawsTokensAsOftenAsTheirProbabilitySays) {
  const Rows rows({{0.5, 0.3, 0.2, 0.0}});
  std::map<int32_t, int> counts;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const auto search = search_of({.temperature = 1.0f, .best_of = 1, .seed = static_cast<uint64_t>(i)});
    search->advance(rows.rows);
    ++counts[search->live()[0].tokens[0]];
  }
  // Five standard deviations of a binomial count.
  EXPECT_NEAR(counts[0], 0.5 * kDraws, 354);
  EXPECT_NEAR(counts[1], 0.3 * kDraws, 324);
  EXPECT_NEAR(counts[2], 0.2 * kDraws, 283);
}

TEST(Sampling, TemperatureSharpensOrFlattens) {
  const Rows rows({{0.6, 0.3, 0.1, 0.0}});
  const auto share_of_first = [&](float temperature) {
    int count = 0;
    for (int i = 0; i < 5000; ++i) {
      const auto search = search_of({.temperature = temperature, .best_of = 1, .seed = static_cast<uint64_t>(i)});
      search->advance(rows.rows);
      count += search->live()[0].tokens[0] == 0;
    }
    return count / 5000.0;
  };
  EXPECT_NEAR(share_of_first(0.5f), 0.36 / (0.36 + 0.09 + 0.01), 0.035);
  EXPECT_NEAR(share_of_first(10.0f), 0.36, 0.05);  // nearly uniform: 0.6^0.1 / sum
}

TEST(Sampling, TheSeedDecidesAndEachSampleHasItsOwnStream) {
  const Rows rows({{0.4, 0.3, 0.3, 0.0}});
  const auto draw = [&](uint64_t seed) {
    const auto search = search_of({.temperature = 1.0f, .best_of = 8, .seed = seed});
    search->advance(rows.rows);
    Tokens tokens;
    for (const Hypothesis& hypothesis : search->live()) tokens.push_back(hypothesis.tokens[0]);
    return tokens;
  };
  EXPECT_EQ(draw(7), draw(7));
  EXPECT_NE(draw(7), draw(8));
  const Tokens tokens = draw(7);
  EXPECT_NE(std::count(tokens.begin(), tokens.end(), tokens[0]), 8);
}

TEST(Sampling, FinishedSamplesLeaveTheBatch) {
  const auto search = search_of({.temperature = 1.0f, .best_of = 3});
  search->advance(Rows({{1.0, 0.0, 0.0, 0.0}}).rows);
  search->advance(Rows({{0.0, 1.0, 0.0, 0.0}, {0.0, 0.0, 0.0, 1.0}, {0.0, 0.0, 1.0, 0.0}}).rows);
  ASSERT_EQ(search->live().size(), 2u);
  EXPECT_EQ(search->live()[0].tokens, Tokens({0, 1}));
  EXPECT_EQ(search->live()[1].tokens, Tokens({0, 2}));
  EXPECT_EQ(std::vector<int64_t>(search->sources().begin(), search->sources().end()), (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(search->finished().size(), 1u);
}

TEST(Random, IsUniformInItsMeanAndVariance) {
  double sum = 0.0;
  double squares = 0.0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = uniform(42, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);
  EXPECT_NEAR(squares / kDraws, 1.0 / 3.0, 0.005);
}

}  // namespace
}  // namespace anyon
