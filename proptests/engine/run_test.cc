#include "proptests/engine/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/canary.h"
#include "base/fault_site.h"
#include "fake_l4/decision_list.h"
#include "fake_l4/profile.h"
#include "machine/machine.h"
#include "proptests/engine/fault_rates.h"
#include "traces/codec.h"
#include "traces/op.h"

namespace proptests {
namespace {

CampaignOptions Small(uint64_t seed, uint64_t ops) {
  CampaignOptions options;
  options.seed = seed;
  options.ops = ops;
  options.case_ops = 500;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  return options;
}

TEST(RunTest, ACampaignPassesAndIsDeterministic) {
  CampaignResult first = RunCampaign(Small(1, 2000));
  ASSERT_FALSE(first.run.failure) << first.run.failure->text;
  EXPECT_EQ(first.run.cases, 4u);
  EXPECT_EQ(first.run.stats.ops + first.run.stats.skipped, 2000u);
  CampaignResult second = RunCampaign(Small(1, 2000));
  EXPECT_EQ(first.run.hash, second.run.hash);
  EXPECT_EQ(first.run.ledger, second.run.ledger);
  EXPECT_NE(first.run.hash, RunCampaign(Small(2, 2000)).run.hash);
}

// What programs see does not depend on the order in which the server's threads run, nor on where
// clients do; what it costs does.
TEST(RunTest, NeitherScheduleNorProcessorsChangeAnOutcome) {
  const CampaignResult usual = RunCampaign(Small(1, 1000));
  for (const machine::Schedule schedule :
       {machine::Schedule::kRoundRobin, machine::Schedule::kRandom, machine::Schedule::kPct}) {
    for (const uint32_t processors : {1, 3}) {
      CampaignOptions options = Small(1, 1000);
      options.run.machine.schedule = schedule;
      options.run.machine.processors = processors;
      const CampaignResult other = RunCampaign(options);
      ASSERT_FALSE(other.run.failure) << other.run.failure->text;
      EXPECT_EQ(other.run.hash, usual.run.hash);
      const bool same = schedule == machine::Schedule::kRoundRobin && processors == 1;
      EXPECT_EQ(other.run.ledger == usual.run.ledger, same);
      EXPECT_EQ(RunCampaign(options).run.ledger, other.run.ledger);
    }
  }
}

// Hardware without reference bits shows in costs only; where execution cannot be refused, a fetch
// may succeed that elsewhere does not, and model and system agree about it.
TEST(RunTest, ModelAndSystemAgreeOnOtherHardware) {
  const CampaignResult plain = RunCampaign(Small(1, 2000));
  CampaignOptions options = Small(1, 2000);
  options.run.machine.profile = fake_l4::kAmd64NoReference;
  const CampaignResult no_reference = RunCampaign(options);
  ASSERT_FALSE(no_reference.run.failure) << no_reference.run.failure->text;
  EXPECT_EQ(no_reference.run.hash, plain.run.hash);
  fake_l4::Profile& profile = options.run.machine.profile;
  profile = fake_l4::kAmd64Nx;
  profile.separable_rights = fake_l4::kW;
  profile.fault_read = profile.fault_fetch = fake_l4::kR | fake_l4::kX;
  const CampaignResult no_execute_right = RunCampaign(options);
  ASSERT_FALSE(no_execute_right.run.failure) << no_execute_right.run.failure->text;
  EXPECT_NE(no_execute_right.run.hash, plain.run.hash);
}

TEST(RunTest, ACaseIsTheSameAlone) {
  CampaignOptions third = Small(1, 500);
  third.first_case = 2;
  CampaignResult alone = RunCampaign(third);
  Generator generator(CaseOptions(third, 2));
  std::vector<TestOp> ops;
  for (const traces::Op& op : DrawOps(generator, 500)) ops.push_back({op, std::nullopt});
  RunResult again = RunOps(ops, generator.files(), CaseRunOptions(third, 2));
  EXPECT_EQ(alone.run.stats.ops, again.stats.ops);
  EXPECT_EQ(alone.run.ledger, again.ledger);
}

TEST(RunTest, WhatWasExecutedRunsAgainWithAbsoluteOperands) {
  CampaignOptions options = Small(3, 500);
  Generator generator(CaseOptions(options, 0));
  std::vector<TestOp> ops;
  for (const traces::Op& op : DrawOps(generator, 500)) ops.push_back({op, std::nullopt});
  std::vector<TestOp> executed;
  std::vector<traces::Outcome> outcomes;
  RunResult relative =
      RunOps(ops, generator.files(), CaseRunOptions(options, 0), &executed, &outcomes);
  ASSERT_FALSE(relative.failure) << relative.failure->text;
  ASSERT_EQ(executed.size(), relative.stats.ops);
  ASSERT_EQ(outcomes.size(), executed.size());
  RunResult absolute = RunOps(executed, generator.files(), options.run);
  EXPECT_EQ(absolute.hash, relative.hash);
}

TEST(RunTest, AFailureIsShrunkToATraceThatFailsAlone) {
  CampaignOptions options = Small(1, 50000);
  options.run.machine.canary = base::Canary::kInheritanceSwapped;
  CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure);
  Generator generator(CaseOptions(options, result.failing_case));
  ShrinkOutcome shrunk =
      ShrinkRun(OpsOfFailure(options, result), generator.files(),
                CaseRunOptions(options, result.failing_case), *result.run.failure);
  EXPECT_LE(shrunk.shrunk.smallest.ops.size(), 8u);
  EXPECT_TRUE(shrunk.shrunk.minimal);
  FailureReport report{shrunk.shrunk.failure,
                       shrunk.shrunk.smallest.ops,
                       shrunk.outcomes,
                       generator.files(),
                       "seed 1",
                       "./vmsim replay x.trace"};
  // Through the text form and back.
  std::string text = traces::FormatTrace(FailureTrace(report, "x.trace"));
  auto trace = traces::ParseTrace(text, "x.trace");
  ASSERT_TRUE(trace.ok()) << trace.status();
  RunOptions careful = options.run;
  careful.whole_every = 1;
  RunResult again = RunTrace(*trace, careful);
  ASSERT_TRUE(again.failure) << text;
  EXPECT_EQ(again.failure->print, report.failure.print);
  // And without the bug it passes.
  EXPECT_EQ(RunTraceText(text), "pass");
}

uint64_t Row(const RunResult& result, const std::string& name) {
  for (const LedgerRow& row : result.ledger) {
    if (row.name == name) return row.value;
  }
  return 0;
}

TEST(RunTest, InjectedFaultsAreNotNoticedAndAreDeterministic) {
  CampaignOptions options = Small(4, 3000);
  auto rates = ParseFaultRates("all");
  ASSERT_TRUE(rates.ok());
  options.faults = *rates;
  for (uint32_t& one_in : options.faults.one_in) one_in = one_in == 0 ? 0 : 4;
  CampaignResult first = RunCampaign(options);
  ASSERT_FALSE(first.run.failure) << first.run.failure->text;
  EXPECT_GT(Row(first.run, "faults_injected"), 50u);
  CampaignResult second = RunCampaign(options);
  EXPECT_EQ(first.run.hash, second.run.hash);
  EXPECT_EQ(first.run.ledger, second.run.ledger);
}

TEST(RunTest, InjectedFaultsAndOperationsAreDrawnApart) {
  GenOptions without;
  GenOptions one = without, two = without;
  one.faults.one_in[static_cast<size_t>(base::FaultSite::kPagerLate)] = 3;
  two.faults = one.faults;
  two.faults.one_in[static_cast<size_t>(base::FaultSite::kMappingNode)] = 3;
  int drawn = 0;
  for (uint64_t i = 0; i < 300; ++i) {
    EXPECT_EQ(Generator(without).Draw(i), Generator(two).Draw(i));
    EXPECT_TRUE(Generator(without).DrawFaults(i).empty());
    std::vector<traces::Op> late;
    for (const traces::Op& op : Generator(two).DrawFaults(i)) {
      if (op.site == base::FaultSite::kPagerLate) late.push_back(op);
    }
    EXPECT_EQ(late, Generator(one).DrawFaults(i));
    drawn += late.empty() ? 0 : 1;
  }
  EXPECT_GT(drawn, 60);
  EXPECT_LT(drawn, 140);
}

TEST(RunTest, AnInjectedFaultStaysInTheShrunkTrace) {
  CampaignOptions options = Small(1, 50000);
  options.faults.one_in[static_cast<size_t>(base::FaultSite::kPagerNever)] = 20;
  CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure);
  EXPECT_EQ(result.run.failure->print.rule, "EveryOperationEnds");
  EXPECT_NE(result.run.failure->text.find("page fault at 0x"), std::string::npos);
  Generator generator(CaseOptions(options, result.failing_case));
  ShrinkOutcome shrunk =
      ShrinkRun(OpsOfFailure(options, result), generator.files(),
                CaseRunOptions(options, result.failing_case), *result.run.failure);
  EXPECT_TRUE(shrunk.shrunk.minimal);
  // A task, its memory, the injection, the access.
  ASSERT_EQ(shrunk.shrunk.smallest.ops.size(), 4u);
  EXPECT_EQ(traces::FormatOp(shrunk.shrunk.smallest.ops[2].op, {}), "inject pager_never");
  std::vector<TestOp> harmless = shrunk.shrunk.smallest.ops;
  harmless.erase(harmless.begin() + 2);
  EXPECT_FALSE(RunOps(harmless, generator.files(), shrunk.run).failure);
}

