#include "proptests/engine/liveness.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/addr.h"
#include "base/canary.h"
#include "base/errors.h"
#include "base/prot.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/generator.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"
#include "traces/op.h"

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

uint64_t RowOf(const LedgerRows& rows, const std::string& name) {
  for (const LedgerRow& row : rows) {
    if (row.name == name) return row.value;
  }
  ADD_FAILURE() << "no row " << name;
  return 0;
}

// Memory is short, and devices fail in every way until they are healed.
TEST(LivenessTest, DevicesThatFailedAreHealedAndEverythingConverges) {
  CampaignOptions options = Faulty(20000);
  options.case_ops = 1000;
  options.tasks = 8;
  options.pages = 128;
  options.run.machine.ram_bytes = 96 * base::kPageSize;
  options.run.machine.swap = {{.pages = 2048, .transfer_us = 20}, {.pages = 1024}};
  options.run.memory_may_run_out = true;
  options.faults = *ParseFaultRates(
      "swap_read_error=1000,swap_write_error=30,swap_torn_write=200,swap_slow=20,swap_vanish=400");
  const CampaignResult result = RunCampaign(options);
  ASSERT_FALSE(result.run.failure) << result.run.failure->text;
  EXPECT_GT(RowOf(result.run.ledger, "pageout"), 500u);
  EXPECT_GT(RowOf(result.run.ledger, "pagein"), 100u);
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

traces::Op Of(uint32_t task, traces::OpKind kind) {
  traces::Op op;
  op.kind = kind;
  op.task = {task, false};
  return op;
}

// More is mapped than the machine has frames, and all of it is touched: from when it is full, a
// shortage is right. Until then it is none.
TEST(LivenessTest, MoreMayBeMappedThanFits) {
  RunOptions options;
  options.machine.ram_bytes = 1200 * base::kPageSize;
  const std::vector<std::string> no_files;
  std::vector<traces::Op> setup;
  traces::Op space = Of(0, traces::OpKind::kSpace);
  space.child = 1;
  setup.push_back(space);
  constexpr uint64_t kRegions = 30, kRegionPages = 60;
  for (uint64_t i = 0; i < kRegions; ++i) {
    traces::Op map = Of(1, traces::OpKind::kMmap);
    map.at = traces::At((1 + i * (kRegionPages + 1)) * base::kPageSize);
    map.size = kRegionPages * base::kPageSize;
    map.prot = base::kProtReadWrite;
    map.flags = traces::kFlagPrivate | traces::kFlagFixed;
    setup.push_back(map);
  }
  for (const bool when_full : {false, true}) {
    options.shortage_when_full = when_full;
    Session session(options, &no_files);
    for (const traces::Op& op : setup) ASSERT_TRUE(session.Step(op));
    traces::ResolvedOp write;
    write.kind = traces::OpKind::kWrite;
    write.task = 1;
    write.at = base::kPageSize;
    write.size = 1;
    write.value = 'Z';
    traces::Outcome killed;
    killed.family = traces::Outcome::Family::kFault;
    killed.code = static_cast<int32_t>(base::FaultCode::kKill);
    killed.value = write.at;
    EXPECT_FALSE(session.world().Expect(write).Accepts(killed));
    EXPECT_EQ(Converge(&session, nullptr), when_full);
    EXPECT_EQ(session.Finish(), when_full);
    if (when_full) {
      EXPECT_TRUE(session.world().LiveTasks().empty());
      continue;
    }
    ASSERT_TRUE(session.failure());
    EXPECT_EQ(session.failure()->print.rule, "OutcomesAgree(read)");
  }
}

// What was done is what is made small: the model alone would choose other addresses.
TEST(LivenessTest, TheOperationsOfTheLastPhaseAreKept) {
  CampaignOptions options = Faulty(40000);
  options.case_ops = 20;
  options.run.machine.canary = base::Canary::kLosesWakeUp;
  for (uint64_t number = 0; number < 400; ++number) {
    const RunResult result = RunCase(options, number, 20, nullptr);
    if (!result.failure || result.converging.empty()) continue;
    CampaignResult campaign;
    campaign.run = result;
    campaign.failing_case = number;
    const std::vector<TestOp> ops = OpsOfFailure(options, campaign);
    ASSERT_GE(ops.size(), result.converging.size());
    // The end of the session has operations of its own.
    EXPECT_GE(ops.size() + 1, result.failure->op_index + 1);
    EXPECT_EQ(ops.back().op, result.converging.back());
    const RunResult again = RunOps(ops, Generator(CaseOptions(options, number)).files(),
                                   CaseRunOptions(options, number));
    ASSERT_TRUE(again.failure);
    EXPECT_EQ(again.failure->print, result.failure->print);
    return;
  }
  FAIL() << "no case failed in its last phase";
}

}  // namespace
}  // namespace proptests
