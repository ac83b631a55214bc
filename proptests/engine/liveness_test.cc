#include "proptests/engine/liveness.h"

#include <gtest/gtest.h>

#include <string>

#include "base/canary.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/run.h"

namespace proptests {
namespace {

CampaignOptions Faulty(uint64_t ops) {
  CampaignOptions options;
  options.seed = 3;
  options.ops = ops;
  options.case_ops = 400;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  options.faults = *ParseFaultRates("all");
  for (uint32_t& one_in : options.faults.one_in) one_in = one_in == 0 ? 0 : 4;
  options.liveness = true;
  return options;
}

TEST(LivenessTest, WhateverFailedBeforeEverythingConverges) {
  const CampaignOptions options = Faulty(8000);
  const CampaignResult result = RunCampaign(options);
  ASSERT_FALSE(result.run.failure) << result.run.failure->text;
  // The phase is part of the run.
  CampaignOptions without = options;
  without.liveness = false;
  const CampaignResult plain = RunCampaign(without);
  EXPECT_GT(result.run.stats.ops, plain.run.stats.ops + 1000);
  EXPECT_NE(result.run.hash, plain.run.hash);
}

// The canary puts a client to sleep for ever after a fault. A run whose last operation meets the
// fault shows nothing, unless something is asked of that client afterwards.
TEST(LivenessTest, AWakeUpLostUnderAFaultIsFoundAndShrunk) {
  CampaignOptions options = Faulty(40000);
  options.case_ops = 20;
  options.run.machine.canary = base::Canary::kLosesWakeUp;
  const CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure);
  EXPECT_EQ(FingerprintText(result.run.failure->print), "liveness: EveryOperationEnds");
  const Generator generator(CaseOptions(options, result.failing_case));
  const ShrinkOutcome shrunk =
      ShrinkRun(OpsOfFailure(options, result), generator.files(),
                CaseRunOptions(options, result.failing_case), *result.run.failure);
  EXPECT_EQ(shrunk.shrunk.failure.print.rule, "EveryOperationEnds");
  EXPECT_TRUE(shrunk.shrunk.minimal);
  EXPECT_LE(shrunk.shrunk.smallest.ops.size(), 5u);
  // In some cases it takes the last phase.
  CampaignOptions without = options;
  without.liveness = false;
  uint64_t only_then = 0;
  for (uint64_t number = 0; number < 200; ++number) {
    const bool with_phase = RunCase(options, number, 20, nullptr).failure.has_value();
    const bool without_phase = RunCase(without, number, 20, nullptr).failure.has_value();
    only_then += with_phase && !without_phase ? 1 : 0;
  }
  EXPECT_GT(only_then, 0u);
}

}  // namespace
}  // namespace proptests