// The operations of a long run whose failure has its cause at the end: from `length` on, answers to
// page faults get lost until one is missed. Labels end at kMaxLabel, so later births are skipped.
std::vector<TestOp> LongFailure(const CampaignOptions& options, uint64_t length) {
  constexpr uint64_t kOfACase = 60000;
  std::vector<TestOp> ops;
  for (uint64_t i = 0; i < length + 1000; ++i) {
    if (i >= length) {
      traces::Op lost;
      lost.kind = traces::OpKind::kInject;
      lost.site = base::FaultSite::kPagerNever;
      ops.push_back({lost, std::nullopt});
    }
    const Generator generator(CaseOptions(options, i / kOfACase));
    ops.push_back({generator.Draw(i % kOfACase), std::nullopt});
  }
  return ops;
}

class LongFailureTest : public testing::TestWithParam<uint64_t> {};

TEST_P(LongFailureTest, ShrinksInFewRuns) {
  const uint64_t length = GetParam();
  CampaignOptions options = Small(1, length);
  options.swarm = false;
  const RunOptions run = CaseRunOptions(options, 0);
  const std::vector<std::string> files = Generator(CaseOptions(options, 0)).files();
  std::vector<TestOp> ops = LongFailure(options, length);
  const RunResult result = RunOps(ops, files, run);
  ASSERT_TRUE(result.failure);
  ops.resize(result.failure->op_index + 1);
  ASSERT_GE(ops.size(), length);
  const ShrinkOutcome shrunk = ShrinkRun(ops, files, run, *result.failure);
  std::printf("%llu operations shrunk to %zu in %llu runs\n",
              static_cast<unsigned long long>(ops.size()), shrunk.shrunk.smallest.ops.size(),
              static_cast<unsigned long long>(shrunk.executions));
  EXPECT_LE(shrunk.shrunk.smallest.ops.size(), 5u);  // one may be what the others need
  EXPECT_TRUE(shrunk.shrunk.minimal);
  EXPECT_EQ(shrunk.shrunk.fail_otherwise, 0u);
  EXPECT_LE(shrunk.executions, 500u);
}

