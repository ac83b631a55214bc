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
  bool scarce = false, kernel = false, faulty = false, pct = false;
  for (uint64_t i = 0; i < 64; ++i) {
    const std::string text = Text(i, {});
    EXPECT_EQ(Text(i, {}), text);
    seen.insert(text);
    scarce = scarce || text.find("(scarce)") != std::string::npos;
    kernel = kernel || text.find("pistachio") != std::string::npos;
    faulty = faulty || text.find("faults none") == std::string::npos;
    pct = pct || text.find("pct") != std::string::npos;
  }
  EXPECT_GT(seen.size(), 50u);
  EXPECT_TRUE(scarce && kernel && faulty && pct);
}

TEST(MachineSwarmTest, WhatIsPinnedStaysAndMovesNothingElse) {
  MachinePins all;
  all.memory = all.hardware = all.kernel = all.processors = all.schedule = all.faults = true;
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
