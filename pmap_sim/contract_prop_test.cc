// pmap/l4 against the contract of pmap(9), op by op: random calls and accesses, with what is right
// told by uvm/testing/pmap_contract.h. "A client's rights are within the table's" is looked at at
// every step of the kernel, also while calls and accesses overlap.
//
// That each rule can fail here was tried by putting a bug into the module by hand. Blamed on
//   ForgettingKeepsStatus, WritesAreSeen   a shortage that drops a page with its M; no collecting
//   WiredStays                 protect unwires; a shortage drops wired pages
//   UpdateEndsOldTranslations  unmaps lost or late; only a run's first page noted as sent
//   RightsWithinLastEntered    a run of unequal rights; re-entry that keeps the excess
//   StatusBelongsToTheFrame    a merged run's written bit kept; ClearReference that clears M
//   WriteProtectKeepsMappings  page_protect(read) that removes the second mapping
//   ReplacementMovesOne        resident_count not lowered by a replacement
//   WiredCountIsExact          unwire that does not count
//   FailureLeavesNothingWrong  no room, and the old page stays
//   ExtractAgreesAtOnce        extract by the alias's frame; kenter that makes a managed mapping
//   ModuleIsSound              a refill outside the lock; an alias that shows another frame

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/prot.h"
#include "fake_l4/testing/world.h"
#include "pmap_sim/testing/pmap_world.h"
#include "uvm/testing/pmap_contract.h"

