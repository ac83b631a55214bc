// Do random campaigns reach what they are meant to reach? A generator that never makes a fault case
// tests nothing of it.

#include <gtest/gtest.h>

#include <cstring>

#include "proptests/engine/run.h"
#include "traces/codec.h"

namespace proptests {
namespace {

CampaignResult Campaign(bool swarm) {
  CampaignOptions options;
  options.seed = 11;
  options.ops = 120000;
  options.case_ops = 4000;
  options.swarm = swarm;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  options.run.machine.swap = {{.pages = 4096}, {.pages = 1024}};  // for calls that name them
  options.run.whole_every = 0;
  options.threads = 3;  // for calls that make them
  return RunCampaign(options);
}

uint64_t Row(const CampaignResult& result, const char* name) {
  for (const LedgerRow& row : result.run.ledger) {
    if (std::strcmp(row.name, name) == 0) return row.value;
  }
  ADD_FAILURE() << "the ledger has no row " << name;
  return 0;
}

class DistributionTest : public testing::TestWithParam<bool> {};

TEST_P(DistributionTest, EveryFaultCaseIsAtLeastOnePercent) {
  CampaignResult result = Campaign(GetParam());
  ASSERT_FALSE(result.run.failure) << result.run.failure->text;
  uint64_t all = 0;
  for (const char* name : {"fault_1a", "fault_1b", "fault_2a", "fault_2b"})
    all += Row(result, name);
  for (const char* name : {"fault_1a", "fault_1b", "fault_2a", "fault_2b"}) {
    EXPECT_GE(Row(result, name) * 100, all) << name << ": " << Row(result, name) << " of " << all;
  }
}

TEST_P(DistributionTest, EveryKindOccursAndMostOperationsDoSomething) {
  CampaignResult result = Campaign(GetParam());
  ASSERT_FALSE(result.run.failure) << result.run.failure->text;
  for (int i = 0; i < traces::kProgramKindCount; ++i) {
    EXPECT_GE(result.run.stats.by_kind[static_cast<size_t>(i)] * 1000, result.run.stats.ops)
        << traces::OpName(static_cast<traces::OpKind>(i)) << " is rarer than one in a thousand";
  }
  EXPECT_GE(result.run.stats.ok * 100, result.run.stats.ops * 40);
  EXPECT_GE(result.run.stats.ops * 100, (result.run.stats.ops + result.run.stats.skipped) * 60);
  for (const char* name : {"clip", "merge", "fork", "copy", "zero_fill", "pager_get"}) {
    EXPECT_GT(Row(result, name), 100u) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Mixes, DistributionTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& info) {
                           return info.param ? "Swarm" : "Standard";
                         });

}  // namespace
}  // namespace proptests
