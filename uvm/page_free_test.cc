// Free lists, colours, buckets, reserves, caches: which frame comes, and when none does.
#include "uvm/page_free.h"

#include <string>
#include <vector>

#include "base/addr.h"
#include "gtest/gtest.h"
#include "uvm/core.h"
#include "uvm/page.h"
#include "uvm/page_cache.h"
#include "uvm/physseg.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/host_pages.h"
#include "uvm/testing/naive_pmap.h"

namespace uvm {
namespace {

// A frame is called by its distance from the lower of the two segments' first frame.
class FreePagesTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kFrames = 64;

  Page* Take(const FrameRequest& request = {}) {
    return pages_.AllocateForAnon(reinterpret_cast<Anon*>(&anon_), request);
  }
  // The names of the next `count` frames, which stay allocated.
  std::string TakeMany(int count, const FrameRequest& request = {}) {
    std::string names;
    for (int i = 0; i < count; ++i) {
      Page* page = Take(request);
      names += (i == 0 ? "" : " ") + (page == nullptr ? "none" : std::to_string(NameOf(page)));
    }
    return names;
  }
  uint64_t NameOf(const Page* page) const { return page->pa.PageNumber() - First().PageNumber(); }
  Paddr First() const { return pmap_.segment(0).start; }
  Paddr At(uint64_t name) const { return First() + base::ToBytes(PageCount(name)); }
  uint64_t Lower() const { return pmap_.segment(0).pages.value(); }
  void Free(uint64_t name) { pages_.Free(pages_.FromPaddr(At(name))); }
  uint64_t FreeCount() const { return pages_.free_count().value(); }
  // Gives the frames of the upper segment to another free list.
  void MoveUpper(uint32_t list) {
    const PhysicalSegment upper = pmap_.segment(1);
    ASSERT_TRUE(pages_.Unplug(upper.start, upper.pages));
    ASSERT_TRUE(pages_.Plug(upper.start, upper.pages, list));
  }
  void TearDown() override { EXPECT_EQ(pages_.DebugWrongFree(~uint64_t{0}), nullptr); }

