#include "proptests/engine/machine_swarm.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "machine/machine.h"
#include "proptests/engine/run.h"

namespace proptests {
namespace {

RunOptions Plain() {
  RunOptions run;
  run.machine.ram_bytes = uint64_t{16} << 20;
  return run;
}

std::string Text(uint64_t case_index, const MachinePins& pins) {
  RunOptions run = Plain();
  FaultRates faults;
  DrawMachine(7, case_index, pins, &run, &faults);
  return MachineText(run, faults);
}

TEST(MachineSwarmTest, EachCaseHasItsOwnAndAlwaysTheSame) {
  std::set<std::string> seen;
  bool scarce = false, kernel = false, faulty = false, pct = false, forgets = false;
  for (uint64_t i = 0; i < 64; ++i) {
    const std::string text = Text(i, {});
    EXPECT_EQ(Text(i, {}), text);
    seen.insert(text);
    scarce = scarce || text.find("(scarce)") != std::string::npos;
    kernel = kernel || text.find("pistachio") != std::string::npos;
    forgets = forgets || text.find("forgetful pmap") != std::string::npos;
    faulty = faulty || text.find("faults none") == std::string::npos;
    pct = pct || text.find("pct") != std::string::npos;
  }
  EXPECT_GT(seen.size(), 50u);
  EXPECT_TRUE(scarce && kernel && faulty && pct && forgets);
}

TEST(MachineSwarmTest, WhatIsPinnedStaysAndMovesNothingElse) {
  MachinePins all;
  all.memory = all.hardware = all.kernel = all.pmap = all.processors = all.schedule = all.faults =
      true;
  EXPECT_EQ(Text(3, all), MachineText(Plain(), FaultRates{}));
  MachinePins kernel;
  kernel.kernel = true;
  for (uint64_t i = 0; i < 16; ++i) {
    RunOptions free = Plain(), pinned = Plain();
    FaultRates of_free, of_pinned;
    DrawMachine(7, i, {}, &free, &of_free);
    DrawMachine(7, i, kernel, &pinned, &of_pinned);
    EXPECT_EQ(free.machine.ram_bytes, pinned.machine.ram_bytes);
    EXPECT_EQ(free.machine.processors, pinned.machine.processors);
    EXPECT_EQ(of_free, of_pinned);
    EXPECT_STREQ(pinned.machine.quirks.name, Plain().machine.quirks.name);
  }
}

TEST(MachineSwarmTest, HalfOfThePmapsThatAreNotPlainRefuse) {
  size_t plain = 0, refusing = 0;
  constexpr size_t kCases = 400;
  for (uint64_t i = 0; i < kCases; ++i) {
    RunOptions run = Plain();
    FaultRates faults;
    DrawMachine(7, i, {}, &run, &faults);
    plain += run.machine.adversity == machine::Adversity::kNone ? 1 : 0;
    refusing += run.machine.adversity == machine::Adversity::kRefusing ? 1 : 0;
  }
  EXPECT_GT(plain, kCases * 2 / 3);
  EXPECT_LT(plain, kCases * 5 / 6);
  EXPECT_GT(refusing, kCases / 12);
  EXPECT_LT(refusing, kCases / 6);
}

TEST(MachineSwarmTest, CampaignsOnManyMachinesPass) {
  CampaignOptions options;
  options.seed = 11;
  options.ops = 12000;
  options.case_ops = 500;
  options.run = Plain();
  options.machine_swarm = true;
  options.liveness = true;
  const CampaignResult result = RunCampaign(options);
  ASSERT_FALSE(result.run.failure)
      << "case " << result.failing_case << ": " << FingerprintText(result.run.failure->print)
      << ": " << result.run.failure->text;
  EXPECT_EQ(RunCampaign(options).run.hash, result.run.hash);
}

}  // namespace
}  // namespace proptests
