#include "proptests/engine/guarded_run.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/canary.h"
#include "traces/codec.h"

namespace proptests {
namespace {

RunOptions Machine(base::Canary canary) {
  RunOptions options;
  options.machine.ram_bytes = uint64_t{16} << 20;
  options.machine.canary = canary;
  return options;
}

traces::Trace Parse(const std::string& text) {
  auto trace = traces::ParseTrace(text, "text");
  EXPECT_TRUE(trace.ok()) << trace.status();
  return *trace;
}

constexpr const char* kGrows =
    "# grows.trace: a mapping grows\n"
    "s1 = space\n"
    "s1.mmap 0x1000 0x1000 rw- private,fixed\n"
    "s1.write 0x1000 1 'A'\n"
    "s1.munmap 0x8000 0x1000\n"
    "s1.mremap 0x1000 0x1000 0x0 0x2000 none\n"
    "s1.read 0x1000 1\n";

TEST(GuardedRunTest, ATraceComesOutAsInThisProcess) {
  const traces::Trace trace = Parse(kGrows);
  const RunOptions options = Machine(base::Canary::kNone);
  const RunResult there = RunTraceGuarded(trace, options, nullptr, {});
  const RunResult here = RunTrace(trace, options);
  EXPECT_FALSE(there.failure);
  EXPECT_EQ(there.hash, here.hash);
  EXPECT_EQ(there.ledger, here.ledger);
  EXPECT_EQ(there.stats.ops, 6u);
}

TEST(GuardedRunTest, ACrashIsAResultAndShrinks) {
  const traces::Trace trace = Parse(kGrows);
  const RunOptions options = Machine(base::Canary::kCrashesTheProcess);
  const RunResult result = RunTraceGuarded(trace, options, nullptr, {});
  ASSERT_TRUE(result.failure);
  EXPECT_EQ(result.failure->print.cls, FailureClass::kCrash);
  EXPECT_EQ(result.failure->op_index, 4u);
  const ShrinkOutcome shrunk =
      ShrinkGuarded(OpsOfTrace(trace), trace.files, options, *result.failure, {});
  EXPECT_EQ(shrunk.shrunk.failure.print, result.failure->print);
  EXPECT_TRUE(shrunk.shrunk.minimal);
  ASSERT_EQ(shrunk.shrunk.smallest.ops.size(), 3u);
  EXPECT_EQ(shrunk.shrunk.smallest.ops[2].op.kind, traces::OpKind::kMremap);
  EXPECT_EQ(RunLikeFailure(shrunk.shrunk.smallest.ops, trace.files, options, *result.failure, {})
                .failure->print,
            result.failure->print);
}

TEST(GuardedRunTest, AHangIsAResultAndShrinks) {
  const traces::Trace trace = Parse(
      "# hangs.trace: a call that never comes back\n"
      "s1 = space\ns1.munmap 0x8000 0x1000\ns1.mlockall current\n");
  const RunOptions options = Machine(base::Canary::kHangsTheProcess);
  const IsolationLimits limits = {.seconds = 0.5};
  const RunResult result = RunTraceGuarded(trace, options, nullptr, limits);
  ASSERT_TRUE(result.failure);
  EXPECT_EQ(result.failure->print.cls, FailureClass::kTimeout);
  const ShrinkOutcome shrunk =
      ShrinkGuarded(OpsOfTrace(trace), trace.files, options, *result.failure, limits);
  EXPECT_EQ(shrunk.shrunk.smallest.ops.size(), 2u);
}

// Through the child's words and back: the same as in this process.
TEST(GuardedRunTest, ShrinkingInAChildFindsWhatShrinkingHereFinds) {
  CampaignOptions options;
  options.run = Machine(base::Canary::kInheritanceSwapped);
  options.case_ops = 2000;
  options.ops = 50000;
  const CampaignResult result = RunCampaign(options);
  ASSERT_TRUE(result.run.failure);
  const Generator generator(CaseOptions(options, result.failing_case));
  const std::vector<TestOp> ops = OpsOfFailure(options, result);
  const RunOptions run = CaseRunOptions(options, result.failing_case);
  const ShrinkOutcome here = ShrinkRun(ops, generator.files(), run, *result.run.failure);
  const ShrinkOutcome there = ShrinkGuarded(ops, generator.files(), run, *result.run.failure, {});
  ASSERT_EQ(there.shrunk.smallest.ops.size(), here.shrunk.smallest.ops.size());
  for (size_t i = 0; i < here.shrunk.smallest.ops.size(); ++i) {
    EXPECT_EQ(there.shrunk.smallest.ops[i].op, here.shrunk.smallest.ops[i].op);
  }
  EXPECT_EQ(there.outcomes, here.outcomes);
  EXPECT_EQ(there.executions, here.executions);
  EXPECT_EQ(there.shrunk.minimal, here.shrunk.minimal);
  EXPECT_EQ(there.shrunk.failure.text, here.shrunk.failure.text);
  EXPECT_EQ(there.run.whole_every, here.run.whole_every);
  EXPECT_EQ(there.run.machine.ram_bytes, here.run.machine.ram_bytes);
}

}  // namespace
}  // namespace proptests