  testing::NaivePmap pmap_{kFrames};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Core core_{&memory_, &pmap_, &threads_, {}, {}};
  PageStore pages_{&core_};
  uint64_t anon_ = 0;
};

// ---- In which order.

TEST_F(FreePagesTest, FreshMemoryComesInTheOrderOfAddresses) {
  EXPECT_EQ(TakeMany(6), "0 1 2 3 4 5");
}

TEST_F(FreePagesTest, WhatWasFreedLastComesFirst) {
  TakeMany(10);
  Free(7);
  Free(2);
  Free(5);
  EXPECT_EQ(TakeMany(4), "5 2 7 10");
}

TEST_F(FreePagesTest, WhatWasFreedInTheOrderOfAddressesComesSo) {
  TakeMany(10);
  for (uint64_t name : {7, 3, 4, 5, 6, 1}) Free(name);
  EXPECT_EQ(TakeMany(7), "1 3 4 5 6 7 10");
  Free(3);
  Free(4);
  EXPECT_EQ(TakeMany(1), "3");
  Free(5);
  EXPECT_EQ(TakeMany(2), "4 5");
}

TEST_F(FreePagesTest, ManyAllocationsGoOnWithNeighbours) {
  testing::NaivePmap pmap(2000);
  Core core{&memory_, &pmap, &threads_, {}, {}};
  PageStore pages(&core);
  std::vector<Page*> all;
  for (int i = 0; i < 900; ++i)
    all.push_back(pages.AllocateForAnon(reinterpret_cast<Anon*>(&anon_)));
  // Freed in an order that has no neighbours: stack order would give them back likewise.
  for (int i = 0; i < 900; ++i) pages.Free(all[static_cast<size_t>(i * 7 % 900)]);
  int neighbours = 0;
  const Page* before = nullptr;
  for (int i = 0; i < 900; ++i) {
    const Page* page = pages.AllocateForAnon(reinterpret_cast<Anon*>(&anon_));
    neighbours += before != nullptr && page->pa == before->pa + base::kPageSize ? 1 : 0;
    before = page;
  }
  EXPECT_GT(neighbours, 600);
  EXPECT_LT(neighbours, 900 - static_cast<int>(FreePages::kStreak) + 1)
      << "the first come from the top of the stack";
}

// ---- Colours.

TEST_F(FreePagesTest, ColoursTakeTurns) {
  ASSERT_TRUE(pages_.Recolour(4));
  TakeMany(16);
  for (uint64_t name : {1, 5, 9, 2, 4}) Free(name);
  // Colour 0 is next: 4; then 9 as the last freed of colour 1; then 2; none of colour 3 is left
  // but fresh ones.
  EXPECT_EQ(TakeMany(4), "4 9 2 19");
}

TEST_F(FreePagesTest, AWantedColourIsTakenIfThereIsOne) {
  ASSERT_TRUE(pages_.Recolour(8));
  const FrameRequest fifth{.flags = kAllocColourMatch, .colour = 8 * 1000 + 5};
  EXPECT_EQ(NameOf(Take(fifth)) % 8, 5u);
  EXPECT_EQ(NameOf(Take(fifth)) % 8, 5u);
  EXPECT_EQ(NameOf(Take()) % 8, 0u) << "turns go on as if nothing had been wanted";
  while (NameOf(Take(fifth)) % 8 == 5) {
  }
  EXPECT_GT(FreeCount(), 0u) << "another colour came when the wanted one was used up";
}

TEST_F(FreePagesTest, ColoursArePowersOfTwoAndOnlyGrow) {
  for (uint32_t wrong : {0u, 3u, 6u, 2048u, ~0u}) EXPECT_FALSE(pages_.Recolour(wrong)) << wrong;
  EXPECT_TRUE(pages_.Recolour(4));
  EXPECT_FALSE(pages_.Recolour(2));
  EXPECT_TRUE(pages_.Recolour(4)) << "as it is";
  EXPECT_TRUE(pages_.Recolour(16));
  EXPECT_EQ(FreeCount(), kFrames);
  memory_.FailAfter(0);
  EXPECT_FALSE(pages_.Recolour(1024)) << "no memory for so many queues";
  EXPECT_EQ(pages_.DebugFree().colours(), 16u);
}

// ---- Free lists.

TEST_F(FreePagesTest, StrategiesSayWhichFreeList) {
  MoveUpper(1);
  const FrameRequest only{.strategy = FrameStrategy::kOnly, .free_list = 1};
  const FrameRequest fallback{.strategy = FrameStrategy::kFallback, .free_list = 1};
  EXPECT_EQ(Take()->free_list, 0) << "list 0 goes first";
  EXPECT_EQ(Take(only)->free_list, 1);
  EXPECT_EQ(Take(fallback)->free_list, 1);
  while (Page* page = Take(only)) EXPECT_EQ(page->free_list, 1);
  EXPECT_GT(FreeCount(), 0u);
  EXPECT_EQ(core_.counters.frame_shortages, 0u) << "waiting for frames would not help";
  EXPECT_EQ(Take(fallback)->free_list, 0);
  while (Take() != nullptr) {
  }
  EXPECT_EQ(core_.counters.frame_shortages, 1u);
  EXPECT_EQ(FreeCount(), 0u);
}

TEST_F(FreePagesTest, AListThatNobodyHasGivesNothing) {
  EXPECT_EQ(Take({.strategy = FrameStrategy::kOnly, .free_list = 1}), nullptr);
  EXPECT_EQ(Take({.strategy = FrameStrategy::kOnly, .free_list = ~0u}), nullptr);
  EXPECT_NE(Take({.strategy = FrameStrategy::kOnly, .free_list = 0}), nullptr);
  EXPECT_NE(Take({.strategy = FrameStrategy::kFallback, .free_list = 7}), nullptr);
  EXPECT_NE(Take({.strategy = FrameStrategy::kNormal, .free_list = 7}), nullptr);
  EXPECT_NE(Take({.strategy = FrameStrategy::kNuma, .free_list = 7}), nullptr);
}

// ---- Buckets.

TEST_F(FreePagesTest, FramesOfANodeGoToItsBucket) {
  ASSERT_TRUE(pages_.NumaLoad(At(0), Lower() * base::kPageSize, 1));
  ASSERT_TRUE(pages_.NumaLoad(pmap_.segment(1).start, 1 << 20, 0));
  ASSERT_TRUE(pages_.Rebucket(2));
  // Processor 0 is near bucket 0: the upper segment.
  const uint64_t upper = pmap_.segment(1).pages.value();
  for (uint64_t i = 0; i < upper; ++i) ASSERT_EQ(Take()->bucket, 0);
  EXPECT_EQ(Take()->bucket, 1) << "rather a distant one than none";
  EXPECT_EQ(Take({.strategy = FrameStrategy::kNuma})->bucket, 1);
}

TEST_F(FreePagesTest, NumaPrefersANearFrameOfAnotherList) {
  MoveUpper(2);
  ASSERT_TRUE(pages_.NumaLoad(At(0), Lower() * base::kPageSize, 1));
  ASSERT_TRUE(pages_.NumaLoad(pmap_.segment(1).start, 1 << 20, 0));
  ASSERT_TRUE(pages_.Rebucket(2));
  EXPECT_EQ(Take({.strategy = FrameStrategy::kNuma})->free_list, 2);
  EXPECT_EQ(Take()->free_list, 0);
}

TEST_F(FreePagesTest, BucketsAreOneToEight) {
  EXPECT_FALSE(pages_.Rebucket(0));
  EXPECT_FALSE(pages_.Rebucket(9));
  EXPECT_TRUE(pages_.Rebucket(8));
  Page* page = nullptr;
  do {
    page = Take();
  } while (page->bucket != 5);
  EXPECT_TRUE(pages_.Rebucket(2));
  pages_.Free(page);  // its bucket of before is no more
  EXPECT_EQ(pages_.DebugWrongFree(~uint64_t{0}), nullptr);
  EXPECT_FALSE(pages_.NumaLoad(At(0), 0, 1));
  EXPECT_FALSE(pages_.NumaLoad(At(1), ~uint64_t{0}, 1)) << "wraps round";
}

// ---- Reserves.

TEST_F(FreePagesTest, ReservesAreForTheKernelAndTheLastFrameForTheDaemon) {
  pages_.SetReserves({.pagedaemon = PageCount(1), .kernel = PageCount(5)});
  for (uint64_t i = 0; i < kFrames - 6; ++i) ASSERT_NE(Take(), nullptr);
  EXPECT_EQ(Take(), nullptr);
  EXPECT_EQ(core_.counters.frame_shortages, 1u);
  const FrameRequest kernel{.flags = kAllocUseReserve};
  for (int i = 0; i < 5; ++i) ASSERT_NE(Take(kernel), nullptr);
  EXPECT_EQ(Take(kernel), nullptr);
  EXPECT_NE(Take({.flags = kAllocForDaemon}), nullptr);
  EXPECT_EQ(Take({.flags = kAllocForDaemon}), nullptr);
  EXPECT_EQ(FreeCount(), 0u);
}

TEST_F(FreePagesTest, AZeroedPageIsNeitherFakeNorClean) {
  Page* page = Take({.flags = kAllocZero});
  EXPECT_FALSE(page->fake);
  EXPECT_EQ(page->dirty, Dirty::kDirty);
  EXPECT_EQ(pages_.Contents(page)[0], 0);
  EXPECT_EQ(pages_.Contents(page)[4095], 0);
}

// ---- Caches.

TEST_F(FreePagesTest, ACacheIsFilledWhenItIsEmptyAndHoldsSevenOfAColour) {
  ASSERT_TRUE(pages_.StartCaches(1));
  const FrameCaches& caches = pages_.DebugCaches();
  EXPECT_EQ(TakeMany(1), "0");
  EXPECT_EQ(caches.size(), 6u);
  EXPECT_EQ(FreeCount(), kFrames - 1) << "what is cached is free";
  EXPECT_EQ(TakeMany(6), "1 2 3 4 5 6") << "in the order of the queue";
  EXPECT_EQ(caches.size(), 0u);
  for (uint64_t name = 0; name < 7; ++name) Free(name);
  EXPECT_EQ(caches.size(), 7u);
  TakeMany(8);
  for (uint64_t name = 0; name < 8; ++name) Free(name);
  EXPECT_EQ(caches.size(), 7u);
  ASSERT_TRUE(pages_.Recolour(2));
  EXPECT_EQ(caches.size(), 0u) << "another number of colours is another cache";
  TakeMany(1);
  EXPECT_EQ(caches.size(), 12u);
}

TEST_F(FreePagesTest, WhereMemoryIsShortNothingIsCached) {
  ASSERT_TRUE(pages_.StartCaches(2));
  pages_.SetReserves({.pagedaemon = PageCount(1), .kernel = PageCount(5)});
  uint64_t taken = 0;
  while (Take() != nullptr) ++taken;
  EXPECT_EQ(taken, kFrames - 6) << "the reserve is what it is without caches";
  EXPECT_EQ(pages_.DebugCaches().size(), 0u);
  Free(3);
  EXPECT_EQ(pages_.DebugCaches().size(), 0u);
}

TEST_F(FreePagesTest, TheReserveIsNotInTheCaches) {
  ASSERT_TRUE(pages_.StartCaches(1));
  pages_.SetReserves({.pagedaemon = PageCount(0), .kernel = PageCount(20)});
  TakeMany(1);
  ASSERT_EQ(pages_.DebugCaches().size(), 6u);
  while (FreeCount() > 16) ASSERT_NE(Take({.flags = kAllocUseReserve}), nullptr);
  EXPECT_EQ(Take(), nullptr);
  pages_.SetReserves({});
  ASSERT_NE(Take(), nullptr);
  ASSERT_GT(pages_.DebugCaches().size(), 0u);
  pages_.SetReserves({.pagedaemon = PageCount(0), .kernel = PageCount(20)});
  EXPECT_EQ(Take(), nullptr) << "it grew";
}

TEST_F(FreePagesTest, ANeighbourInACacheIsLeftThere) {
  testing::NaivePmap pmap(400);
  Core core{&memory_, &pmap, &threads_, {}, {}};
  PageStore pages(&core);
  ASSERT_TRUE(pages.StartCaches(1));
  const Paddr cached = pmap.segment(0).start + base::ToBytes(PageCount(150));
  Page* page;
  {
    PageStore::FrameSearch exclusive(&pages);
    page = pages.TakeForKernel(cached);
  }
  pages.Free(page);
  ASSERT_TRUE(page->cached);
  for (int i = 0; i < 160; ++i) {
    const Page* taken =
        pages.AllocateForAnon(reinterpret_cast<Anon*>(&anon_), {.flags = kAllocUseReserve});
    ASSERT_NE(taken, page);
  }
  EXPECT_TRUE(page->cached);
  EXPECT_EQ(pages.DebugWrongFree(~uint64_t{0}), nullptr);
}

TEST_F(FreePagesTest, WhoNeedsACachedFrameGetsIt) {
  ASSERT_TRUE(pages_.StartCaches(1));
  TakeMany(1);
  ASSERT_EQ(pages_.DebugCaches().size(), 6u);
  const FrameRequest daemon{.flags = kAllocForDaemon};  // never from a cache
  uint64_t taken = 0;
  while (Take(daemon) != nullptr) ++taken;
  EXPECT_EQ(taken, kFrames - 1);
}

TEST_F(FreePagesTest, UnpluggingEmptiesTheCaches) {
  ASSERT_TRUE(pages_.StartCaches(1));
  TakeMany(1);
  ASSERT_TRUE(pages_.FromPaddr(At(3))->cached);
  EXPECT_TRUE(pages_.Unplug(At(3), PageCount(1)));
  EXPECT_EQ(pages_.FromPaddr(At(3)), nullptr);
}

TEST_F(FreePagesTest, CachesThatThereIsNoMemoryFor) {
  EXPECT_FALSE(pages_.StartCaches(FrameCaches::kMaxProcessors + 1));
  memory_.FailAfter(0);
  EXPECT_FALSE(pages_.StartCaches(1));
  memory_.FailAfter(1);
  EXPECT_FALSE(pages_.StartCaches(1)) << "the magazines";
  EXPECT_EQ(TakeMany(2), "0 1");
  memory_.FailAfter(2);
  EXPECT_TRUE(pages_.StartCaches(1));
  memory_.FailAfter(1);
  EXPECT_TRUE(pages_.Recolour(256)) << "works without caches";
  Take();
  EXPECT_EQ(pages_.DebugCaches().size(), 0u);
}

// ---- Memory that comes and goes.

TEST_F(FreePagesTest, UsedFramesStay) {
  TakeMany(3);
  EXPECT_FALSE(pages_.Unplug(At(1), PageCount(4)));
  EXPECT_EQ(pages_.total(), PageCount(kFrames));
  EXPECT_TRUE(pages_.Unplug(At(3), PageCount(4)));
  EXPECT_EQ(pages_.total(), PageCount(kFrames - 4));
  EXPECT_EQ(FreeCount(), kFrames - 7);
  EXPECT_EQ(TakeMany(1), "7");
  EXPECT_FALSE(pages_.Unplug(At(3), PageCount(1))) << "gone already";
  EXPECT_TRUE(pages_.Plug(At(3), PageCount(4)));
  EXPECT_FALSE(pages_.Plug(At(3), PageCount(1))) << "there already";
  EXPECT_FALSE(pages_.Plug(At(kFrames + 1000), PageCount(1))) << "the pmap cannot reach it";
  EXPECT_EQ(pages_.total(), PageCount(kFrames));
}

TEST_F(FreePagesTest, TheLastSegmentStays) {
  const PhysicalSegment upper = pmap_.segment(1);
  ASSERT_TRUE(pages_.Unplug(upper.start, upper.pages));
  EXPECT_FALSE(pages_.Unplug(At(0), PageCount(Lower())));
  EXPECT_TRUE(pages_.Unplug(At(1), PageCount(Lower() - 1)));
  EXPECT_EQ(TakeMany(2), "0 none");
}

TEST_F(FreePagesTest, AStoreBeginsWithWhatItIsTold) {
  const FrameRange some[] = {{At(4), PageCount(2)}, {At(10), PageCount(3), 2}};
  PageStore pages(&core_, some, 2);
  EXPECT_EQ(pages.total(), PageCount(5));
  EXPECT_EQ(pages.free_count(), PageCount(5));
  EXPECT_EQ(pages.FromPaddr(At(3)), nullptr);
  EXPECT_EQ(pages.FromPaddr(At(10))->free_list, 2);
  EXPECT_TRUE(pages.Plug(At(6), PageCount(4)));
  EXPECT_EQ(pages.total(), PageCount(9));
}

using FreePagesDeathTest = FreePagesTest;

TEST_F(FreePagesDeathTest, Misuse) {
  const FrameRange nonsense{At(kFrames + 1000), PageCount(1)};
  EXPECT_DEATH(PageStore(&core_, &nonsense, 1), "range_plugged");
}

}  // namespace
}  // namespace uvm
