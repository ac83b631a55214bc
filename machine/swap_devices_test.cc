// The same program on machines that swap to memory, to a file of the host, to a driver task, and on
// one that has memory enough: nobody sees a difference.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prng.h"
#include "base/text_sink.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"

namespace machine {
namespace {

using traces::OpKind;
using traces::Outcome;

constexpr uint64_t kPages = 700;
constexpr uint64_t kAt = 0x10000000;

struct Played {
  std::vector<Outcome> outcomes;
  Ledger ledger;
  uint64_t served = 0;
};

void ExpectSound(Machine* machine) {
  EXPECT_EQ(machine->crash().value_or(""), "");
  EXPECT_EQ(machine->stuck().value_or(""), "");
  char text[512];
  base::TextSink out(text, sizeof text);
  const char* broken = uvm::FirstViolation(&machine->uvm(), &out);
  EXPECT_EQ(broken, nullptr) << broken << ": " << text;
}

// Writes to random pages of more memory than there is, and reads them back, in two tasks.
Played RunOn(const Machine::Options& options) {
  Machine machine(options);
  Played run;
  base::Prng prng(1, "swap_devices");
  auto apply = [&](const traces::ResolvedOp& op) { run.outcomes.push_back(machine.Apply(op)); };
  apply({.kind = OpKind::kSpace, .child = 1});
  apply({.kind = OpKind::kMmap,
         .task = 1,
         .at = kAt,
         .size = kPages * base::kPageSize,
         .prot = base::kProtReadWrite,
         .flags = traces::kFlagPrivate | traces::kFlagFixed});
  for (int step = 0; step < 2500; ++step) {
    const uint64_t page = prng.Below(kPages);
    const uint64_t tag = prng.Below(250);
    const auto task = static_cast<uint32_t>(step < 1500 ? 1 : 1 + prng.Below(2));
    if (step == 1500) apply({.kind = OpKind::kFork, .task = 1, .child = 2});
    const bool writes = prng.Chance(1, 2);
    apply({.kind = writes ? OpKind::kWrite : OpKind::kRead,
           .task = task,
           .at = kAt + page * base::kPageSize,
           .size = base::kPageSize,
           .value = tag});
  }
  ExpectSound(&machine);
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