INSTANTIATE_TEST_SUITE_P(Lengths, LongFailureTest, testing::Values(10000, 100000));

// What the failure does not need goes, what it needs stays.
TEST(RunTest, TheMachineIsMadePlainWhereThatIsAllTheSame) {
  CampaignOptions options = Small(1, 20000);
  options.run.machine.canary = base::Canary::kInheritanceSwapped;
  options.run.machine.schedule = machine::Schedule::kPct;
  options.run.machine.processors = 3;
  options.run.machine.profile = fake_l4::kAmd64NoReference;
  options.run.machine.quirks = *machine::FindQuirks("pistachio-new-mdb");
  const CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure);
  const Generator generator(CaseOptions(options, result.failing_case));
  const ShrinkOutcome shrunk =
      ShrinkRun(OpsOfFailure(options, result), generator.files(),
                CaseRunOptions(options, result.failing_case), *result.run.failure);
  EXPECT_EQ(shrunk.run.machine.schedule, machine::Schedule::kRoundRobin);
  EXPECT_EQ(shrunk.run.machine.processors, 1u);
  EXPECT_STREQ(shrunk.run.machine.profile.name, fake_l4::kAmd64Nx.name);
  EXPECT_STREQ(shrunk.run.machine.quirks.name, "manual");
  EXPECT_LT(shrunk.run.machine.ram_bytes, options.run.machine.ram_bytes);
  EXPECT_TRUE(RunOps(shrunk.shrunk.smallest.ops, generator.files(), shrunk.run).failure);
}

