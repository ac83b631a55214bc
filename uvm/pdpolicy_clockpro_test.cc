// The rules of CLOCK-Pro and of its history, each as a picture: where a page is, by number: n(ew),
// c(old), h(ot), l(ist), in capitals under test.
#include "uvm/pdpolicy_clockpro.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "uvm/page_history.h"
#include "uvm/testing/policy_bench.h"

namespace uvm {
namespace {

using testing::PolicyBench;
using Then = PolicyBench::Then;

class Chunks final : public base::PageSource {
 public:
  void* AllocateChunk(size_t bytes) override {
    if (refuse) return nullptr;
    chunks_.emplace_back(new unsigned char[bytes]());
    return chunks_.back().get();
  }
  bool refuse = false;

 private:
  std::vector<std::unique_ptr<unsigned char[]>> chunks_;
};

class ClockProTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kPages = 10;
  const std::string all_ = "ABCDEFGHIJ";

  void TearDown() override { EXPECT_EQ(bench_.Wrong(), ""); }
  std::string States() {
    std::string text;
    for (uint32_t i = 0; i < kPages; ++i) text += pro_.DebugStateOf(bench_.page(i));
    return text;
  }
  void SetCold(uint8_t percent, ColdTarget target = ColdTarget::kFixed) {
    ASSERT_TRUE(pro_.SetTunables({percent, target}).ok());
  }
  // All pages that are new grow cold; none is a victim.
  void GrowCold() { EXPECT_EQ(bench_.Scan(Then::kLeave, 0), ""); }
  // Out, and in again with the same contents.
  void ComeBack(const std::string& pages) { bench_.Enqueue(pages); }

