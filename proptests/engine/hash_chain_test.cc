#include "proptests/engine/hash_chain.h"

#include <gtest/gtest.h>

#include <string>

#include "base/canary.h"
#include "proptests/engine/fault_rates.h"

namespace proptests {
namespace {

CampaignOptions Small(uint64_t seed) {
  CampaignOptions options;
  options.seed = seed;
  options.case_ops = 400;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  return options;
}

TEST(HashChainTest, ACaseHasOneLinkAnOperationAndComesOutTheSameAgain) {
  CampaignOptions options = Small(1);
  options.faults = *ParseFaultRates("all");
  const CaseChain first = RunCaseWithChain(options, 3, 400);
  ASSERT_FALSE(first.result.failure) << first.result.failure->text;
  EXPECT_GT(first.links.size(), 400u);  // injections are operations, too
  EXPECT_EQ(first.links.back().outcomes == 0, false);
  EXPECT_FALSE(RunCaseAgain(options, 3, 400, first.links));
  const CaseChain other = RunCaseWithChain(options, 4, 400);
  EXPECT_TRUE(FirstDifference(first.links, other.links));
}

TEST(HashChainTest, TheFirstLinkThatDiffersIsNamed) {
  const CampaignOptions options = Small(1);
  const HashChain right = RunCaseWithChain(options, 0, 400).links;
  HashChain wrong = right;
  wrong[17].costs ^= 1;
  wrong[30].outcomes ^= 1;
  const std::optional<ChainDifference> difference = FirstDifference(right, wrong);
  ASSERT_TRUE(difference);
  EXPECT_EQ(difference->link, 17u);
  EXPECT_EQ(difference->part, ChainPart::kCosts);
  const std::optional<Failure> failure = RunCaseAgain(options, 0, 400, wrong);
  ASSERT_TRUE(failure);
  EXPECT_EQ(FingerprintText(failure->print), "nondeterminism: SameSeedSameHash");
  EXPECT_EQ(failure->op_index, 17u);
  EXPECT_NE(failure->text.find("what it cost is not"), std::string::npos) << failure->text;
  wrong = right;
  wrong.pop_back();
  EXPECT_EQ(FirstDifference(right, wrong)->link, wrong.size());
  EXPECT_EQ(RunCaseAgain(options, 0, 400, wrong)->op_index, wrong.size());
  wrong = right;
  wrong.push_back({});
  EXPECT_EQ(RunCaseAgain(options, 0, 400, wrong)->op_index, right.size());
}

// An observer that takes virtual time is what the second run, with its other checks, is for.
TEST(HashChainTest, AnObserverThatTakesTimeIsNoticedAndShrunk) {
  CampaignOptions options = Small(1);
  options.run.machine.canary = base::Canary::kObserverTakesTime;
  const CaseChain first = RunCaseWithChain(options, 0, 400);
  ASSERT_FALSE(first.result.failure) << first.result.failure->text;
  const std::optional<Failure> failure = RunCaseAgain(options, 0, 400, first.links);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->print.cls, FailureClass::kNondeterminism);
  CampaignResult result;
  result.run.failure = failure;
  const Generator generator(CaseOptions(options, 0));
  const ShrinkOutcome shrunk = ShrinkRun(OpsOfFailure(options, result), generator.files(),
                                         CaseRunOptions(options, 0), *failure, RunOpsTwice);
  EXPECT_EQ(shrunk.shrunk.failure.print, failure->print);
  EXPECT_LE(shrunk.shrunk.smallest.ops.size(), 2u);
}

std::string TextOf(const CampaignOptions& options, uint64_t case_index) {
  std::string text = "# a comment\n";
  uint64_t index = 0;
  RunCase(options, case_index, 100,
          [&](const Session& session) { AppendChainLine(case_index, index++, session, &text); });
  return text;
}

TEST(HashChainTest, TextsAreComparedLineByLine) {
  const CampaignOptions options = Small(1);
  const std::string text = TextOf(options, 0);
  EXPECT_FALSE(FirstDifferenceOfTexts(text, text + "# another comment\n"));
  std::string other = text;
  const size_t line = other.find("\n0 42 ") + 1;
  const size_t outcomes = other.find(' ', line + 2) + 1;
  other[outcomes] = other[outcomes] == '0' ? '1' : '0';
  std::optional<std::string> difference = FirstDifferenceOfTexts(text, other);
  ASSERT_TRUE(difference);
  EXPECT_NE(difference->find("case 0, operation 42 ("), std::string::npos) << *difference;
  EXPECT_NE(difference->find("outcomes 0x"), std::string::npos) << *difference;
  other = text;
  const size_t costs = outcomes + 17;
  other[costs] = other[costs] == '0' ? '1' : '0';
  difference = FirstDifferenceOfTexts(text, other);
  ASSERT_TRUE(difference);
  EXPECT_NE(difference->find("the same outcomes, but costs 0x"), std::string::npos);
  difference = FirstDifferenceOfTexts(text, text.substr(0, line));
  ASSERT_TRUE(difference);
  EXPECT_NE(difference->find("the first 42 operations agree"), std::string::npos) << *difference;
  EXPECT_TRUE(FirstDifferenceOfTexts("nonsense\n", "other nonsense\n"));
}

}  // namespace
}  // namespace proptests