// What the shrinker says of its result, asked again without it.
TEST(RunTest, LeavingOutAnyOperationOfASmallRunMakesItPass) {
  for (const base::Canary canary :
       {base::Canary::kInheritanceSwapped, base::Canary::kNeedsCopyClearedEarly,
        base::Canary::kAnonReferenceLeaked}) {
    CampaignOptions options = Small(1, 20000);
    options.run.machine.canary = canary;
    const CampaignResult result = RunCampaign(options);
    ASSERT_TRUE(result.run.failure);
    const Generator generator(CaseOptions(options, result.failing_case));
    const ShrinkOutcome shrunk =
        ShrinkRun(OpsOfFailure(options, result), generator.files(),
                  CaseRunOptions(options, result.failing_case), *result.run.failure);
    const std::vector<TestOp>& smallest = shrunk.shrunk.smallest.ops;
    EXPECT_TRUE(shrunk.shrunk.minimal);
    const RunResult whole = RunOps(smallest, generator.files(), shrunk.run);
    ASSERT_TRUE(whole.failure);
    EXPECT_EQ(whole.failure->print, shrunk.shrunk.failure.print);
    uint64_t otherwise = 0;
    for (size_t i = 0; i < smallest.size(); ++i) {
      std::vector<TestOp> less = smallest;
      less.erase(less.begin() + static_cast<ptrdiff_t>(i));
      const RunResult rest = RunOps(less, generator.files(), shrunk.run);
      if (!rest.failure) continue;
      ++otherwise;
      EXPECT_FALSE(rest.failure->print == whole.failure->print) << "without operation " << i;
    }
    EXPECT_EQ(otherwise, shrunk.shrunk.fail_otherwise);
  }
}

// Stands in for a machine whose failure takes one decision of many: the 17th.
RunResult NeedsOneDecision(const std::vector<TestOp>& ops, const std::vector<std::string>&,
                           const RunOptions& options, std::vector<TestOp>* executed,
                           std::vector<traces::Outcome>*) {
  RunResult result;
  if (executed != nullptr) *executed = ops;
  if (options.machine.schedule == machine::Schedule::kRoundRobin || ops.empty()) return result;
  fake_l4::DecisionList list;
  if (options.machine.decisions != nullptr) {
    list = *options.machine.decisions;
  } else {
    for (uint64_t i = 0; i < 40; ++i) list.deviations.push_back({i, 2, 5});
  }
  const bool has = std::any_of(list.deviations.begin(), list.deviations.end(),
                               [](const fake_l4::Decision& d) { return d.number == 17; });
  if (!has) return result;
  result.failure = Failure{{FailureClass::kOutcome, "Needs17"}, "", ops.size() - 1};
  result.decisions = std::make_shared<const fake_l4::DecisionList>(list);
  return result;
}

TEST(RunTest, AScheduleIsMadeSmallToo) {
  RunOptions run;
  run.machine.schedule = machine::Schedule::kRandom;
  std::vector<TestOp> ops(8);
  const RunResult first = NeedsOneDecision(ops, {}, run, nullptr, nullptr);
  const ShrinkOutcome shrunk = ShrinkRun(ops, {}, run, *first.failure, NeedsOneDecision);
  EXPECT_EQ(shrunk.shrunk.smallest.ops.size(), 1u);
  ASSERT_NE(shrunk.run.machine.decisions, nullptr);
  ASSERT_EQ(shrunk.run.machine.decisions->deviations.size(), 1u);
  EXPECT_EQ(shrunk.run.machine.decisions->deviations[0].number, 17u);
}

// A real machine follows the decisions of an earlier run to the same end.
TEST(RunTest, DecisionsAreFollowedInsteadOfDrawn) {
  CampaignOptions options = Small(1, 4000);
  options.run.machine.canary = base::Canary::kInheritanceSwapped;
  options.run.machine.schedule = machine::Schedule::kRandom;
  const CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure);
  RunOptions run = CaseRunOptions(options, result.failing_case);
  const std::vector<TestOp> ops = OpsOfFailure(options, result);
  const std::vector<std::string> files = Generator(CaseOptions(options, 0)).files();
  const RunResult drawn = RunOps(ops, files, run);
  ASSERT_NE(drawn.decisions, nullptr);
  run.machine.seed = 99;
  run.machine.decisions = drawn.decisions;
  const RunResult followed = RunOps(ops, files, run);
  ASSERT_TRUE(followed.failure);
  EXPECT_EQ(followed.failure->print, drawn.failure->print);
  EXPECT_EQ(*followed.decisions, *drawn.decisions);
  EXPECT_EQ(followed.hash, drawn.hash);
}

TEST(RunTest, TextThatIsNoTraceIsRefusedWithAPlace) {
  EXPECT_EQ(RunTraceText("s1 = space\n").substr(0, 7), "text:1:");
}

}  // namespace
}  // namespace proptests