namespace pmap_sim {
namespace {

using base::Prot;
using uvm::testing::ContractCounts;
using uvm::testing::ContractLimits;
using uvm::testing::FirstCounterexample;
using uvm::testing::kPmapCalls;
using uvm::testing::MachineMaker;
using uvm::testing::PmapMachine;

constexpr uint64_t kSeeds = 60;
constexpr uint64_t kShortageSeeds = 15;  // for each size and kernel
constexpr uint64_t kFailingKernelSeeds = 300;
constexpr size_t kOps = 300;

// Where x is not separable, it comes with any right, as r does everywhere.
Prot WithRead(Prot p) { return p.IsNone() ? p : p | base::kProtRead; }
Prot WithReadAndExecute(Prot p) {
  return p.IsNone() ? p : p | base::kProtRead | base::kProtExecute;
}

MachineMaker Maker(const PmapWorldOptions& options) {
  return
      [options]() -> std::unique_ptr<PmapMachine> { return std::make_unique<PmapWorld>(options); };
}

ContractLimits LimitsFor(const PmapWorldOptions& options) {
  ContractLimits limits;
  limits.usable = options.profile.ExecuteImpliedByRead() ? WithReadAndExecute : WithRead;
  limits.wired_writable_reads_modified = !options.quirks.manual();
  limits.write_faults_modify = !options.quirks.manual();
  limits.enter_seeds = true;
  return limits;
}

struct Row {
  const fake_l4::Profile* profile;
  const fake_l4::Quirks* quirks;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.profile->name << " " << row.quirks->name;
}

class ContractPropTest : public testing::TestWithParam<Row> {};

TEST_P(ContractPropTest, EveryRuleHolds) {
  PmapWorldOptions options{.profile = *GetParam().profile,
                           .quirks = *GetParam().quirks,
                           .tricks = !GetParam().quirks->rights_unmasked};
  ContractCounts counts;
  std::string counterexample =
      FirstCounterexample(Maker(options), LimitsFor(options), 1, kSeeds, kOps, &counts);
  ASSERT_TRUE(counterexample.empty()) << counterexample;
  for (int call = 0; call < kPmapCalls; ++call) EXPECT_GT(counts.done[call], 20u) << call;
  EXPECT_GT(counts.accesses_done, 700u);
  EXPECT_GT(counts.accesses_refused, 500u);
  EXPECT_GT(counts.steps_watched, 50000u);
}

// The same while the kernel refuses memory for a mapping now and then, answers late, or maps less
// than it was told. Nobody may notice.
TEST_P(ContractPropTest, EveryRuleHoldsOnAKernelThatFails) {
  uint64_t fired = 0;
  uint64_t kernel_refills = 0;
  PmapWorldOptions options{.profile = *GetParam().profile,
                           .quirks = *GetParam().quirks,
                           .tricks = !GetParam().quirks->rights_unmasked,
                           .kernel_faults = true,
                           .faults_fired = &fired,
                           .kernel_refills = &kernel_refills};
  std::string counterexample =
      FirstCounterexample(Maker(options), LimitsFor(options), 5001, kFailingKernelSeeds, kOps);
  ASSERT_TRUE(counterexample.empty()) << counterexample;
  EXPECT_GT(fired, 400u);
  EXPECT_GT(kernel_refills, 0u);
}

// Mappings that need more windows of the server's space than there are: whatever finds none is
// refused, and what is refused does no harm.
TEST(ContractShortageTest, FewWindows) {
  PmapWorldOptions options{.alias_windows = 8};
  ContractLimits limits = LimitsFor(options);
  limits.cluster = 2;
  limits.stride = kWindowBytes;
  limits.may_fail = true;
  limits.may_forget = true;
  ContractCounts counts;
  std::string counterexample =
      FirstCounterexample(Maker(options), limits, 1, kSeeds, kOps, &counts);
  ASSERT_TRUE(counterexample.empty()) << counterexample;
  EXPECT_GT(counts.enters_failed, 20u);
  EXPECT_GT(counts.accesses_done, 300u);
}

// The kernel has memory for few mappings beyond the server's own.
TEST_P(ContractPropTest, FewMappingsInTheKernel) {
  for (uint32_t spare : {2, 4, 9, 20}) {
    PmapWorldOptions options{.profile = *GetParam().profile,
                             .quirks = *GetParam().quirks,
                             .spare_mappings = spare,
                             .tricks = !GetParam().quirks->rights_unmasked};
    ContractLimits limits = LimitsFor(options);
    limits.may_fail = true;
    limits.may_forget = true;
    limits.kernel_mappings = false;
    ContractCounts counts;
    std::string counterexample =
        FirstCounterexample(Maker(options), limits, 1, kShortageSeeds, kOps, &counts);
    ASSERT_TRUE(counterexample.empty()) << spare << " spare mappings: " << counterexample;
    EXPECT_GT(counts.accesses_done, 20u);
  }
}

// Rule 10 where a mapping is there already: the new page is memory whose place is taken.
TEST(ContractShortageTest, AFailedEnterLeavesNoOtherPage) {
  PmapWorldOptions options;
  PmapWorld world(options);
  uvm::Pmap* pmap = world.NewClient(0);
  constexpr base::Vaddr kVa{0x400000};
  const base::Paddr frame = world.pmap().segment(0).start;
  const base::Paddr nowhere(world.pmap().VirtualSpace().start.value());
  PmapWorld::Touch store{.va = kVa, .access = base::Access::kWrite, .word = 7};
  bool failed = false;
  bool there = true;
  world.Call([&] {
    ASSERT_TRUE(world.pmap()
                    .Enter(pmap, kVa, frame, base::kProtReadWrite, {.access = base::kProtNone})
                    .ok());
  });
  world.Access(&store);
  EXPECT_TRUE(store.done);
  world.Call([&] {
    failed =
        !world.pmap().Enter(pmap, kVa, nowhere, base::kProtRead, {.access = base::kProtNone}).ok();
    there = world.pmap().Extract(pmap, kVa, nullptr);
  });
  EXPECT_TRUE(failed);
  EXPECT_FALSE(there);
  EXPECT_EQ(world.RightsAt(0, kVa), base::kProtNone);
  world.Call([&] { EXPECT_TRUE(world.pmap().IsModified(frame)); });
  EXPECT_EQ(world.Problem(), "");
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, ContractPropTest,
    testing::Values(Row{&fake_l4::kAmd64Nx, &fake_l4::kManualRules},
                    Row{&fake_l4::kIa32, &fake_l4::kManualRules},
                    Row{&fake_l4::kAmd64NoReference, &fake_l4::kManualRules},
                    Row{&fake_l4::kAmd64NoReference, &fake_l4::kPistachioNewMdb},
                    Row{&fake_l4::kAmd64NoReference, &fake_l4::kPistachioOldMdb},
                    Row{&fake_l4::kAmd64Nx, &fake_l4::kPistachioNewMdb},
                    Row{&fake_l4::kAmd64Nx, &fake_l4::kPistachioOldMdb},
                    Row{&fake_l4::kAmd64Nx, &fake_l4::kManualRightsNewMdb},
                    Row{&fake_l4::kAmd64Nx, &fake_l4::kManualRightsOldMdb},
                    Row{&fake_l4::kIa32, &fake_l4::kPistachioNewMdb},
                    Row{&fake_l4::kIa32, &fake_l4::kPistachioOldMdb}));

}  // namespace
}  // namespace pmap_sim
