// The rules of CLOCK, each as a picture: pages are letters in the order of their numbers.
#include "uvm/pdpolicy_clock.h"

#include <string>

#include "gtest/gtest.h"
#include "uvm/testing/policy_bench.h"

namespace uvm {
namespace {

using testing::PolicyBench;
using Then = PolicyBench::Then;

class ClockTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kPages = 12;
  const std::string all_ = "ABCDEFGHIJKL";

  void TearDown() override { EXPECT_EQ(bench_.Wrong(), ""); }

  ClockPolicy clock_;
  PolicyBench bench_{&clock_, kPages};
};

TEST_F(ClockTest, PagesComeInActive) {
  bench_.Enqueue("AB");
  bench_.Activate("C");
  EXPECT_EQ(bench_.Queues(), "aaa.........");
  bench_.Enqueue("A");  // no matter where: it stays
  bench_.Deactivate("AD");
  bench_.Enqueue("A");
  EXPECT_EQ(bench_.Queues(), "iaai........");
  bench_.Dequeue("ABE");
  EXPECT_EQ(bench_.Queues(), "..ai........");
}

TEST_F(ClockTest, ActivePagesAreNoVictims) {
  bench_.Enqueue(all_);
  EXPECT_EQ(bench_.Scan(), "");
}

TEST_F(ClockTest, BalanceSinksTheOldestThirdAndForgetsTheirUse) {
  bench_.Enqueue(all_);
  bench_.Use(all_);
  bench_.Balance();
  EXPECT_EQ(bench_.Queues(), "iiiaaaaaaaaa");  // 33% of 12
  EXPECT_FALSE(bench_.at(0).used);
  EXPECT_TRUE(bench_.at(3).used);
  bench_.Balance();
  EXPECT_EQ(bench_.Queues(), "iiiaaaaaaaaa") << "the aim is met";
  EXPECT_EQ(clock_.counters().deactivated, 3u);
}

TEST_F(ClockTest, NeedsScanUntilTheInactiveAimIsMet) {
  EXPECT_FALSE(clock_.NeedsScan());
  bench_.Enqueue(all_);
  EXPECT_TRUE(clock_.NeedsScan());
  bench_.Balance();
  EXPECT_FALSE(clock_.NeedsScan());
}

TEST_F(ClockTest, VictimsAreTheOldestThatWereNotUsedSinceTheySank) {
  bench_.Enqueue(all_);
  bench_.Deactivate("CAB");
  bench_.Use("A");
  EXPECT_EQ(bench_.Scan(), "CB");
  EXPECT_EQ(bench_.Queues(), "a..aaaaaaaaa");
  EXPECT_FALSE(bench_.at(0).used) << "the second chance took the bit";
  EXPECT_EQ(clock_.counters().reactivated, 1u);
}

TEST_F(ClockTest, AReactivatedPageIsTheYoungest) {
  bench_.Enqueue(all_);
  bench_.Deactivate("A");
  bench_.Use("A");
  EXPECT_EQ(bench_.Scan(), "");
  bench_.Deactivate("BCDEFGHIJKL");
  EXPECT_EQ(bench_.Scan(), "BCDEFGHIJKL");
}

TEST_F(ClockTest, AVictimThatIsLeftIsFirstInTheNextScan) {
  bench_.Enqueue(all_);
  bench_.Deactivate("ABC");
  EXPECT_EQ(bench_.Scan(Then::kLeave, 2), "AB");
  EXPECT_EQ(bench_.Scan(), "ABC");
}

TEST_F(ClockTest, AScanEndsWhateverTheCallerDoes) {
  bench_.Enqueue(all_);
  bench_.Deactivate("ABC");
  EXPECT_EQ(bench_.Scan(Then::kLeave), "ABC");
  clock_.BeginScan();
  uint32_t victims = 0;
  while (Page* page = clock_.SelectVictim()) {
    clock_.Deactivate(page);  // to the end of the very queue that is scanned
    bench_.UnlockOwner(page);
    ASSERT_LT(++victims, 100u);
  }
  EXPECT_EQ(victims, 3u);
}

TEST_F(ClockTest, PagesWhoseOwnerIsLockedArePassedOver) {
  bench_.Enqueue(all_);
  bench_.Deactivate("ABC");
  bench_.at(0).locked = true;
  EXPECT_EQ(bench_.Scan(), "BC");
  EXPECT_EQ(clock_.counters().owners_locked, 1u);
  bench_.at(0).locked = false;
  EXPECT_EQ(bench_.Scan(), "A");
}

TEST_F(ClockTest, BalancePassesOverLockedOwnersToo) {
  bench_.Enqueue(all_);
  bench_.at(0).locked = true;
  bench_.Balance();
  EXPECT_EQ(bench_.Queues(), "aiiiaaaaaaaa");
}

TEST_F(ClockTest, APageMayGoWhileItIsTheNextToBeLookedAt) {
  bench_.Enqueue(all_);
  bench_.Deactivate("ABCD");
  clock_.BeginScan();
  Page* first = clock_.SelectVictim();
  ASSERT_EQ(first, bench_.page(0));
  bench_.UnlockOwner(first);
  clock_.Dequeue(bench_.page(1));   // freed
  clock_.Activate(bench_.page(2));  // used
  EXPECT_EQ(clock_.SelectVictim(), bench_.page(3));
  bench_.UnlockOwner(bench_.page(3));
  clock_.EndScan();
}

TEST_F(ClockTest, AWishThatIsNotFulfilledYetCountsInAScan) {
  bench_.Enqueue(all_);
  bench_.Deactivate("ABC");
  PageIntents intents;
  ASSERT_TRUE(intents.Note(bench_.page(0), Intent::kActivate));
  ASSERT_TRUE(intents.Note(bench_.page(1), Intent::kDequeue));
  EXPECT_EQ(bench_.Scan(), "C");
  EXPECT_EQ(bench_.Queues(), "a..aaaaaaaaa");
  intents.Flush(&clock_);
  EXPECT_EQ(bench_.Queues(), "a..aaaaaaaaa") << "it was fulfilled once";
}

// ---- Sorts ----

TEST_F(ClockTest, ASortAtItsMinimumIsSpared) {
  bench_.Sort("A", PageSort::kFile);  // 1 of 12: 8%, of at least 10%
  bench_.Enqueue(all_);
  bench_.Deactivate("ABC");
  EXPECT_EQ(bench_.Scan(), "BC");
  EXPECT_EQ(bench_.Queues().substr(0, 3), "a..");
  EXPECT_EQ(clock_.counters().spared_sort[1], 1u);
}

TEST_F(ClockTest, ASortAboveItsMinimumIsNot) {
  bench_.Sort("AB", PageSort::kFile);  // 16%
  bench_.Enqueue(all_);
  bench_.Deactivate("AC");
  EXPECT_EQ(bench_.Scan(), "C") << "anonymous memory is above 80%, so it pays";
  bench_.Sort("DEF", PageSort::kFile);
  bench_.Dequeue(all_);
  bench_.Enqueue(all_);
  bench_.Deactivate("AC");
  EXPECT_EQ(bench_.Scan(), "AC") << "41% file, 58% anonymous";
}

TEST_F(ClockTest, WhoIsAboveTheMaximumPaysForTheOthers) {
  bench_.Sort("ABCDEFG", PageSort::kFile);  // 58% of at most 50%
  bench_.Sort("H", PageSort::kExecutable);  // 8% of at least 5%
  bench_.Enqueue(all_);
  bench_.Deactivate("AHI");
  EXPECT_EQ(bench_.Scan(), "A");
  EXPECT_EQ(clock_.counters().spared_sort[0], 1u);
  EXPECT_EQ(clock_.counters().spared_sort[2], 1u);
}

TEST_F(ClockTest, ASortIsCountedAsWhatItCameInAs) {
  bench_.Enqueue(all_);
  bench_.Sort(all_, PageSort::kExecutable);  // mapped executable only now
  bench_.Dequeue("ABCDEF");
  EXPECT_EQ(bench_.Wrong(), "");
  bench_.Enqueue("ABCDEF");
  EXPECT_EQ(bench_.Wrong(), "");
}

TEST_F(ClockTest, MinimaMayNotAddUpToMoreThan95Percent) {
  ClockTunables tunables;
  tunables.min[0] = 60, tunables.min[1] = 30, tunables.min[2] = 5;
  EXPECT_TRUE(clock_.SetTunables(tunables).ok());
  tunables.min[2] = 6;
  EXPECT_EQ(clock_.SetTunables(tunables).error(), MapError::kInvalidArgument);
  EXPECT_EQ(clock_.tunables().min[2], 5);
  tunables.min[2] = 5, tunables.max[1] = 101;
  EXPECT_EQ(clock_.SetTunables(tunables).error(), MapError::kInvalidArgument);
  tunables.max[1] = 100, tunables.inactive = 101;
  EXPECT_EQ(clock_.SetTunables(tunables).error(), MapError::kInvalidArgument);
  EXPECT_EQ(clock_.tunables().inactive, 33);
}

TEST_F(ClockTest, DefaultsAreNetBsds) {
  const ClockTunables& t = clock_.tunables();
  constexpr int kMin[] = {10, 10, 5}, kMax[] = {80, 50, 30};
  for (uint32_t sort = 0; sort < kPageSorts; ++sort) {
    EXPECT_EQ(t.min[sort], kMin[sort]);
    EXPECT_EQ(t.max[sort], kMax[sort]);
  }
  EXPECT_EQ(t.inactive, 33);
}

// ---- A shortage of swap ----

TEST_F(ClockTest, AShortageOfSwapFreesSlotsOfPagesInMemory) {
  bench_.Enqueue("ABCDEF");
  bench_.Deactivate("AB");
  for (uint32_t i : {0u, 1u, 2u, 4u}) bench_.at(i).slot = true;
  bench_.at(4).locked = true;
  bench_.Balance(1);
  EXPECT_EQ(bench_.Slots(), "ss..s.......") << "an active page's first";
  bench_.Balance(9);
  EXPECT_EQ(bench_.Slots(), "....s.......");
  EXPECT_EQ(clock_.counters().slots_dropped, 3u);
}

TEST_F(ClockTest, NoShortageFreesNoSlots) {
  bench_.Enqueue(all_);
  bench_.at(0).slot = true;
  bench_.Balance(0);
  EXPECT_EQ(bench_.Slots(), "s...........");
}

// ---- No scan for ever (PR 40027) ----

TEST_F(ClockTest, ASortIsSparedNoLongerWhenNothingElseCanGo) {
  bench_.Sort("A", PageSort::kFile);
  bench_.Enqueue(all_);
  for (uint32_t i = 1; i < kPages; ++i) bench_.at(i).locked = true;
  bench_.Deactivate("A");
  EXPECT_EQ(bench_.Scan(), "") << "spared, and nobody else is here";
  bench_.Deactivate("A");
  EXPECT_EQ(bench_.Scan(), "A");
}

TEST_F(ClockTest, PagesThatCannotGoDoNotShieldThoseThatCan) {
  bench_.Enqueue(all_);
  bench_.Balance();
  EXPECT_EQ(bench_.Scan(Then::kLeave), "ABC");  // none of them goes
  bench_.Balance();
  EXPECT_EQ(bench_.Queues(), "iiiiiiiiiiii");
  EXPECT_EQ(bench_.Scan(Then::kFree, 5), "ABCDE");
  bench_.Activate(all_.substr(5));
  bench_.Balance();
  EXPECT_EQ(bench_.Queues(), ".....iiaaaaa") << "back to a third";
}

TEST_F(ClockTest, AnAimOfNoInactivePagesStillLetsOneSink) {
  ClockTunables tunables;
  tunables.inactive = 0;
  ASSERT_TRUE(clock_.SetTunables(tunables).ok());
  bench_.Enqueue("ABC");
  EXPECT_TRUE(clock_.NeedsScan());
  bench_.Balance();
  EXPECT_EQ(bench_.Queues(), "iaa.........");
}

// From any state, with owners whose locks are free, four rounds bring a victim.
TEST_F(ClockTest, FourRoundsAlwaysBringAVictim) {
  for (uint32_t pages = 1; pages <= 5; ++pages) {
    for (uint32_t sorts = 0; sorts < 3; ++sorts) {
      for (uint32_t active = 0; active <= pages; ++active) {
        ClockPolicy clock;
        PolicyBench bench(&clock, 5);
        const std::string used = std::string("ABCDE").substr(0, pages);
        if (sorts > 0) bench.Sort("A", PageSort::kFile);
        if (sorts > 1) bench.Sort("B", PageSort::kExecutable);
        bench.Use(used);
        bench.Enqueue(used);
        bench.Deactivate(used.substr(active));
        std::string victims;
        for (int round = 0; round < 4 && victims.empty(); ++round) {
          victims = bench.Scan();
          bench.Balance();
        }
        EXPECT_NE(victims, "") << pages << " pages, " << sorts << " sorts, " << active << " active";
      }
    }
  }
}

TEST_F(ClockTest, ValidSeesWhatIsWrong) {
  bench_.Enqueue(all_);
  bench_.page(2)->queue = PageQueue::kInactive;
  EXPECT_EQ(bench_.Wrong(), "frame 0x2000 does not belong in the queue it is in");
  bench_.page(2)->queue = PageQueue::kActive;
  bench_.page(3)->wire_count = 1;
  EXPECT_EQ(bench_.Wrong(), "frame 0x3000 does not belong in the queue it is in");
  bench_.page(3)->wire_count = 0;
  bench_.page(4)->policy = 1;
  EXPECT_EQ(bench_.Wrong(), "sort 0: 11 pages, 12 counted");
  bench_.page(4)->policy = 0;
}

}  // namespace
}  // namespace uvm
