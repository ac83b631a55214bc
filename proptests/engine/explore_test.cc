#include "proptests/engine/explore.h"

#include <cstdint>
#include <memory>
#include <string>

#include "base/canary.h"
#include "gtest/gtest.h"
#include "traces/codec.h"

namespace proptests {
namespace {

ExploreOptions Small(ScheduleKind kind) {
  ExploreOptions options;
  options.kind = kind;
  options.schedules = 600;
  options.run.machine.ram_bytes = uint64_t{4} << 20;
  return options;
}

ConcurrentProgram Program(const std::string& text) {
  auto trace = traces::ParseTrace("# program: by hand\n\n" + text, "program");
  EXPECT_TRUE(trace.ok()) << trace.status();
  auto read = ProgramOfTrace(*trace);
  EXPECT_TRUE(read.ok()) << read.status();
  return read->program;
}

class ExploreKindsTest : public ::testing::TestWithParam<ScheduleKind> {};

TEST_P(ExploreKindsTest, DrawnProgramsAgreeAndRunsRepeat) {
  const ExploreOptions options = Small(GetParam());
  const ExploreResult result = Explore(options);
  ASSERT_FALSE(result.failed) << result.failed->failure->text << "\n"
                              << HistoryText(result.failed->history);
  EXPECT_EQ(result.schedules, options.schedules);
  EXPECT_GT(result.distinct, result.schedules / 2);
  EXPECT_EQ(Explore(options).hash, result.hash);
}

INSTANTIATE_TEST_SUITE_P(All, ExploreKindsTest,
                         ::testing::Values(ScheduleKind::kRandom, ScheduleKind::kPct,
                                           ScheduleKind::kUniform, ScheduleKind::kDepthFirst));

TEST(ExploreTest, DepthFirstEnds) {
  ExploreOptions options = Small(ScheduleKind::kDepthFirst);
  options.depth = 1;
  options.schedules = 100000;
  options.program = Program(
      "s1 = space\n"
      "s1.mmap 0x10000 0x1000 rw- shared,fixed\n"
      "s2 = s1.fork\n"
      "# thread\n"
      "s1.write 0x10000 8 'a'\n"
      "# thread\n"
      "s2.read 0x10000 8\n");
  const ExploreResult result = Explore(options);
  ASSERT_FALSE(result.failed) << result.failed->failure->text;
  EXPECT_EQ(result.complete, 1u);
  EXPECT_EQ(result.distinct, result.schedules) << "each schedule once";
  EXPECT_GT(result.schedules, 2u);
}

// A bug that only concurrency shows: found, made small, and shown again by its schedule alone.
TEST(ExploreTest, AFaultThatForgetsALockIsFoundAndMadeSmall) {
  ExploreOptions options = Small(ScheduleKind::kPct);
  options.schedules = 20000;
  options.run.machine.canary = base::Canary::kFaultSkipsAmapLock;
  const ExploreResult found = Explore(options);
  ASSERT_TRUE(found.failed);
  const SmallExploration small = ShrinkExploration(options, found);
  EXPECT_EQ(small.result.failure->print, found.failed->failure->print);
  EXPECT_LE(small.program.size(), 9u);
  EXPECT_LE(small.result.decisions.deviations.size(), 6u);
  ExploreOptions replay = options;
  replay.program = small.program;
  replay.schedule = small.result.decisions;
  const ExploreResult again = Explore(replay);
  ASSERT_TRUE(again.failed);
  EXPECT_EQ(again.failed->failure->print, small.result.failure->print);
  EXPECT_EQ(again.failed->decisions, small.result.decisions);
  replay.run.machine.canary = base::Canary::kNone;
  replay.schedule.reset();
  EXPECT_FALSE(Explore(replay).failed);
}

}  // namespace
}  // namespace proptests