  Chunks memory_;
  ClockProPolicy pro_{&memory_, PageCount(kPages)};
  PolicyBench bench_{&pro_, kPages};
};

TEST_F(ClockProTest, PagesComeInNewAndUnderTest) {
  bench_.Enqueue("AB");
  bench_.Activate("C");
  EXPECT_EQ(States(), "NNN-------");
  EXPECT_EQ(bench_.Queues(), "iii.......");
}

TEST_F(ClockProTest, TheFirstUsesDoNotCount) {
  bench_.Enqueue("ABC");
  bench_.Use("ABC");
  bench_.Activate("B");
  GrowCold();
  EXPECT_EQ(States(), "CCC-------");
  EXPECT_EQ(bench_.Scan(), "ABC") << "nothing was used since";
}

TEST_F(ClockProTest, AColdPageUsedUnderTestTurnsHot) {
  bench_.Enqueue(all_);
  GrowCold();
  bench_.Use("B");
  EXPECT_EQ(bench_.Scan(Then::kFree, 2), "AC");
  EXPECT_EQ(States(), "-h-CCCCCCC");
  EXPECT_EQ(bench_.Queues(), ".a.iiiiiii");
}

TEST_F(ClockProTest, AnOwnersWordCountsLikeTheReferenceBit) {
  bench_.Enqueue(all_);
  GrowCold();
  bench_.Activate("A");
  EXPECT_EQ(bench_.Scan(Then::kFree, 1), "B");
  EXPECT_EQ(States().substr(0, 2), "h-");
}

TEST_F(ClockProTest, WhatComesBackWithinItsTestIsHot) {
  bench_.Enqueue(all_);
  GrowCold();
  EXPECT_EQ(bench_.Scan(Then::kFree, 3), "ABC");
  EXPECT_EQ(pro_.history_size(), 3u);
  ComeBack("B");
  EXPECT_EQ(States(), "-h-CCCCCCC");
  EXPECT_EQ(pro_.history_hits(), 1u);
  ComeBack("B");
  bench_.Dequeue("B");
  ComeBack("B");
  EXPECT_EQ(States(), "-N-CCCCCCC") << "that was no eviction, so no history";
}

TEST_F(ClockProTest, WhatIsGoneForGoodIsForgotten) {
  bench_.Enqueue(all_);
  GrowCold();
  EXPECT_EQ(bench_.Scan(Then::kFree, 1), "A");
  pro_.Forget(bench_.at(0).name);
  EXPECT_EQ(pro_.history_size(), 0u);
  ComeBack("A");
  EXPECT_EQ(States().substr(0, 1), "N");
}

TEST_F(ClockProTest, WhatComesBackToGoAgainHasNoNameInTheHistory) {
  bench_.Enqueue(all_);
  GrowCold();
  EXPECT_EQ(bench_.Scan(Then::kFree, 1), "A");
  bench_.Deactivate("A");
  EXPECT_EQ(pro_.history_size(), 0u);
  EXPECT_EQ(States().substr(0, 1), "l");
}

TEST_F(ClockProTest, ReadAheadIsNotUnderTestUntilItIsUsed) {
  bench_.page(0)->read_ahead = bench_.page(1)->read_ahead = true;
  bench_.Enqueue("AB");
  EXPECT_EQ(States().substr(0, 2), "cc");
  bench_.Use("A");
  EXPECT_EQ(bench_.Scan(), "BA");
  EXPECT_EQ(pro_.history_size(), 1u) << "A's name only";
  bench_.page(0)->read_ahead = bench_.page(1)->read_ahead = false;
  ComeBack("AB");
  EXPECT_EQ(States().substr(0, 2), "hN");
}

TEST_F(ClockProTest, HandHotCoolsWhatWasNotUsed) {
  bench_.Enqueue(all_);
  GrowCold();
  bench_.Use(all_);
  // All turn hot at first; then one in ten has to be cold again: the oldest, as all were used.
  EXPECT_EQ(bench_.Scan(Then::kLeave, 0), "");
  EXPECT_EQ(bench_.Scan(Then::kLeave, 1), "A");
  EXPECT_EQ(States(), "chhhhhhhhh");
}

TEST_F(ClockProTest, HandHotSparesWhatWasUsed) {
  bench_.Enqueue(all_);
  GrowCold();
  bench_.Use(all_);
  EXPECT_EQ(bench_.Scan(Then::kFree, 1), "A");
  bench_.Use("BC");
  bench_.Balance();
  EXPECT_EQ(States(), "-hhlhhhhhh");
}

TEST_F(ClockProTest, APageWhoseTestIsOverIsTestedAgainWhenUsed) {
  bench_.Enqueue("AB");
  bench_.Deactivate("A");
  EXPECT_EQ(States().substr(0, 2), "lN");
  bench_.Use("A");
  GrowCold();
  EXPECT_EQ(bench_.Scan(Then::kFree, 1), "B");
  EXPECT_EQ(States().substr(0, 2), "C-");
  EXPECT_EQ(bench_.Scan(Then::kFree, 1), "A");
}

TEST_F(ClockProTest, PagesWithoutTestGoFirst) {
  bench_.Enqueue(all_);
  GrowCold();
  bench_.Deactivate("GE");
  EXPECT_EQ(bench_.Scan(Then::kFree, 3), "GEA");
  EXPECT_EQ(pro_.history_size(), 1u) << "G and E leave no trace";
}

TEST_F(ClockProTest, TheNewQueueHoldsAQuarterOfTheColdPages) {
  Chunks memory;
  constexpr uint32_t kMany = 8000;
  ClockProPolicy pro(&memory, PageCount(kMany));
  PolicyBench bench(&pro, kMany);
  for (uint32_t i = 0; i < kMany; ++i) pro.Enqueue(bench.page(i));
  EXPECT_EQ(pro.Target(), 800u);
  EXPECT_EQ(pro.NewTarget(), 256u) << "1 MB is more than a quarter";
  ASSERT_TRUE(pro.SetTunables({50, ColdTarget::kFixed}).ok());
  EXPECT_EQ(pro.NewTarget(), 1000u);
  ASSERT_TRUE(pro.SetTunables({1, ColdTarget::kFixed}).ok());
  EXPECT_EQ(pro.NewTarget(), 40u) << "1 MB is more than half";
  pro.BeginScan();
  EXPECT_EQ(pro.DebugStateOf(bench.page(kMany - 41)), 'C');
  EXPECT_EQ(pro.DebugStateOf(bench.page(kMany - 40)), 'N');
  pro.EndScan();
}

TEST_F(ClockProTest, TunablesHaveBounds) {
  EXPECT_EQ(pro_.tunables().cold, 10);
  EXPECT_EQ(pro_.tunables().target, ColdTarget::kFixed);
  EXPECT_EQ(pro_.SetTunables({0, ColdTarget::kFixed}).error(), MapError::kInvalidArgument);
  EXPECT_EQ(pro_.SetTunables({101, ColdTarget::kFixed}).error(), MapError::kInvalidArgument);
  EXPECT_TRUE(pro_.SetTunables({100, ColdTarget::kAdaptive}).ok());
}

TEST_F(ClockProTest, AnAdaptiveTargetGrowsWithUsesUnderTest) {
  SetCold(30, ColdTarget::kAdaptive);
  bench_.Enqueue(all_);
  EXPECT_EQ(pro_.Target(), 3u);
  GrowCold();
  bench_.Use("AB");
  EXPECT_EQ(bench_.Scan(Then::kFree, 1), "C");
  EXPECT_EQ(pro_.Target(), 4u) << "30% of 9, and 2";
  ComeBack("C");
  EXPECT_EQ(pro_.Target(), 6u) << "30% of 10, and 3";
}

TEST_F(ClockProTest, AFixedTargetStays) {
  SetCold(30);
  bench_.Enqueue(all_);
  GrowCold();
  bench_.Use("AB");
  EXPECT_EQ(bench_.Scan(Then::kFree, 1), "C");
  EXPECT_EQ(pro_.Target(), 2u) << "30% of 9";
}

TEST_F(ClockProTest, PagesWhoseOwnerIsLockedArePassedOver) {
  bench_.Enqueue(all_);
  GrowCold();
  bench_.at(0).locked = true;
  EXPECT_EQ(bench_.Scan(Then::kFree, 2), "BC");
  bench_.at(0).locked = false;
  EXPECT_EQ(bench_.Scan(), "DEFGHIJA");
}

TEST_F(ClockProTest, AScanEndsWhateverTheCallerDoes) {
  bench_.Enqueue(all_);
  EXPECT_LE(bench_.Scan(Then::kLeave).size(), 2u * kPages);
  EXPECT_LE(bench_.Scan(Then::kActivate).size(), 2u * kPages);
}

TEST_F(ClockProTest, HotPagesGoWhenColdOnesCannot) {
  bench_.Enqueue(all_);
  GrowCold();
  bench_.Use("BCDEFGHIJ");
  bench_.at(0).locked = true;  // the one cold page that one in ten may be
  std::string victims;
  for (int round = 0; round < 4 && victims.empty(); ++round) {
    victims = bench_.Scan(Then::kFree, 1);
    bench_.Balance();
  }
  EXPECT_EQ(victims, "B");
}

TEST_F(ClockProTest, AWishThatIsNotFulfilledYetCountsInAScan) {
  bench_.Enqueue(all_);
  GrowCold();
  PageIntents intents;
  ASSERT_TRUE(intents.Note(bench_.page(0), Intent::kDequeue));
  ASSERT_TRUE(intents.Note(bench_.page(1), Intent::kActivate));
  EXPECT_EQ(bench_.Scan(Then::kFree, 1), "C");
  EXPECT_EQ(States().substr(0, 3), "-h-");
}

TEST_F(ClockProTest, AShortageOfSwapFreesSlotsOfPagesInMemory) {
  bench_.Enqueue("ABC");
  bench_.at(0).slot = bench_.at(2).slot = true;
  bench_.Balance(1);
  EXPECT_EQ(bench_.Slots(), "..s.......");
  bench_.Balance(5);
  EXPECT_EQ(bench_.Slots(), "..........");
}

TEST_F(ClockProTest, NoMemoryForTheHistoryIsFatal) {
  Chunks none;
  none.refuse = true;
  EXPECT_DEATH(ClockProPolicy(&none, PageCount(10)), "Allocate");
}

// ---- The history ----

class HistoryTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kPages = 1000;
  HistoryTest() { EXPECT_TRUE(history_.Allocate(&memory_, PageCount(kPages))); }
  Chunks memory_;
  PageHistory history_;
};

