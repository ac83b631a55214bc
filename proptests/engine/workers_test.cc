#include "proptests/engine/workers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/canary.h"

namespace proptests {
namespace {

CampaignOptions Small() {
  CampaignOptions options;
  options.seed = 5;
  options.case_ops = 300;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  return options;
}

struct Cases {
  std::vector<CaseRecord> records;
  Summary summary;
  CampaignEnd end = CampaignEnd::kAllDone;
};

// The first `cases` cases, until `most_failures` failed.
Cases RunThem(const CampaignOptions& options, const WorkerOptions& how, uint64_t cases,
            size_t most_failures = 1000) {
  Cases run;
  uint64_t next = 0;
  CampaignHooks hooks;
  hooks.next = [&]() -> std::optional<CaseTask> {
    if (next == cases) return std::nullopt;
    return CaseTask{next++, options.case_ops};
  };
  hooks.done = [&](const CaseRecord& record) {
    run.records.push_back(record);
    run.summary.Add(record);
    return run.summary.failed < most_failures;
  };
  run.end = RunCases(options, how, hooks);
  return run;
}

WorkerOptions Jobs(uint32_t jobs) {
  WorkerOptions how;
  how.jobs = jobs;
  return how;
}

TEST(WorkersTest, TheResultDoesNotDependOnTheirNumber) {
  CampaignOptions options = Small();
  options.case_ops = 9000;  // a few cases a batch
  options.seed = 1;
  const Cases here = RunThem(options, Jobs(0), 9);
  ASSERT_EQ(here.records.size(), 9u);
  EXPECT_EQ(here.summary.failed, 0u);
  EXPECT_EQ(here.summary.rechecked, 1u);
  for (const uint32_t jobs : {1, 3}) {
    const Cases run = RunThem(options, Jobs(jobs), 9);
    EXPECT_EQ(run.end, CampaignEnd::kAllDone);
    ASSERT_EQ(run.records.size(), 9u);
    for (uint64_t i = 0; i < 9; ++i) EXPECT_EQ(run.records[i].number, i);
    EXPECT_EQ(SummaryJson(run.summary), SummaryJson(here.summary));
  }
}

TEST(WorkersTest, TheFirstFailureInOrderIsTheLastThatIsDelivered) {
  CampaignOptions options = Small();
  options.run.machine.canary = base::Canary::kInheritanceSwapped;
  const Cases here = RunThem(options, Jobs(0), 400, 1);
  ASSERT_TRUE(here.records.back().result.failure);
  EXPECT_EQ(here.end, CampaignEnd::kEnough);
  const Cases run = RunThem(options, Jobs(3), 400, 1);
  EXPECT_EQ(run.end, CampaignEnd::kEnough);
  ASSERT_EQ(run.records.size(), here.records.size());
  EXPECT_EQ(SummaryJson(run.summary), SummaryJson(here.summary));
  EXPECT_EQ(run.records.back().result.failure->text, here.records.back().result.failure->text);
}

TEST(WorkersTest, ACrashIsAFailureOfItsCaseAndTheOthersGoOn) {
  CampaignOptions options = Small();
  options.run.machine.canary = base::Canary::kCrashesTheProcess;
  const Cases run = RunThem(options, Jobs(2), 30);
  ASSERT_EQ(run.records.size(), 30u);
  EXPECT_GT(run.summary.failed, 0u);
  EXPECT_LT(run.summary.failed, 30u);
  for (const CaseRecord& record : run.records) {
    if (!record.result.failure) continue;
    const Failure& failure = *record.result.failure;
    EXPECT_EQ(failure.print.cls, FailureClass::kCrash);
    EXPECT_LT(failure.op_index, options.case_ops);
  }
}

TEST(WorkersTest, AHangIsAFailureOfItsCaseAndTheOthersGoOn) {
  CampaignOptions options = Small();
  options.run.machine.canary = base::Canary::kHangsTheProcess;
  WorkerOptions how = Jobs(2);
  how.limits.seconds = 1;
  const Cases run = RunThem(options, how, 8);
  ASSERT_EQ(run.records.size(), 8u);
  EXPECT_GT(run.summary.failed, 0u);
  for (const CaseRecord& record : run.records) {
    if (!record.result.failure) continue;
    EXPECT_EQ(record.result.failure->print.cls, FailureClass::kTimeout);
    EXPECT_EQ(record.result.failure->print.rule, "EveryRunEnds");
  }
}

TEST(WorkersTest, TooMuchMemoryIsAFailure) {
  CampaignOptions options = Small();
  WorkerOptions how = Jobs(1);
  how.limits.bytes = uint64_t{256} << 20;  // less than the machine's arena
  const Cases run = RunThem(options, how, 2);
  if (run.summary.failed == 0) GTEST_SKIP() << "no limit under a sanitizer";
  EXPECT_EQ(run.summary.failed, 2u);
  EXPECT_EQ(run.records[0].result.failure->print.cls, FailureClass::kCrash);
}

TEST(WorkersTest, ATickMayEndIt) {
  CampaignOptions options = Small();
  uint64_t next = 0, delivered = 0, ticks = 0;
  CampaignHooks hooks;
  hooks.next = [&]() -> std::optional<CaseTask> { return CaseTask{next++, options.case_ops}; };
  hooks.done = [&](const CaseRecord&) {
    ++delivered;
    return true;
  };
  hooks.tick = [&](const CampaignProgress& progress) {
    EXPECT_GE(progress.ops + options.case_ops, progress.cases);
    return ++ticks < 2;
  };
  EXPECT_EQ(RunCases(options, Jobs(2), hooks), CampaignEnd::kEnough);
  EXPECT_GT(delivered, 0u);
}

}  // namespace
}  // namespace proptests
