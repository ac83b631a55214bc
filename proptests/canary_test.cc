// The checker is checked: each deliberate bug of base/canary.h must be caught within a budget,
// shrunk to a handful of operations and blamed on the rule that it breaks; the same campaign
// without it must pass.

#include "base/canary.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.h"
#include "proptests/engine/run.h"
#include "traces/codec.h"

namespace proptests {
namespace {

struct CanaryCase {
  base::Canary canary;
  const char* name;
  // Rules that may be blamed: the law that the bug breaks, or its first consequence.
  std::set<std::string> rules;
};

void PrintTo(const CanaryCase& row, std::ostream* out) { *out << row.name; }

std::vector<CanaryCase> CanaryTable() {
  return {
      {base::Canary::kForkSkipsWriteProtect, "ForkSkipsWriteProtect", {"CopyOnWriteIsReadOnly"}},
      {base::Canary::kSplitLosesAmapReference, "SplitLosesAmapReference", {"ValidAmapRefs"}},
      {base::Canary::kStaleAfterProtect, "StaleAfterProtect", {"RightsWithinProtection"}},
      {base::Canary::kPromoteFromWrongLayer, "PromoteFromWrongLayer", {"ContentsAgree"}},
      {base::Canary::kInheritanceSwapped,
       "InheritanceSwapped",
       {"AttributesAgree", "ContentsAgree"}},
      {base::Canary::kUnmapMissesOneSpace, "UnmapMissesOneSpace", {"TranslationMapsItsPage"}},
      {base::Canary::kNeedsCopyClearedEarly, "NeedsCopyClearedEarly", {"ContentsAgree"}},
      {base::Canary::kAnonReferenceLeaked,
       "AnonReferenceLeaked",
       {"ValidAnonRefs", "NothingLeaks"}},
      {base::Canary::kRefillIgnoresRights,
       "RefillIgnoresRights",
       {"ClientRightsSubset", "SentWithinTable"}},
      {base::Canary::kZeroFillSkipped, "ZeroFillSkipped", {"ContentsAgree"}},
      {base::Canary::kCleanKeepsWritable, "CleanKeepsWritable", {"CleanPagesAreReadOnly"}},
      {base::Canary::kUpdateForgets, "UpdateForgets", {"ClientRightsSubset"}},
      {base::Canary::kPromotionKeepsSharers,
       "PromotionKeepsSharers",
       {"TranslationMapsItsPage", "ContentsAgree"}},
      {base::Canary::kWritesBehindStamps, "WritesBehindStamps", {"ContentsAgree"}},
      {base::Canary::kPageoutForgetsDirty,
       "PageoutForgetsDirty",
       {"NoCheckFails(slot != kNoSlot && slot != kBadSlot)", "ContentsAgree",
        "CleanPagesAreOnSwap"}},
      {base::Canary::kSlotFreedTwice, "SlotFreedTwice", {"NoCheckFails(!IsFree(slot))"}},
      {base::Canary::kSwapReadsWrongSlot, "SwapReadsWrongSlot", {"ContentsAgree"}},
      {base::Canary::kWaiterNotWoken, "WaiterNotWoken", {"EveryOperationEnds"}},
      {base::Canary::kFreedFrameIsLost, "FreedFrameIsLost", {"ValidFreeFrames"}},
  };
}

constexpr uint64_t kSeed = 2002;
constexpr uint64_t kBudgetOps = 400000;
// Most come down to three or four. A call whose range must have no hole keeps the mappings that
// fill it.
constexpr size_t kMostShrunkOps = 12;
// What makes memory scarce has to stay.
constexpr size_t kMostScarceOps = 100;

bool NeedsScarceMemory(base::Canary canary) {
  return canary >= base::Canary::kPageoutForgetsDirty && canary <= base::Canary::kWaiterNotWoken;
}

CampaignOptions Campaign(base::Canary canary) {
  CampaignOptions options;
  options.seed = kSeed;
  options.ops = kBudgetOps;
  options.case_ops = 4000;
  options.tasks = 6;
  options.pages = 24;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  options.run.machine.canary = canary;
  options.run.whole_every = 32;
  if (NeedsScarceMemory(canary)) {
    options.tasks = 8;
    options.pages = 128;
    options.run.machine.ram_bytes = uint64_t{96} * base::kPageSize;
    options.run.machine.swap = {{.pages = 2048, .transfer_us = 20}, {.pages = 256}};
    options.run.memory_may_run_out = true;
  }
  return options;
}

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The rule that a failure names. In checked builds the pmap looks at itself whenever its lock is
// released, and what it says names the rule that is broken and where.
std::string NamedRule(std::string_view rule) {
  constexpr std::string_view kPmap = "NoCheckFails(pmap lock released: ";
  if (!rule.starts_with(kPmap)) return std::string(rule);
  rule.remove_prefix(kPmap.size());
  return std::string(rule.substr(0, rule.find(':')));
}

class CanaryTest : public testing::TestWithParam<CanaryCase> {};

TEST_P(CanaryTest, IsCaughtShrunkAndBlamed) {
  CampaignOptions options = Campaign(GetParam().canary);
  auto start = std::chrono::steady_clock::now();
  CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure) << "not caught within " << kBudgetOps << " operations";
  double caught = SecondsSince(start);
  Generator generator(CaseOptions(options, result.failing_case));
  start = std::chrono::steady_clock::now();
  ShrinkOutcome shrunk =
      ShrinkRun(OpsOfFailure(options, result), generator.files(),
                CaseRunOptions(options, result.failing_case), *result.run.failure);
  double small = SecondsSince(start);
  const Shrunk& s = shrunk.shrunk;
  std::printf(
      "%-26s caught after %6llu operations (%.2f s), shrunk to %zu in %4llu runs (%.2f s), blamed "
      "on %s\n",
      GetParam().name, static_cast<unsigned long long>(result.run.stats.ops), caught,
      s.smallest.ops.size(), static_cast<unsigned long long>(shrunk.executions), small,
      s.failure.print.rule.c_str());
  FailureReport report{s.failure,         s.smallest.ops,  shrunk.outcomes,
                       generator.files(), GetParam().name, "-"};
  traces::Trace trace = FailureTrace(report, "canary.trace");
  std::string text = traces::FormatTrace(trace);
  const bool scarce = NeedsScarceMemory(GetParam().canary);
  EXPECT_LE(s.smallest.ops.size(), scarce ? kMostScarceOps : kMostShrunkOps) << text;
  EXPECT_TRUE(s.minimal || scarce) << text;
  EXPECT_EQ(GetParam().rules.count(NamedRule(s.failure.print.rule)), 1u) << text;
  // The small trace shows the bug alone, and only the bug.
  RunOptions careful = shrunk.run;
  careful.max_live_tasks = 0;
  careful.whole_every = 1;
  RunResult armed = RunTrace(trace, careful);
  EXPECT_TRUE(armed.failure && armed.failure->print == s.failure.print) << text;
  careful.machine.canary = base::Canary::kNone;
  RunResult unarmed = RunTrace(trace, careful);
  EXPECT_FALSE(unarmed.failure) << text << unarmed.failure->text;
}

INSTANTIATE_TEST_SUITE_P(All, CanaryTest, testing::ValuesIn(CanaryTable()),
                         [](const testing::TestParamInfo<CanaryCase>& info) {
                           return std::string(info.param.name);
                         });

TEST(CanaryControlTest, TheSameCampaignPassesWithoutABug) {
  CampaignResult result = RunCampaign(Campaign(base::Canary::kNone));
  EXPECT_FALSE(result.run.failure)
      << FingerprintText(result.run.failure->print) << ": " << result.run.failure->text;
}

TEST(CanaryControlTest, ScarceMemoryPassesWithoutABug) {
  CampaignOptions options = Campaign(base::Canary::kWaiterNotWoken);
  options.run.machine.canary = base::Canary::kNone;
  options.ops /= 8;
  CampaignResult result = RunCampaign(options);
  EXPECT_FALSE(result.run.failure)
      << FingerprintText(result.run.failure->print) << ": " << result.run.failure->text;
  uint64_t pagein = 0;
  for (const LedgerRow& row : result.run.ledger) {
    if (std::string_view(row.name) == "pagein") pagein = row.value;
  }
  EXPECT_GT(pagein, 500u);
}

TEST(CanaryControlTest, OneClientAtATimeDoesNotShowAMissingLock) {
#ifdef UVM_VERIFY
  GTEST_SKIP() << "checked builds assert that the lock is held";
#endif
  CampaignOptions options = Campaign(base::Canary::kFaultSkipsAmapLock);
  options.ops /= 4;
  EXPECT_FALSE(RunCampaign(options).run.failure);
}

TEST(CanaryControlTest, EveryCanaryHasItsRow) {
  std::set<base::Canary> rows;
  for (const CanaryCase& row : CanaryTable()) rows.insert(row.canary);
  // Campaigns have no kernel short of mapping memory (//pmap_sim:shortage_test), and UVM removes a
  // translation before it enters another frame (//pmap_sim:l4_pmap_test).
  rows.insert(base::Canary::kShortageDropsWired);
  rows.insert(base::Canary::kReenterKeepsOldFrame);
  // One client runs at a time in a campaign (//proptests/engine:explore_test).
  rows.insert(base::Canary::kFaultSkipsAmapLock);
  rows.insert(base::Canary::kDaemonSkipsOwnerLock);
  // Those that end or stop the process, or show only when a case runs twice or must converge, are
  // for //proptests/engine's workers_test, guarded_run_test, hash_chain_test and liveness_test.
  rows.insert(base::Canary::kObserverTakesTime);
  rows.insert(base::Canary::kCrashesTheProcess);
  rows.insert(base::Canary::kHangsTheProcess);
  rows.insert(base::Canary::kLosesWakeUp);
  for (int i = 1; i < base::kCanaryCount; ++i) {
    EXPECT_EQ(rows.count(static_cast<base::Canary>(i)), 1u)
        << "canary number " << i << " is in no row of CanaryTable";
  }
}

}  // namespace
}  // namespace proptests
