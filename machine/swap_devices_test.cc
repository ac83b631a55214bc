// The same program on machines that swap to memory, to a file of the host, to a driver task, and on
// one that has memory enough: nobody sees a difference.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "machine/machine.h"
#include "machine/testing/crowded_program.h"
#include "traces/op.h"

namespace machine {
namespace {

using traces::Outcome;

constexpr uint64_t kPages = 700;

struct Played {
  std::vector<Outcome> outcomes;
  Ledger ledger;
  uint64_t served = 0;
};

Played RunOn(const Machine::Options& options) {
  Machine machine(options);
  Played run;
  run.outcomes = testing::Play({.stream = "swap_devices", .pages = kPages}, &machine);
  run.ledger = machine.ledger();
  if (machine.block_driver() != nullptr) {
    run.served = machine.block_driver()->served();
    EXPECT_EQ(machine.block_driver()->refused(), 0u);
  }
  return run;
}

Machine::Options Small(SwapSpec::Kind kind) {
  Machine::Options options;
  options.ram_bytes = uint64_t{2} << 20;
  options.swap = {{.kind = kind, .pages = 2 * kPages, .transfer_us = 100, .page_us = 10}};
  return options;
}

class SwapDevicesTest : public ::testing::TestWithParam<SwapSpec::Kind> {};

TEST_P(SwapDevicesTest, NobodySeesADifference) {
  const Played large = RunOn(Machine::Options());
  const Played small = RunOn(Small(GetParam()));
  ASSERT_EQ(large.outcomes.size(), small.outcomes.size());
  for (size_t i = 0; i < large.outcomes.size(); ++i)
    ASSERT_EQ(large.outcomes[i], small.outcomes[i]) << i;
  EXPECT_EQ(large.ledger.pageout, 0u);
  EXPECT_GT(small.ledger.pageout, 500u);
  EXPECT_GT(small.ledger.pagein, 500u);
  EXPECT_GT(small.ledger.virtual_us, large.ledger.virtual_us + 100 * small.ledger.pagein)
      << "transfers take their time";
}

TEST_P(SwapDevicesTest, TheSameRunTwiceIsTheSame) {
  const Played one = RunOn(Small(GetParam()));
  const Played two = RunOn(Small(GetParam()));
  EXPECT_TRUE(one.ledger == two.ledger);
  EXPECT_EQ(one.served, two.served);
  if (GetParam() == SwapSpec::Kind::kDriver) {
    EXPECT_GE(one.served, one.ledger.pagein + one.ledger.swap_clusters);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, SwapDevicesTest,
                         ::testing::Values(SwapSpec::Kind::kMemory, SwapSpec::Kind::kFile,
                                           SwapSpec::Kind::kDriver),
                         [](const auto& info) {
                           return std::string(info.param == SwapSpec::Kind::kMemory ? "Memory"
                                              : info.param == SwapSpec::Kind::kFile ? "File"
                                                                                    : "Driver");
                         });

}  // namespace
}  // namespace machine
