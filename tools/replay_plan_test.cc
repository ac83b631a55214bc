#include "tools/replay_plan.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "traces/codec.h"

namespace tools {
namespace {

ReplayPlan Plan(const std::string& body) {
  const auto trace = traces::ParseTrace("# t: t\ns1 = space\n" + body, "t");
  EXPECT_TRUE(trace.ok()) << trace.status();
  return PlanReplay(*trace);
}

uint64_t FramesBeyondTheFewest(const std::string& body) { return Plan(body).frames - 4096; }

TEST(ReplayPlanTest, AScenarioGetsTheSmallestMachineAndEveryCheck) {
  const ReplayPlan plan = Plan("");
  EXPECT_EQ(plan.frames, 4096u);
  EXPECT_EQ(plan.max_tasks, 64u);
  EXPECT_EQ(plan.check_every, 1u);
}

TEST(ReplayPlanTest, EveryPageTouchedMayTakeTwoFramesOnce) {
  EXPECT_EQ(FramesBeyondTheFewest("s1.write 0x1000 0x8 1\ns1.read 0x1ff8 0x8\ns1.fetch 0x1010\n"),
            2u);
  EXPECT_EQ(FramesBeyondTheFewest("s1.write 0x1fff 0x2 1\n"), 4u);
  EXPECT_EQ(FramesBeyondTheFewest("s1.write 0x1000 0x100000 1\n"), 512u);
  EXPECT_EQ(FramesBeyondTheFewest("s1.write r0+0x0 0x1000 1\n"), 6u);
}

TEST(ReplayPlanTest, APageThatMayLiveOnCountsAgain) {
  const std::string write = "s1.write 0x1000 0x8 1\n";
  EXPECT_EQ(FramesBeyondTheFewest(write + "s2 = s1.fork\n" + write), 4u);
  EXPECT_EQ(FramesBeyondTheFewest(write + "s2 = s1.fork\ns2.write 0x1000 0x8 1\n"), 4u);
  EXPECT_EQ(FramesBeyondTheFewest(write + "s1.mremap 0x1000 0x1000 0x9000 0x1000 fixed\n" + write),
            4u);
}

TEST(ReplayPlanTest, TasksAliveAtOnceHaveRoom) {
  std::string births, deaths;
  for (int i = 2; i <= 101; ++i) {
    absl::StrAppend(&births, "s", i, " = s1.fork\n");
    absl::StrAppend(&deaths, "s", i, ".exit\n");
  }
  EXPECT_EQ(Plan(births).max_tasks, 101u);
  EXPECT_EQ(Plan(births + deaths + "s200 = s1.fork\n").max_tasks, 101u);
  EXPECT_EQ(Plan(births + "s200 = s1.fork -> EAGAIN\n").max_tasks, 101u);
}

TEST(ReplayPlanTest, ChecksOfLargeStatesAreRarer) {
  std::string body;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&body, "s1.write ", 4096 * (i + 1), " 0x1 1\n");
  EXPECT_EQ(Plan(body).check_every, 256u);
  body.clear();
  for (int i = 1; i <= 256; ++i) absl::StrAppend(&body, "s1.write ", i << 20, " 0x100000 1\n");
  EXPECT_EQ(Plan(body).check_every, 257u * 32768 / 2'000'000);
}

}  // namespace
}  // namespace tools
