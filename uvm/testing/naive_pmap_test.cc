// The fake where it can lie: the naive pmap keeps the contract with every switch on, and the judge
// of the contract notices each rule that it is made to break.

#include "uvm/testing/naive_pmap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prot.h"
#include "uvm/pmap.h"
#include "uvm/testing/pmap_contract.h"
#include "uvm/testing/translating_machine.h"

namespace uvm::testing {
namespace {

using base::Access;
using base::Paddr;
using base::PageCount;
using base::Range;
using base::Vaddr;

enum Adversity : uint32_t {
  kFaithful = 0,
  kForgetful = 1,
  kDelayed = 2,
  kRefusing = 4,
  kBlind = 8,
  kAll = 15,
};

class NaiveMachine final : public TranslatingMachine<NaivePmap> {
 public:
  explicit NaiveMachine(uint32_t adversity, PmapLie lie = PmapLie::kNone) : TranslatingMachine(24) {
    constexpr uint64_t kSeed = 7;
    if ((adversity & kForgetful) != 0) pmap_.ForgetAtRandom(kSeed);
    if ((adversity & kDelayed) != 0) pmap_.DelayInvalidations();
    if ((adversity & kRefusing) != 0) pmap_.FailEntersAtRandom(kSeed, 8);
    if ((adversity & kBlind) != 0) pmap_.HideReferences();
    pmap_.Lie(lie);
  }
};

ContractLimits LimitsFor(uint32_t adversity) {
  ContractLimits limits;
  limits.may_forget = (adversity & kForgetful) != 0;
  limits.may_fail = (adversity & kRefusing) != 0;
  limits.never_misses_a_read = (adversity & kBlind) == 0;
  return limits;
}

constexpr uint64_t kSeeds = 60;
constexpr size_t kOps = 400;

std::string Counterexample(uint32_t adversity, PmapLie lie = PmapLie::kNone,
                           ContractCounts* counts = nullptr) {
  return FirstCounterexample(
      [=]() -> std::unique_ptr<PmapMachine> {
        return std::make_unique<NaiveMachine>(adversity, lie);
      },
      LimitsFor(adversity), /*first_seed=*/1, kSeeds, kOps, counts);
}

class NaivePmapContractTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(NaivePmapContractTest, KeepsEveryRule) {
  ContractCounts counts;
  EXPECT_EQ(Counterexample(GetParam(), PmapLie::kNone, &counts), "");
  // The judge saw enough of everything.
  for (int call = 0; call < kPmapCalls; ++call) {
    EXPECT_GT(counts.done[call], 30u) << call;
  }
  EXPECT_GT(counts.accesses_done, 700u);
  EXPECT_GT(counts.accesses_refused, 1000u);
  EXPECT_EQ(counts.forgotten != 0, (GetParam() & kForgetful) != 0);
  EXPECT_EQ(counts.enters_failed != 0, (GetParam() & kRefusing) != 0);
}

INSTANTIATE_TEST_SUITE_P(Adversities, NaivePmapContractTest,
                         ::testing::Values(kFaithful, kForgetful, kDelayed, kRefusing, kBlind,
                                           kForgetful | kDelayed, kAll));

struct LieRow {
  PmapLie lie;
  uint32_t adversity;
  PmapRule blamed;
  // A write that was missed is told from a bit that was lost only by what happened in between.
  PmapRule or_blamed = blamed;
};

class LyingPmapTest : public ::testing::TestWithParam<LieRow> {};

TEST_P(LyingPmapTest, IsCaughtAndBlamedByName) {
  std::string text = Counterexample(GetParam().adversity, GetParam().lie);
  std::string name = text.substr(0, text.find(' '));
  EXPECT_TRUE(name == PmapRuleName(GetParam().blamed) || name == PmapRuleName(GetParam().or_blamed))
      << text;
  // One line of what happened, and few ops.
  EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 20) << text;
}

INSTANTIATE_TEST_SUITE_P(
    Lies, LyingPmapTest,
    ::testing::Values(
        LieRow{PmapLie::kForgettingLosesModified, kForgetful, PmapRule::kForgettingKeepsStatus},
        LieRow{PmapLie::kForgetsWired, kForgetful, PmapRule::kWiredStays},
        LieRow{PmapLie::kUpdateKeepsStale, kDelayed, PmapRule::kUpdateEndsOldTranslations},
        LieRow{PmapLie::kEnterAddsWrite, kFaithful, PmapRule::kRightsWithinLastEntered},
        LieRow{PmapLie::kClearDisarms, kFaithful, PmapRule::kWritesAreSeen,
               PmapRule::kStatusBelongsToTheFrame},
        LieRow{PmapLie::kRemoveClearsModified, kFaithful, PmapRule::kStatusBelongsToTheFrame},
        LieRow{PmapLie::kWriteProtectDropsOne, kFaithful, PmapRule::kWriteProtectKeepsMappings},
        LieRow{PmapLie::kReplacementCountsTwice, kFaithful, PmapRule::kReplacementMovesOne},
        LieRow{PmapLie::kUnwireStaysCounted, kFaithful, PmapRule::kWiredCountIsExact},
        LieRow{PmapLie::kFailureLeavesOld, kRefusing, PmapRule::kFailureLeavesNothingWrong},
        LieRow{PmapLie::kExtractLags, kDelayed, PmapRule::kExtractAgreesAtOnce},
        LieRow{PmapLie::kKenterSetsModified, kFaithful, PmapRule::kStatusBelongsToTheFrame},
        LieRow{PmapLie::kPageProtectMissesOne, kFaithful, PmapRule::kUpdateEndsOldTranslations}));

TEST(PmapJudgeTest, WhatMayHappenElsewhereIsBlamedWhereItMayNot) {
  auto strict = [](uint32_t adversity) {
    return FirstCounterexample(
        [=]() -> std::unique_ptr<PmapMachine> { return std::make_unique<NaiveMachine>(adversity); },
        ContractLimits{}, 1, kSeeds, kOps);
  };
  EXPECT_EQ(strict(kForgetful).substr(0, 24), "NothingIsLostWithoutNeed");
  EXPECT_EQ(strict(kBlind).substr(0, 17), "ReferencesAreSeen");
  EXPECT_EQ(strict(kFaithful), "");
}

// The naive pmap waits for the access itself.
TEST(PmapJudgeTest, AnAccessThatWasAnnouncedAndNotCountedIsBlamed) {
  ContractLimits limits;
  limits.enter_seeds = true;
  const std::string text = FirstCounterexample(
      []() -> std::unique_ptr<PmapMachine> { return std::make_unique<NaiveMachine>(kFaithful); },
      limits, 1, kSeeds, kOps);
  EXPECT_NE(text.find("does not read as"), std::string::npos) << text;
}

TEST(PmapJudgeTest, SeedsLeaveOutDifferentCalls) {
  auto first = DrawPmapOps(1, {}, 500);
  auto second = DrawPmapOps(2, {}, 500);
  auto kinds = [](const std::vector<PmapOp>& ops) {
    uint64_t seen = 0;
    for (const PmapOp& op : ops) seen |= uint64_t{1} << static_cast<int>(op.call);
    return seen;
  };
  EXPECT_NE(kinds(first), kinds(second));
}

// ---- By hand: what the fake has that the other tests of uvm build on ----

constexpr Vaddr kVa{0x10000};

class NaivePmapTest : public ::testing::Test {
 protected:
  static Range Page(Vaddr va) { return {va, va + base::kPageSize}; }
  void Enter(Pmap* pmap, Vaddr va, Paddr pa, base::Prot prot, Wired wired = Wired::kNo) {
    EXPECT_TRUE(pmap_.Enter(pmap, va, pa, prot, {.access = base::kProtNone, .wired = wired}).ok());
  }
  NaivePmap pmap_{8};
  Paddr frame_ = pmap_.segment(0).start;
  Paddr other_ = pmap_.segment(1).start;
};

TEST_F(NaivePmapTest, KernelMappingsAreThereAtOnceAndOutsideRAndM) {
  Vaddr va = NaivePmap::kKernelSpace.start;
  EXPECT_GE(pmap_.GrowKernel(va + base::kPageSize), va + base::kPageSize);
  pmap_.KenterPa(va, frame_, base::kProtReadWrite, CacheMode::kDefault);
  unsigned char* byte = pmap_.Translate(pmap_.Kernel(), va + 3, Access::kWrite);
  EXPECT_EQ(byte, pmap_.HomePointer(frame_) + 3);
  EXPECT_FALSE(pmap_.IsModified(frame_));
  EXPECT_FALSE(pmap_.IsReferenced(frame_));
  EXPECT_EQ(pmap_.WiredCount(pmap_.Kernel()), PageCount(1));
  pmap_.PageProtect(frame_, base::kProtNone);
  EXPECT_NE(pmap_.Translate(pmap_.Kernel(), va, Access::kWrite), nullptr);
  pmap_.Kremove(Page(va));
  EXPECT_EQ(pmap_.Translate(pmap_.Kernel(), va, Access::kRead), nullptr);
  EXPECT_EQ(pmap_.ResidentCount(pmap_.Kernel()), PageCount(0));
}

TEST_F(NaivePmapTest, AManagedKernelMappingIsAnOrdinaryOne) {
  Vaddr va = NaivePmap::kKernelSpace.start;
  Enter(pmap_.Kernel(), va, frame_, base::kProtReadWrite, Wired::kYes);
  ASSERT_NE(pmap_.Translate(pmap_.Kernel(), va, Access::kWrite), nullptr);
  EXPECT_TRUE(pmap_.IsModified(frame_));
  pmap_.PageProtect(frame_, base::kProtNone);
  EXPECT_EQ(pmap_.Translate(pmap_.Kernel(), va, Access::kRead), nullptr);
}

TEST_F(NaivePmapTest, GrowthNeverShrinks) {
  Vaddr start = NaivePmap::kKernelSpace.start;
  Vaddr limit = pmap_.GrowKernel(start + 0x5000);
  EXPECT_GE(limit, start + 0x5000);
  EXPECT_EQ(pmap_.GrowKernel(start + 0x1000), limit);
}

TEST_F(NaivePmapTest, TheLastReferenceFrees) {
  Pmap* pmap = pmap_.Create().value();
  pmap_.Reference(pmap);
  pmap_.Destroy(pmap);
  Enter(pmap, kVa, frame_, base::kProtRead);
  EXPECT_EQ(pmap_.ResidentCount(pmap), PageCount(1));
  pmap_.Remove(pmap, Page(kVa));
  pmap_.Destroy(pmap);
}

using NaivePmapDeathTest = NaivePmapTest;

TEST_F(NaivePmapDeathTest, MisuseIsFatal) {
  Pmap* pmap = pmap_.Create().value();
  Vaddr kernel = NaivePmap::kKernelSpace.start;
  EXPECT_DEATH(pmap_.KenterPa(kernel, frame_, base::kProtRead, CacheMode::kDefault), "CHECK");
  pmap_.GrowKernel(kernel + base::kPageSize);
  pmap_.KenterPa(kernel, frame_, base::kProtRead, CacheMode::kDefault);
  EXPECT_DEATH(pmap_.KenterPa(kernel, other_, base::kProtRead, CacheMode::kDefault), "CHECK");
  EXPECT_DEATH(pmap_.Destroy(pmap_.Kernel()), "CHECK");
  EXPECT_DEATH(pmap_.PageProtect(pmap_.device_frame(0), base::kProtNone), "CHECK");
  EXPECT_DEATH(pmap_.Unwire(pmap, kVa), "CHECK");
  Enter(pmap, kVa, frame_, base::kProtRead);
  EXPECT_DEATH(pmap_.Destroy(pmap), "CHECK");
}

TEST_F(NaivePmapTest, DelayedInvalidationsWaitForUpdate) {
  pmap_.DelayInvalidations();
  Pmap* pmap = pmap_.Create().value();
  Enter(pmap, kVa, frame_, base::kProtReadWrite);
  ASSERT_NE(pmap_.Translate(pmap, kVa, Access::kWrite), nullptr);
  pmap_.ClearModify(frame_);
  Enter(pmap, kVa, other_, base::kProtRead);
  // The old frame, and its M: the kernel of rule 3.
  EXPECT_EQ(pmap_.Translate(pmap, kVa, Access::kWrite), pmap_.HomePointer(frame_));
  EXPECT_TRUE(pmap_.IsModified(frame_));
  Paddr pa;
  EXPECT_TRUE(pmap_.Extract(pmap, kVa, &pa) && pa == other_);
  pmap_.Update(pmap);
  EXPECT_EQ(pmap_.Translate(pmap, kVa, Access::kWrite), nullptr);
  EXPECT_EQ(pmap_.Translate(pmap, kVa, Access::kRead), pmap_.HomePointer(other_));
}

TEST_F(NaivePmapTest, FailedEntersLeaveNoOtherPage) {
  Pmap* pmap = pmap_.Create().value();
  Enter(pmap, kVa, frame_, base::kProtRead);
  pmap_.FailEntersAtRandom(1, 1);
  EXPECT_FALSE(pmap_.Enter(pmap, kVa, other_, base::kProtRead, {.access = base::kProtRead}).ok());
  EXPECT_FALSE(pmap_.Extract(pmap, kVa, nullptr));
  // Who cannot bear it is not refused.
  EXPECT_TRUE(pmap_
                  .Enter(pmap, kVa, other_, base::kProtRead,
                         {.access = base::kProtRead, .can_fail = CanFail::kNo})
                  .ok());
}

TEST_F(NaivePmapTest, ForgettingTakesUnwiredOnesOnly) {
  Pmap* pmap = pmap_.Create().value();
  for (uint64_t i = 0; i < 3; ++i) {
    Enter(pmap, kVa + i * base::kPageSize, frame_ + i * base::kPageSize, base::kProtReadWrite,
          i == 1 ? Wired::kYes : Wired::kNo);
  }
  ASSERT_NE(pmap_.Translate(pmap, kVa, Access::kWrite), nullptr);
  pmap_.ForgetAtRandom(3);
  for (int i = 0; i < 100; ++i) pmap_.Remove(pmap, Page(kVa + 0x100000));
  EXPECT_EQ(pmap_.ResidentCount(pmap), PageCount(1));
  EXPECT_TRUE(pmap_.Extract(pmap, kVa + base::kPageSize, nullptr));
  EXPECT_TRUE(pmap_.IsModified(frame_));
}

TEST_F(NaivePmapTest, FramesStartFullOfGarbage) {
  EXPECT_EQ(*pmap_.HomePointer(frame_), NaivePmap::kGarbage);
  pmap_.ZeroPage(frame_);
  EXPECT_EQ(*pmap_.HomePointer(frame_), 0);
  pmap_.CopyPage(other_, frame_);
  EXPECT_EQ(*pmap_.HomePointer(frame_), NaivePmap::kGarbage);
}

}  // namespace
}  // namespace uvm::testing