TEST_F(HistoryTest, HasRoomForTwiceThePages) {
  EXPECT_GE(history_.buckets() * PageHistory::kBucketCookies, 2 * kPages);
  EXPECT_LT(history_.buckets() * PageHistory::kBucketCookies, 4 * kPages);
}

TEST_F(HistoryTest, ANameIsTakenOnce) {
  EXPECT_FALSE(history_.Take(7));
  EXPECT_EQ(history_.Add(7), 0u);
  EXPECT_FALSE(history_.Take(8));
  EXPECT_TRUE(history_.Take(7));
  EXPECT_FALSE(history_.Take(7));
  EXPECT_EQ(history_.size(), 0u);
}

TEST_F(HistoryTest, ARoundOfTheHandIsALifetime) {
  (void)history_.Add(7);
  (void)history_.Add(8);
  uint32_t died = 0;
  for (int step = 0; step < 98; ++step) died += history_.Age(1, 100);
  EXPECT_EQ(died, 0u);
  EXPECT_TRUE(history_.Take(7));
  for (int step = 0; step < 3; ++step) died += history_.Age(1, 100);
  EXPECT_FALSE(history_.Take(8));
}

TEST_F(HistoryTest, WhatDiedIsSweptWithinAnotherRound) {
  for (uint64_t name = 0; name < 500; ++name) (void)history_.Add(name);
  uint64_t died = 500 - history_.size();
  for (int step = 0; step < 200; ++step) died += history_.Age(1, 100);
  EXPECT_EQ(died, 500u);
  EXPECT_EQ(history_.size(), 0u);
}

TEST_F(HistoryTest, AFullBucketLosesItsOldest) {
  PageHistory one;
  ASSERT_TRUE(one.Allocate(&memory_, PageCount(7)));
  ASSERT_EQ(one.buckets(), 1u);
  for (uint64_t name = 1; name <= 14; ++name) EXPECT_EQ(one.Add(name), 0u);
  EXPECT_EQ(one.Add(15), 1u);
  EXPECT_FALSE(one.Take(1));
  for (uint64_t name = 2; name <= 15; ++name) EXPECT_TRUE(one.Take(name)) << name;
}

// However far the hand runs at once, no cookie comes back to life.
TEST_F(HistoryTest, NothingLivesTwice) {
  (void)history_.Add(7);
  for (int round = 0; round < 9; ++round) {
    (void)history_.Age(1000, 100);  // as if 100
    EXPECT_FALSE(history_.Take(7)) << round;
  }
}

}  // namespace
}  // namespace uvm
