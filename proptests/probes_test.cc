// What a few fixed campaigns must reach: every probe and every cell of the matrix of fault cases
// that is not rare (listed here) or out of reach (WhyNoFault).

#include "base/probes.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "base/addr.h"
#include "machine/machine.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/mix.h"
#include "proptests/engine/probes.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"

namespace proptests {
namespace {

using base::Probe;

// What these campaigns need not reach, though something can, and who does.
const std::map<Probe, std::string>& RareProbes() {
  static const auto* reasons = new std::map<Probe, std::string>{
      {Probe::kFaultCopyFails, "memory must run out while an amap is made"},
      {Probe::kFaultEnterFails, "the pmap must be short of memory (uvm/fault_test)"},
      {Probe::kFaultRewires, "a sharer must give up what another has wired"},
      {Probe::kFaultWaitsForAnon, "needs two threads"},
      {Probe::kFaultNoFrameForAnon, "memory must run out in a copy"},
      {Probe::kFaultFirstWriteToHole, "needs a file with holes"},
      {Probe::kFetchComesTooLate, "needs two threads"},
      {Probe::kSwapInTooLate, "needs swap and two threads (uvm/swap_in_test)"},
      {Probe::kPromoteMovesWiring, "a wired page must be copied"},
      {Probe::kAmapTooBig, "needs 65536 pages"},
      {Probe::kForkFails, "memory must run out in a fork (uvm/fork_test)"},
      {Probe::kWiringRefused, "needs a limit of locked memory"},
      {Probe::kRefillHopeless, "needs a kernel without mapping memory"},
  };
  return *reasons;
}

// Cells that take several rare things at once.
const std::set<std::string>& RareCases() {
  static const auto* names = new std::set<std::string>{
      "anon private write wired owed",   "anon shared read resident owed",
      "anon shared read lent owed",      "anon shared read wired owed",
      "anon shared write resident owed", "anon shared write lent owed",
      "anon shared write wired owed",    "zero shared read absent owed",
      "zero shared write absent owed",   "zero shared write wired",
  };
  return *names;
}

RunStats StatsOf(const CampaignOptions& options) {
  const CampaignResult result = RunCampaign(options);
  EXPECT_FALSE(result.run.failure) << result.run.failure->text;
  return result.run.stats;
}

Mix SharedMix() {
  std::ifstream in("proptests/mixes/shared.mix");
  std::stringstream text;
  text << in.rdbuf();
  return ParseMix(text.str(), "shared.mix").value();
}

// The standard machine, one that is short of memory, one whose kernel fails now and then, one that
// swaps, and one that swaps to a device that fails.
const RunStats& Stats() {
  static const auto* stats = [] {
    auto* sum = new RunStats;
    CampaignOptions options;
    options.case_ops = 2000;
    options.tasks = 6;
    options.pages = 24;
    options.run.machine.ram_bytes = uint64_t{16} << 20;
    options.ops = 60000;
    sum->Add(StatsOf(options));
    CampaignOptions crowded = options;
    crowded.run.machine.ram_bytes = 1024 * base::kPageSize;
    crowded.run.memory_may_run_out = true;
    crowded.pages = 128;
    crowded.tasks = 12;
    sum->Add(StatsOf(crowded));
    CampaignOptions faulty = options;
    faulty.faults = *ParseFaultRates("all");
    sum->Add(StatsOf(faulty));
    CampaignOptions swapping = options;
    const Mix mix = SharedMix();
    swapping.mix = mix.weights;
    swapping.swarm = false;
    swapping.tasks = static_cast<uint32_t>(mix.tasks);
    swapping.pages = static_cast<uint32_t>(mix.pages);
    swapping.case_ops = 5000;
    swapping.run.machine.ram_bytes = 80 * base::kPageSize;
    swapping.run.machine.swap = {{.pages = 8192}};
    swapping.run.memory_may_run_out = true;
    sum->Add(StatsOf(swapping));
    swapping.faults = *ParseFaultRates("swap_read_error");
    sum->Add(StatsOf(swapping));
    return sum;
  }();
  return *stats;
}

TEST(ProbesTest, EveryProbeIsHit) {
  for (uint32_t i = 0; i < base::kProbeCount; ++i) {
    const auto probe = static_cast<Probe>(i);
    if (RareProbes().contains(probe)) continue;
    EXPECT_GT(Stats().probes[i], 0u) << ProbeName(probe) << ": " << ProbeMeaning(probe);
  }
  EXPECT_LE(RareProbes().size() * 3, base::kProbeCount) << "most are no rarity";
}

TEST(ProbesTest, EveryCaseOfAFaultIsMetUnlessItCannotBe) {
  for (uint32_t cell = 0; cell < base::FaultCase::kCells; ++cell) {
    const char* why = WhyNoFault(cell);
    if (why == nullptr) {
      if (RareCases().contains(FaultCaseName(cell))) continue;
      EXPECT_GT(Stats().fault_cases[cell], 0u) << FaultCaseName(cell);
    } else {
      EXPECT_EQ(Stats().fault_cases[cell], 0u) << FaultCaseName(cell) << " is met, though " << why;
    }
  }
}

TEST(ProbesTest, ACellIsItsCase) {
  for (uint32_t cell = 0; cell < base::FaultCase::kCells; ++cell) {
    EXPECT_EQ(base::FaultCase::OfCell(cell).Cell(), cell);
  }
}

TEST(ProbesTest, TheTextCounts) {
  RunStats stats;
  stats.probes[0] = 3;
  const std::string text = ProbesText(stats, EachProbe::kNo);
  EXPECT_NE(text.find("probes  1 of "), std::string::npos) << text;
  EXPECT_NE(ProbesText(stats, EachProbe::kYes).find(ProbeMeaning(static_cast<Probe>(0))),
            std::string::npos);
}

}  // namespace
}  // namespace proptests
