// What a few campaigns do and cost, as numbers that every compiler, optimisation and sanitizer must
// reproduce. A change of the operations, the model or of what things cost changes some: then look
// whether it should, and put in what this test prints. When builds disagree,
// tools/compare_builds.sh names the first operation.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/addr.h"
#include "base/hash.h"
#include "fake_l4/profile.h"
#include "machine/machine.h"
#include "proptests/engine/fault_rates.h"
#include "proptests/engine/hash_chain.h"
#include "proptests/engine/run.h"

namespace proptests {
namespace {

struct Golden {
  const char* name;
  void (*adjust)(CampaignOptions*);
  uint64_t outcomes;  // of what programs saw, operation by operation
  uint64_t costs;     // of all counters, virtual time included
};

void PrintTo(const Golden& row, std::ostream* out) { *out << row.name; }

const Golden kGolden[] = {
    {"standard", [](CampaignOptions*) {}, 0x3fc3eb6f0e27ee93, 0xaa5a2aac8c5b3bd7},
    {"faults", [](CampaignOptions* o) { o->faults = *ParseFaultRates("all"); }, 0x7da168d928cbd4d3,
     0x4f9b996b700472ec},
    {"preempted",
     [](CampaignOptions* o) {
       o->run.machine.schedule = machine::Schedule::kPct;
       o->run.machine.processors = 2;
     },
     0x3fc3eb6f0e27ee93, 0x49db19297fdd090a},
    {"crowded",
     [](CampaignOptions* o) {
       o->run.machine.ram_bytes = 1024 * base::kPageSize;
       o->run.memory_may_run_out = true;
       o->tasks = 16;
       o->pages = 512;
     },
     0x52df2cb846c92878, 0x331361b61fc72b26},
    {"old_kernel",
     [](CampaignOptions* o) { o->run.machine.quirks = *machine::FindQuirks("pistachio-old-mdb"); },
     0x3fc3eb6f0e27ee93, 0x347e8ec94960599e},
};

class GoldenHashTest : public testing::TestWithParam<Golden> {};

TEST_P(GoldenHashTest, EveryBuildDoesAndCostsTheSame) {
  CampaignOptions options;
  options.seed = 20021;
  options.run.machine.ram_bytes = uint64_t{16} << 20;
  GetParam().adjust(&options);
  uint64_t outcomes = 0, costs = 0;
  for (uint64_t number = 0; number < 3; ++number) {
    const CaseChain chain = RunCaseWithChain(options, number, 700);
    ASSERT_FALSE(chain.result.failure) << chain.result.failure->text;
    for (const ChainLink& link : chain.links) {
      outcomes = base::Chain(outcomes, link.outcomes);
      costs = base::Chain(costs, link.costs);
    }
    outcomes = base::Chain(outcomes, chain.result.hash);
  }
  EXPECT_TRUE(outcomes == GetParam().outcomes && costs == GetParam().costs)
      << absl::StrFormat("%s: 0x%016x, 0x%016x instead of 0x%016x, 0x%016x", GetParam().name,
                         outcomes, costs, GetParam().outcomes, GetParam().costs);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenHashTest, testing::ValuesIn(kGolden),
                         [](const testing::TestParamInfo<Golden>& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace proptests
