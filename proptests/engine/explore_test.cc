#include "proptests/engine/explore.h"

#include <cstdint>
#include <memory>
#include <string>

#include "base/canary.h"
#include "fake_l4/rewind_area.h"
#include "gtest/gtest.h"
#include "traces/codec.h"

namespace proptests {
namespace {

// Where a machine has to be booted for each schedule there are fewer.
uint64_t Schedules(uint64_t count) {
  return fake_l4::RewindArea::IsAvailable() ? count : count / 20;
}

ExploreOptions Small(ScheduleKind kind) {
  ExploreOptions options;
  options.kind = kind;
  options.schedules = Schedules(600);
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

// What went wrong, or "".
std::string FailureOf(const ExploreResult& result) {
  if (!result.failed) return "";
  return result.failed->failure->text + "\n" + HistoryText(result.failed->history);
}

// What goes wrong with a program by hand, under so many schedules.
std::string Explored(ScheduleKind kind, uint64_t schedules, const std::string& text) {
  ExploreOptions options = Small(kind);
  options.schedules = Schedules(schedules);
  options.program = Program(text);
  return FailureOf(Explore(options));
}

class ExploreKindsTest : public ::testing::TestWithParam<ScheduleKind> {};

TEST_P(ExploreKindsTest, DrawnProgramsAgreeAndRunsRepeat) {
  const ExploreOptions options = Small(GetParam());
  const ExploreResult result = Explore(options);
  ASSERT_EQ(FailureOf(result), "");
  EXPECT_EQ(result.schedules, options.schedules);
  EXPECT_GT(result.distinct, result.schedules / 2);
  EXPECT_EQ(Explore(options).hash, result.hash);
}

INSTANTIATE_TEST_SUITE_P(All, ExploreKindsTest,
                         ::testing::Values(ScheduleKind::kRandom, ScheduleKind::kPct,
                                           ScheduleKind::kUniform, ScheduleKind::kDepthFirst));

// The same where several are threads of one task.
TEST_P(ExploreKindsTest, DrawnThreadsOfOneTaskAgree) {
  ExploreOptions options = Small(GetParam());
  options.draw.threads = 4;
  options.draw.threads_per_task = 3;
  const ExploreResult result = Explore(options);
  ASSERT_EQ(FailureOf(result), "");
  EXPECT_EQ(result.schedules, options.schedules);
  EXPECT_EQ(Explore(options).hash, result.hash);
}

TEST(ExploreTest, OneThreadUnmapsWhatItsSiblingsUse) {
  EXPECT_EQ(Explored(ScheduleKind::kRandom, 2000,
                     "s1 = space\n"
                     "s1.mmap 0x10000 0x2000 rw- private,fixed\n"
                     "s1.thread_create\n"
                     "s1.thread_create\n"
                     "# thread\n"
                     "s1.munmap 0x10000 0x1000\n"
                     "s1.mmap 0x10000 0x1000 rw- private,fixed\n"
                     "# thread\n"
                     "s1/1.write 0x10000 8 0x1\n"
                     "s1/1.read 0x10000 8\n"
                     "# thread\n"
                     "s1/2.write 0x10000 8 0x2\n"
                     "s1/2.mprotect 0x10000 0x1000 r--\n"
                     "s1/2.write 0x10000 8 0x3\n"
                     "s1/2.read 0x11000 8\n"),
            "");
}

TEST(ExploreTest, TheTaskExitsWhileItsThreadsWriteWhatAnotherReads) {
  EXPECT_EQ(Explored(ScheduleKind::kPct, 2000,
                     "s1 = space\n"
                     "s1.mmap 0x10000 0x1000 rw- shared,fixed\n"
                     "s2 = s1.fork\n"
                     "s1.thread_create\n"
                     "s1.thread_create\n"
                     "# thread\n"
                     "s1/1.write 0x10000 8 0x1\n"
                     "s1/1.munmap 0x10000 0x1000\n"
                     "# thread\n"
                     "s1.write 0x10008 8 0x2\n"
                     "s1.exit\n"
                     "# thread\n"
                     "s1/2.write 0x10008 8 0x3\n"
                     "s1/2.thread_end 1\n"
                     "# thread\n"
                     "s2.read 0x10000 8\n"
                     "s2.read 0x10008 8\n"
                     "s2.read 0x10000 8\n"),
            "");
}

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

// Found by exploring: between giving the child the anons and copying their pages a fork let go of
// the layer's lock; s1's fault gave the sharers a copy, and s3 went on writing to what the child
// got (traces/corpus/a_write_while_sharers_lock_and_one_forks.trace).
TEST(ExploreTest, AWriteWhileSharersLockAndOneForksIsNotLost) {
  EXPECT_EQ(Explored(ScheduleKind::kRandom, 3000,
                     "s1 = space\n"
                     "s1.mmap 0x10000 0x3000 rw- private,fixed\n"
                     "s1.minherit 0x10000 0x3000 share\n"
                     "s2 = s1.fork\n"
                     "s3 = s1.fork\n"
                     "s2.minherit 0x10000 0x3000 copy\n"
                     "# thread\n"
                     "s1.mlock 0x11000 0x1000\n"
                     "# thread\n"
                     "s5 = s2.fork\n"
                     "# thread\n"
                     "s3.mlock 0x11000 0x1000\n"
                     "s3.write 0x11000 8 0xa\n"),
            "");
}

// Found by exploring: while the pager wrote the wired page, with the object unlocked, s2 unwired
// it; then it was freed as if nobody could have written to it meanwhile.
TEST(ExploreTest, AWriteToAPageThatIsUnwiredWhileItIsCleanedIsNotLost) {
  EXPECT_EQ(Explored(ScheduleKind::kUniform, 3000,
                     "s1 = space\n"
                     "s1.mmap 0x10000 0x1000 rw- shared,fixed file f 0x0\n"
                     "s2 = s1.fork\n"
                     "s3 = s1.fork\n"
                     "s2.mlock 0x10000 0x1000\n"
                     "s1.write 0x10000 8 0x3\n"
                     "# thread\n"
                     "s1.write 0x10000 8 0x4\n"
                     "# thread\n"
                     "s2.munmap 0x10000 0x1000\n"
                     "# thread\n"
                     "s3.madvise 0x10000 0x1000 free\n"),
            "");
}

// A task's memory changes while it is at work: its maker's calls are done by its own worker.
TEST(ExploreTest, AMakersCallsMeetTheTaskAtWork) {
  ExploreOptions options = Small(ScheduleKind::kPct);
  options.schedules = Schedules(2000);
  options.program = Program(
      "s1 = task\n"
      "s2 = s1.task_create 1\n"
      "s1.vm_allocate 0x10000 0x2000 fixed of s2\n"
      "# thread\n"
      "s1.vm_protect 0x10000 0x1000 current r-- of s2\n"
      "s1.vm_deallocate 0x10000 0x2000 of s2\n"
      "s1.vm_allocate 0x10000 0x1000 fixed of s2\n"
      "# thread\n"
      "s2.write 0x10000 8 0x1\n"
      "s2.write 0x11000 8 0x2\n"
      "s2.read 0x10000 8\n"
      "s2.write 0x10000 8 0x3\n"
      "s2.read 0x11000 8\n");
  const ExploreResult result = Explore(options);
  ASSERT_EQ(FailureOf(result), "");
  EXPECT_GT(result.distinct, options.schedules / 4);
}

// Whether s2's page was wired before it went away nobody can see but in the map: any order that
// ends in the state that is there is right.
TEST(ExploreTest, WhatNobodySawMayHaveBeenInAnyOrder) {
  EXPECT_EQ(Explored(ScheduleKind::kRandom, 1000,
                     "s1 = task\n"
                     "s1.vm_allocate 0x10000 0x3000 fixed\n"
                     "s2 = s1.task_create 1\n"
                     "# thread\n"
                     "s1.vm_wire 0x10000 0x1000 r-- priv of s2\n"
                     "# thread\n"
                     "s2.vm_deallocate 0x10000 0x3000\n"
                     "s2.vm_allocate 0x10000 0x3000 fixed\n"),
            "");
}

// A bug that only concurrency shows: found, made small, and shown again by its schedule alone.
// Programs that touch more pages than there are frames: the page daemon takes part in every
// schedule.
ExploreOptions Pressed(base::Canary canary) {
  ExploreOptions options = Small(ScheduleKind::kPct);
  options.schedules = Schedules(400);
  options.run.machine.ram_bytes = kPressureFrames << base::kPageShift;
  options.run.machine.swap = {{.pages = 256}, {.pages = 256}};
  options.draw.swap_devices = 2;
  options.run.memory_may_run_out = true;  // while swapping goes off
  options.run.machine.canary = canary;
  options.draw.hog_pages = static_cast<uint32_t>(kPressureFrames);
  return options;
}

TEST(ExploreTest, AgainstThePageDaemonNobodyIsStuckAndNothingIsLost) {
  EXPECT_EQ(FailureOf(Explore(Pressed(base::Canary::kNone))), "");
}

// A reader whose time is up meets its device, which is done, and a third who holds the store: an
// Unpark that came late was once taken for the store's lock.
TEST(ExploreTest, AReaderWhoseDeviceIsDoneTooLateTakesNoLockForIt) {
  if (!fake_l4::RewindArea::IsAvailable()) GTEST_SKIP() << "takes a thousand of runs";
  ExploreOptions options = Pressed(base::Canary::kNone);
  options.kind = ScheduleKind::kUniform;
  options.schedules = 1200;
  options.run.machine.swap = {{.pages = 64, .transfer_us = 50}};
  options.draw.swap_devices = 1;
  EXPECT_EQ(FailureOf(Explore(options)), "");
}

// A victim that a thread keeps busy, who runs only when nobody else wants to: the daemon sleeps
// before it tries again, and does not tell who waits to ask again at once.
TEST(ExploreTest, WhoWaitsForFramesLeavesTheProcessorToThePagesHolder) {
  if (!fake_l4::RewindArea::IsAvailable()) GTEST_SKIP() << "takes hundreds of runs";
  ExploreOptions options = Pressed(base::Canary::kNone);
  options.draw.seed = 3;
  options.schedules = 1500;
  options.run.machine.swap = {{.pages = 16}};
  options.draw.swap_devices = 1;
  EXPECT_EQ(FailureOf(Explore(options)), "");
}

// What never ends is a failure with a class and a schedule, not a machine that grows.
TEST(ExploreTest, AScheduleThatGoesOnForTooLongIsStuck) {
  ExploreOptions options = Small(ScheduleKind::kRandom);
  options.schedules = 1;
  options.run.machine.max_switches_per_op = 300;
  options.program = Program(
      "s1 = space\n"
      "s1.mmap 0x1000000 0x80000 rw- private,fixed\n"
      "# thread\n"
      "s1.write 0x1000000 524288 'h'\n");
  const ExploreResult result = Explore(options);
  ASSERT_TRUE(result.failed);
  EXPECT_EQ(result.failed->failure->print.rule, "EveryOperationEnds");
  EXPECT_NE(result.failed->failure->text.find("livelock"), std::string::npos);
}

TEST(ExploreTest, WhoWaitsForFramesAndIsNotWokenIsFound) {
  if (!fake_l4::RewindArea::IsAvailable()) GTEST_SKIP() << "takes hundreds of runs";
  const ExploreResult result = Explore(Pressed(base::Canary::kWaiterNotWoken));
  ASSERT_TRUE(result.failed);
  EXPECT_EQ(result.failed->failure->print.rule, "EveryOperationEnds");
}

// One task is enough to find it.
TEST(ExploreTest, AFaultThatForgetsALockIsFoundByThreadsOfOneTask) {
  if (!fake_l4::RewindArea::IsAvailable()) GTEST_SKIP() << "takes tens of thousands of runs";
  ExploreOptions options = Small(ScheduleKind::kPct);
  options.schedules = 20000;
  options.draw.threads_per_task = 3;
  options.run.machine.canary = base::Canary::kFaultSkipsAmapLock;
  EXPECT_TRUE(Explore(options).failed);
}

// What a campaign found it with.
TEST(ExploreTest, ADaemonThatSkipsTheOwnersLockIsFound) {
  if (!fake_l4::RewindArea::IsAvailable()) GTEST_SKIP() << "takes hundreds of runs";
  ExploreOptions options = Pressed(base::Canary::kDaemonSkipsOwnerLock);
  options.kind = ScheduleKind::kUniform;
  options.schedules = 3000;
  options.program = Program(
      "s1 = space\n"
      "s1.mmap 0x10000 0x3000 rw- private,fixed\n"
      "s1.mmap 0x1000000 0x80000 rw- private,fixed\n"
      "s1.write 0x1000000 524288 'h'\n"
      "s1.minherit 0x10000 0x1000 share\n"
      "s2 = s1.fork\n"
      "s3 = s1.fork\n"
      "s1.write 0x12008 8 0x2\n"
      "# thread\n"
      "s1.read 0x1079000 8\n"
      "s1.swapoff 0\n"
      "s1.mlock 0x12000 0x1000\n"
      "s1.swapoff 1\n"
      "s1.mmap 0x10000 0x1000 rw- private,fixed\n"
      "s1.write 0x105c000 8 0x3\n"
      "s1.mprotect 0x11000 0x1000 rw-\n"
      "s1.swapoff 1\n"
      "# thread\n"
      "s2.madvise 0x12000 0x1000 free\n"
      "s2.read 0x10008 8\n"
      "s2.pread 0x11000 0x1000 cached file f 0x2000\n"
      "s2.swapon 0 1\n"
      "s2.write 0x104f008 8 0x4\n"
      "# thread\n"
      "s3.read 0x10000 8192\n"
      "s3.read 0x1064000 8\n"
      "s3.read 0x10000 8\n"
      "s3.write 0x11000 8 0x7\n"
      "s4 = s3.fork\n"
      "s3.send 0x10000 0x1000\n");
  EXPECT_TRUE(Explore(options).failed);
  options.run.machine.canary = base::Canary::kNone;
  options.schedules = 500;
  EXPECT_EQ(FailureOf(Explore(options)), "");
}

TEST(ExploreTest, AFaultThatForgetsALockIsFoundAndMadeSmall) {
  if (!fake_l4::RewindArea::IsAvailable()) GTEST_SKIP() << "takes tens of thousands of runs";
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
