// A draft follows the text, loses its place where they differ, and finds it again.
#include "loops/draft.h"

#include <gtest/gtest.h>

namespace anyon {
namespace {

using Tokens = std::vector<int32_t>;
constexpr int32_t kTime = 100;  // timestamps from here on

Tokens proposal(const Draft& draft, size_t most = 100) {
  const std::span<const int32_t> tokens = draft.proposal(most);
  return {tokens.begin(), tokens.end()};
}

TEST(Draft, ProposesWhatComesNext) {
  Draft draft({1, 2, 3, 4}, kTime);
  EXPECT_EQ(proposal(draft), Tokens({1, 2, 3, 4}));
  EXPECT_EQ(proposal(draft, 2), Tokens({1, 2}));
  draft.follow(1);
  draft.follow(2);
  EXPECT_EQ(proposal(draft), Tokens({3, 4}));
  draft.follow(3);
  draft.follow(4);
  EXPECT_TRUE(proposal(draft).empty());
  draft.follow(5);
  EXPECT_TRUE(proposal(draft).empty());
}

TEST(Draft, AnEmptyOneProposesNothing) {
  Draft draft({}, kTime);
  EXPECT_TRUE(proposal(draft).empty());
  draft.follow(1);
  EXPECT_TRUE(proposal(draft).empty());
}

TEST(Draft, IsLostAfterADifferenceUntilTwoTokensAgree) {
  Draft draft({1, 2, 3, 4, 5, 6}, kTime);
  draft.follow(1);
  draft.follow(9);
  EXPECT_TRUE(proposal(draft).empty());
  draft.follow(3);
  EXPECT_TRUE(proposal(draft).empty());
  draft.follow(4);
  EXPECT_EQ(proposal(draft), Tokens({5, 6}));
}

TEST(Draft, FindsItsPlaceBeforeWhereItWasLostToo) {
  Draft draft({1, 2, 3, 4, 1, 5}, kTime);
  for (const int32_t token : {1, 2, 3, 4, 1}) draft.follow(token);
  draft.follow(2);  // 1 and 2 stand at the beginning
  EXPECT_EQ(proposal(draft), Tokens({3, 4, 1, 5}));
}

TEST(Draft, OtherTimesDoNotMatter) {
  Draft draft({101, 1, 2, 105, 105, 3, 4}, kTime);
  draft.follow(100);
  draft.follow(1);
  EXPECT_EQ(proposal(draft), Tokens({2, 105, 105, 3, 4}));
  draft.follow(2);
  draft.follow(103);
  EXPECT_EQ(proposal(draft), Tokens({105, 3, 4}));
  draft.follow(3);  // no second time was written
  EXPECT_EQ(proposal(draft), Tokens({4}));
}

TEST(Draft, WithoutTimesItFollowsATextThatHasThem) {
  Draft draft({1, 2, 3}, kTime);
  for (const int32_t token : {100, 1, 103, 103, 2}) draft.follow(token);
  EXPECT_EQ(proposal(draft), Tokens({3}));
}

TEST(Draft, ProposesLessAfterABadGuessAndMoreAfterAGoodOne) {
  Draft draft(Tokens(40, 7), kTime);
  EXPECT_EQ(proposal(draft).size(), Draft::kMost);
  draft.judge(15, 3);
  EXPECT_EQ(proposal(draft).size(), 3u);
  draft.judge(3, 0);
  EXPECT_EQ(proposal(draft).size(), 2u);
  draft.judge(2, 2);
  EXPECT_EQ(proposal(draft).size(), 4u);
}

}  // namespace
}  // namespace anyon
