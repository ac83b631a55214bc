#include "proptests/engine/session.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "base/canary.h"
#include "proptests/engine/run.h"
#include "traces/codec.h"

namespace proptests {
namespace {

traces::Trace Parse(const std::string& lines) {
  auto trace = traces::ParseTrace("# test.trace: a story\n" + lines, "test.trace");
  if (!trace.ok()) ADD_FAILURE() << trace.status();
  return trace.ok() ? *trace : traces::Trace();
}

RunOptions Careful() {
  RunOptions options;
  options.whole_every = 1;
  options.machine.ram_bytes = uint64_t{16} << 20;
  return options;
}

constexpr const char* kCowStory =
    "s1 = space\n"
    "s1.mmap 0x10000 0x4000 rw- private,fixed -> 0x10000\n"
    "s1.write 0x11000 1 'B' -> ok\n"
    "s2 = s1.fork\n"
    "s2.write 0x11000 1 'x' -> ok\n"
    "s1.read 0x11000 1 -> 'B'\n"
    "s2.read 0x11000 1 -> 'x'\n"
    "s1.munmap 0x10000 0x1000 -> ok\n"
    "s1.read 0x10000 1 -> SEGV_MAPERR 0x10000\n";

TEST(SessionTest, AStoryAgreesInAllLanes) {
  RunResult result = RunTrace(Parse(kCowStory), Careful());
  EXPECT_FALSE(result.failure) << result.failure->text;
  EXPECT_EQ(result.stats.ops, 9u);
  EXPECT_EQ(result.stats.trace_outcomes, 7u);
  EXPECT_EQ(result.stats.uvm_outcomes, 9u);
  EXPECT_GT(result.stats.bytes, 0u);
}

TEST(SessionTest, TheHashDependsNeitherOnLanesNorOnChecks) {
  traces::Trace trace = Parse(kCowStory);
  uint64_t hash = RunTrace(trace, Careful()).hash;
  RunOptions seldom = Careful();
  seldom.whole_every = 0;
  EXPECT_EQ(RunTrace(trace, seldom).hash, hash);
  RunOptions model_only = Careful();
  model_only.lanes = {Lane::kModel};
  EXPECT_EQ(RunTrace(trace, model_only).hash, hash);
  RunOptions other_machine = Careful();
  other_machine.machine.ram_bytes *= 2;
  EXPECT_EQ(RunTrace(trace, other_machine).hash, hash);
}

TEST(SessionTest, TheHashDependsOnEveryOutcome) {
  traces::Trace trace = Parse(kCowStory);
  uint64_t hash = RunTrace(trace, Careful()).hash;
  trace.lines[4].op.value = 'y';
  trace.lines[6].expected.reset();
  EXPECT_NE(RunTrace(trace, Careful()).hash, hash);
}

TEST(SessionTest, ATraceThatExpectsTheWrongThingFailsInItsOwnName) {
  traces::Trace trace = Parse(
      "s1 = space\n"
      "s1.munmap 0x1001 0x1000 -> EINVAL\n");
  RunResult result = RunTrace(trace, Careful());
  ASSERT_TRUE(result.failure);
  EXPECT_EQ(FingerprintText(result.failure->print), "outcome: TraceAgrees(munmap)");
  EXPECT_EQ(result.failure->op_index, 1u);
}

TEST(SessionTest, OperationsThatNameNothingAreSkippedOnBothSides) {
  traces::Trace trace = Parse(
      "s1 = space\n"
      "s7.munmap 0x1000 0x1000\n"
      "s1.exit\n"
      "s1.munmap 0x1000 0x1000\n");
  RunResult result = RunTrace(trace, Careful());
  EXPECT_FALSE(result.failure) << result.failure->text;
  EXPECT_EQ(result.stats.ops, 2u);
  EXPECT_EQ(result.stats.skipped, 2u);
}

TEST(SessionTest, ATraceMaySayThatAnOperationNamesNothing) {
  EXPECT_FALSE(RunTrace(Parse("s1 = space\ns7.munmap 0x1000 0x1000 -> none\n"), Careful()).failure);
  RunResult result = RunTrace(Parse("s1 = space\ns7.munmap 0x1000 0x1000 -> ok\n"), Careful());
  ASSERT_TRUE(result.failure);
  EXPECT_EQ(FingerprintText(result.failure->print), "outcome: TraceNames(munmap)");
}

// The model follows what the system has done already.
TEST(SessionTest, AnOutcomeThatIsNotRightIsNotObserved) {
  const traces::Trace trace = Parse(kCowStory);
  RunOptions options = Careful();
  options.lanes = {Lane::kModel};
  Session session(options, &trace.files);
  for (size_t i = 0; i < 3; ++i) ASSERT_TRUE(session.Step(trace.lines[i].op));
  const uint64_t hash = session.hash();
  traces::ResolvedOp read;
  ASSERT_TRUE(session.world().Resolve(trace.lines[5].op, trace.files, &read));
  traces::Outcome seen = *trace.lines[5].expected;
  seen.value = 'x';
  std::string why;
  EXPECT_FALSE(session.TryObserve(read, seen, &why));
  EXPECT_NE(why, "");
  // Nothing was done, and it is no failure: the right one is observed as if nobody had asked.
  EXPECT_FALSE(session.failure());
  EXPECT_EQ(session.hash(), hash);
  EXPECT_EQ(session.stats().ops, 3u);
  seen.value = 'B';
  EXPECT_TRUE(session.TryObserve(read, seen, &why));
  EXPECT_NE(session.hash(), hash);
  EXPECT_EQ(session.stats().ops, 4u);
  EXPECT_EQ(session.last_outcome(), seen);
  // Who has nobody else to ask fails.
  seen.value = 'x';
  EXPECT_FALSE(session.Observe(read, seen));
  ASSERT_TRUE(session.failure());
  EXPECT_EQ(FingerprintText(session.failure()->print), "outcome: OutcomesAgree(read)");
}

TEST(SessionTest, WhatIsObservedIsFollowed) {
  const traces::Trace trace = Parse(kCowStory);
  RunOptions options = Careful();
  options.lanes = {Lane::kModel};
  Session session(options, &trace.files);
  for (size_t i = 0; i < 2; ++i) ASSERT_TRUE(session.Step(trace.lines[i].op));
  std::string why;
  traces::ResolvedOp write;
  ASSERT_TRUE(session.world().Resolve(trace.lines[2].op, trace.files, &write));
  ASSERT_TRUE(session.TryObserve(write, *trace.lines[2].expected, &why)) << why;
  ASSERT_TRUE(session.Step(trace.lines[5].op));
  EXPECT_EQ(session.last_outcome(), *trace.lines[5].expected);
}

TEST(SessionTest, LimitsSkipBirthsAndTheLastDeath) {
  RunOptions options = Careful();
  options.max_live_tasks = 2;
  traces::Trace trace = Parse(
      "s1 = space\n"
      "s2 = s1.fork\n"
      "s3 = s1.fork\n"
      "s1.exit\n"
      "s2.exit\n");
  RunResult result = RunTrace(trace, options);
  EXPECT_FALSE(result.failure) << result.failure->text;
  EXPECT_EQ(result.stats.skipped, 2u);
}

TEST(SessionTest, ABugIsMetAndNamed) {
  RunOptions options = Careful();
  options.machine.canary = base::Canary::kInheritanceSwapped;
  RunResult result = RunTrace(Parse(kCowStory), options);
  ASSERT_TRUE(result.failure);
  EXPECT_LE(result.failure->op_index, 6u);
}

TEST(SessionTest, AMachineTooSmallMayRunOutOfMemory) {
  RunOptions options = Careful();
  options.machine.ram_bytes = uint64_t{4} << 20;
  options.memory_may_run_out = true;
  std::string lines = "s1 = space\ns1.mmap 0x100000 0x800000 rw- private,fixed -> 0x100000\n";
  for (int i = 0; i < 20; ++i) {
    char line[64];
    std::snprintf(line, sizeof line, "s1.write 0x%x 0x80000 'A'\n",
                  0x100000 + i * 0x80000 % 0x800000);
    lines += line;
  }
  RunResult result = RunTrace(Parse(lines), options);
  EXPECT_FALSE(result.failure) << result.failure->text;
  EXPECT_LT(result.stats.ok, result.stats.ops);
}

}  // namespace
}  // namespace proptests
