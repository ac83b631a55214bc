// Campaigns on machines that swap to memory, to a file of the host and to a driver task, with every
// error that a device can have: reads and writes that fail, writes that are torn, slowness, and
// devices that vanish for a while. What is lost was lost to an error that was injected, and nobody
// else sees a difference.

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

#include "base/addr.h"
#include "base/fault_site.h"
#include "machine/machine.h"
#include "machine/memory_events.h"
#include "machine/swap_set.h"
#include "proptests/engine/failure.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/mix.h"
#include "proptests/engine/run.h"
#include "proptests/engine/session.h"

namespace proptests {
namespace {

using base::FaultSite;
using Kind = machine::SwapSpec::Kind;

// What happened to the devices of all cases.
struct Seen {
  uint64_t events = 0;
  uint64_t spoilt = 0;
  uint64_t pageouts = 0;
  uint64_t pageins = 0;
};

Mix PressureMix() {
  std::ifstream in("proptests/mixes/pressure.mix");
  std::stringstream text;
  text << in.rdbuf();
  return ParseMix(text.str(), "pressure.mix").value();
}

CampaignOptions Scarce(Kind kind) {
  CampaignOptions options;
  const Mix mix = PressureMix();
  options.seed = 5;
  options.case_ops = 1500;
  options.ops = 12 * options.case_ops;
  options.tasks = static_cast<uint32_t>(mix.tasks);
  options.pages = static_cast<uint32_t>(mix.pages);
  options.mix = mix.weights;
  options.swarm = false;
  options.liveness = true;
  options.run.machine.ram_bytes = 128 * base::kPageSize;
  options.run.memory_may_run_out = true;
  options.run.machine.swap = {{.kind = kind, .pages = 1024, .transfer_us = 100, .page_us = 10},
                              {.pages = 64, .priority = 1}};
  return options;
}

Seen SeenOn(CampaignOptions options) {
  using machine::Adversity;
  constexpr Adversity kInTurn[] = {Adversity::kNone, Adversity::kForgetful, Adversity::kNone,
                                   Adversity::kRefusing};
  Seen sum;
  for (uint64_t number = 0; number * options.case_ops < options.ops; ++number) {
    Seen last;
    options.run.machine.adversity = kInTurn[number % std::size(kInTurn)];
    const RunResult result =
        RunCase(options, number, options.case_ops, [&](const Session& session) {
          const machine::SwapSet& swap = session.system()->swap_set();
          const machine::Ledger ledger = session.system()->ledger();
          last = {swap.events(), swap.pages_spoilt(), ledger.pageout, ledger.pagein};
        });
    EXPECT_FALSE(result.failure) << "case " << number << ": "
                                 << FingerprintText(result.failure->print) << ": "
                                 << result.failure->text;
    sum.events += last.events;
    sum.spoilt += last.spoilt;
    sum.pageouts += last.pageouts;
    sum.pageins += last.pageins;
  }
  return sum;
}

class SwapDeviceTest : public testing::TestWithParam<std::tuple<Kind, FaultSite>> {};

TEST_P(SwapDeviceTest, ErrorsCostNobodyElseAnything) {
  const auto [kind, site] = GetParam();
  CampaignOptions options = Scarce(kind);
  options.faults.one_in[static_cast<size_t>(site)] = 4;
  const Seen seen = SeenOn(options);
  EXPECT_GT(seen.events, 2u);
  EXPECT_GT(seen.pageouts, 100u);
  const bool loses = site == FaultSite::kSwapReadError || site == FaultSite::kSwapTornWrite;
  EXPECT_EQ(seen.spoilt != 0, loses);
}

std::string SiteName(FaultSite site) {
  switch (site) {
    case FaultSite::kSwapReadError:
      return "ReadError";
    case FaultSite::kSwapWriteError:
      return "WriteError";
    case FaultSite::kSwapTornWrite:
      return "TornWrite";
    case FaultSite::kSwapSlow:
      return "Slow";
    default:
      return "Vanish";
  }
}

std::string KindName(Kind kind) {
  return kind == Kind::kMemory ? "Memory" : kind == Kind::kFile ? "File" : "Driver";
}

INSTANTIATE_TEST_SUITE_P(
    Matrix, SwapDeviceTest,
    testing::Combine(testing::Values(Kind::kMemory, Kind::kFile, Kind::kDriver),
                     testing::Values(FaultSite::kSwapReadError, FaultSite::kSwapWriteError,
                                     FaultSite::kSwapTornWrite, FaultSite::kSwapSlow,
                                     FaultSite::kSwapVanish)),
    [](const auto& row) {
      return KindName(std::get<0>(row.param)) + SiteName(std::get<1>(row.param));
    });

// The kernel's own faults as well: messages to the driver are late, in parts, or sent twice.
class SwapDeviceOfKindTest : public testing::TestWithParam<Kind> {};

TEST_P(SwapDeviceOfKindTest, AllFaultsAtOnceWhileEncryptionChanges) {
  CampaignOptions options = Scarce(GetParam());
  options.faults = *ParseFaultRates("all");
  options.run.machine.swap_encryption = machine::SwapEncryption::kToggled;
  options.run.machine.memory = {
      .colours = 4, .buckets = 2, .lists = 2, .caches = true, .one_in = 32};
  const Seen seen = SeenOn(options);
  EXPECT_GT(seen.pageouts, 200u);
  EXPECT_GT(seen.events, 3u);
}

TEST_P(SwapDeviceOfKindTest, WithoutErrorsPagesComeAndGo) {
  const Seen seen = SeenOn(Scarce(GetParam()));
  EXPECT_GT(seen.pageouts, 500u);
  EXPECT_GT(seen.pageins, 300u);
  EXPECT_EQ(seen.events, 0u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SwapDeviceOfKindTest,
                         testing::Values(Kind::kMemory, Kind::kFile, Kind::kDriver),
                         [](const auto& row) { return KindName(row.param); });

}  // namespace
}  // namespace proptests
