// What the core does for a piece of work, counted: the figures that do not
// depend on a clock. The timed ones are uvm_benchmark's.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/prng.h"
#include "base/prot.h"
#include "gtest/gtest.h"
#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/map.h"
#include "uvm/page.h"
#include "uvm/space.h"
#include "uvm/testing/fake_threads.h"
#include "uvm/testing/fast_pmap.h"
#include "uvm/testing/host_pages.h"
#include "uvm/uvm.h"

namespace uvm {
namespace {

constexpr uint64_t kPage = base::kPageSize;
constexpr Vaddr kMin(0x10000);
constexpr Vaddr PageAt(uint64_t page) { return kMin + page * kPage; }

class FiguresTest : public ::testing::Test {
 protected:
  Space *NewSpace() { return uvm_.CreateSpace(kMin, Vaddr(uint64_t{1} << 46)).value(); }
  void Map(Space *space, uint64_t page, uint64_t pages) {
    auto entered = space->map().Enter({.at = PageAt(page),
                                       .size = pages * kPage,
                                       .where = Map::Where::kFixed,
                                       .prot = base::kProtReadWrite,
                                       .flags = kEnterNoMerge});
    ASSERT_TRUE(entered.ok());
  }
  void Write(Space *space, uint64_t first, uint64_t pages) {
    for (uint64_t page = first; page < first + pages; ++page) {
      ASSERT_TRUE(uvm_.Fault(space, PageAt(page), Access::kWrite).ok());
    }
  }
  uint64_t Anons() const { return uvm_.DebugAnons().live(); }
  uint64_t Amaps() const { return uvm_.DebugAmaps().live(); }
  uint64_t Frames() { return uvm_.counters().frames_in_use; }

  testing::FastPmap pmap_{20000};
  testing::FakeThreads threads_;
  testing::HostPages memory_;
  Uvm uvm_{{&memory_, &pmap_, &threads_}};
};

// What a lookup, an insertion and a search for space go through, at most.
size_t Height(const MapEntry *entry) {
  if (entry == nullptr) return 0;
  const size_t left = Height(entry->rb_child[0]);
  const size_t right = Height(entry->rb_child[1]);
  return 1 + (left > right ? left : right);
}

size_t BitsOf(uint64_t entries) {
  size_t bits = 0;
  while (((entries + 1) >> bits) != 0) ++bits;
  return bits;
}

// Entries from the root to the one at `va`: what a lookup without a hint visits.
size_t DepthOf(const Map &map, Vaddr va) {
  size_t depth = 0;
  for (const MapEntry *at = map.DebugRoot(); at != nullptr;) {
    ++depth;
    if (va >= at->start && va < at->end) return depth;
    at = at->rb_child[va < at->start ? 0 : 1];
  }
  ADD_FAILURE() << "no entry";
  return depth;
}

TEST_F(FiguresTest, MapsGrowInHeightAsTheLogarithmOfTheirEntries) {
  for (uint64_t entries : {100, 1'000, 10'000, 100'000}) {
    const size_t bits = BitsOf(entries);
    Space *in_order = NewSpace();
    for (uint64_t i = 0; i < entries; ++i) Map(in_order, 2 * i, 1);
    EXPECT_EQ(in_order->map().DebugCount(), entries);
    EXPECT_LE(Height(in_order->map().DebugRoot()), 2 * bits);
    // And while they come and go.
    base::Prng prng(entries, "figures_test");
    for (uint64_t i = 0; i < entries; ++i) {
      const uint64_t page = 2 * prng.Below(entries / 4);
      ASSERT_TRUE(in_order->map().Unmap({PageAt(page), PageAt(page + 1)}).ok());
      if (i % 3 == 0) Map(in_order, page, 1);
    }
    EXPECT_LE(Height(in_order->map().DebugRoot()), 2 * bits);
    uvm_.FreeSpace(in_order);
  }
}

// Entries visited, counted: by a lookup; by an insertion, which finds its place and tells the
// entries above; by a search that has to pass thousands of gaps which are too small. On average no
// more than a few for each doubling of the map, and never more than twice its height, which is what
// going up and down again takes.
TEST_F(FiguresTest, LookupsInsertionsAndSearchesVisitAsTheLogarithmOfTheEntries) {
  constexpr uint64_t kTries = 1000;
  for (uint64_t entries : {100, 1'000, 10'000, 100'000, 1'000'000}) {
    SCOPED_TRACE(entries);
    Space *space = NewSpace();
    // Gaps of one page, but of three pages after every 4096th entry and the last.
    uint64_t end = 0;
    for (uint64_t i = 0; i < entries; ++i) {
      Map(space, end, 1);
      end += i % 4096 == 4095 ? 4 : 2;
    }
    class Map &map = space->map();
    const uint64_t most = 2 * Height(map.DebugRoot());
    EXPECT_LE(most, 4 * BitsOf(entries));
    base::Prng prng(entries, "figures_test.visits");
    uint64_t looked_up = 0, inserted = 0, searched = 0, far = 0;
    for (uint64_t i = 0; i < kTries; ++i) {
      const uint64_t page = prng.Below(end);
      Vaddr found;
      uint32_t before = map.DebugGapVisits();
      ASSERT_TRUE(map.FindSpace({.hint = PageAt(page), .size = 2 * kPage}, &found));
      const uint32_t visits = map.DebugGapVisits() - before;
      EXPECT_GE(visits, 1u);
      EXPECT_LE(visits, most + 2);
      searched += visits;
      far += found - PageAt(page) > 100 * kPage ? 1 : 0;
      // In the gap that was found.
      before = map.DebugGapVisits();
      Map(space, (found - kMin) / kPage, 1);
      const uint64_t depth = DepthOf(map, found);
      EXPECT_LE(depth, most / 2 + 1);
      inserted += depth + (map.DebugGapVisits() - before);
      ASSERT_TRUE(map.Unmap({found, found + kPage}).ok());
      // Any entry there is, at or below the page.
      MapEntry *entry = nullptr;
      {
        const ReaderLock lock(&map.lock());
        for (uint64_t at = page; entry == nullptr; --at) entry = map.LookupLocked(PageAt(at));
      }
      looked_up += DepthOf(map, entry->start);
    }
    EXPECT_EQ(map.DebugCount(), entries);
    if (entries >= 10'000) {
      EXPECT_GT(far, kTries / 2);
    }
    for (const uint64_t sum : {looked_up, inserted, searched}) {
      EXPECT_LE(sum, kTries * 2 * BitsOf(entries));
    }
    uvm_.FreeSpace(space);
  }
}

// One protection of each entry, one update, and nothing a page.
TEST_F(FiguresTest, AForkCopiesNoPageAndProtectsEachEntryOnce) {
  constexpr uint64_t kEntries = 40, kEach = 100;
  Space *parent = NewSpace();
  for (uint64_t i = 0; i < kEntries; ++i) {
    Map(parent, i * kEach, kEach);
    Write(parent, i * kEach, kEach);
  }
  Map(parent, kEntries * kEach, 1'000'000);  // never touched
  const Counters before = uvm_.counters();
  const testing::FastPmap::Calls calls = pmap_.calls();
  const uint64_t amaps = Amaps();
  Space *child = uvm_.ForkSpace(parent).value();
  EXPECT_EQ(uvm_.counters().page_copy, before.page_copy);
  EXPECT_EQ(uvm_.counters().zero_fill, before.zero_fill);
  EXPECT_EQ(uvm_.counters().amap_copy, before.amap_copy);
  EXPECT_EQ(uvm_.counters().faults, before.faults);
  EXPECT_EQ(Frames(), before.frames_in_use);
  EXPECT_EQ(Amaps(), amaps);
  // Chunks of 16 pages are entries of their own.
  const uint64_t entries = parent->map().DebugCount() - 1;
  EXPECT_LE(entries, kEntries * (kEach / kAmapChunkSlots + 2));
  EXPECT_EQ(pmap_.calls().protect - calls.protect, entries);
  EXPECT_EQ(pmap_.calls().protected_pages - calls.protected_pages, kEntries * kEach);
  EXPECT_LE(pmap_.calls().update - calls.update, 1u);
  EXPECT_EQ(pmap_.calls().all() - calls.all(), entries + 1);
  // A second one finds everything protected.
  const testing::FastPmap::Calls again = pmap_.calls();
  Space *second = uvm_.ForkSpace(parent).value();
  EXPECT_EQ(pmap_.calls().protect, again.protect);
  for (Space *space : {second, child, parent}) uvm_.FreeSpace(space);
}

// What one write costs in a family of so many generations.
struct Cost {
  uint64_t faults, restarts, copies, amap_copies, pmap_calls;
  bool operator==(const Cost &) const = default;
};

TEST_F(FiguresTest, AWriteAfterAThousandForksCostsWhatItDoesAfterOne) {
  constexpr uint64_t kPages = 64;
  std::vector<Cost> costs;
  for (uint64_t generations : {1, 10, 100, 1'000}) {
    Space *space = NewSpace();
    Map(space, 0, kPages);
    Write(space, 0, kPages);
    for (uint64_t i = 1; i < generations; ++i) {
      Space *child = uvm_.ForkSpace(space).value();
      for (uint64_t page = i % 2; page < kPages; page += 2) Write(child, page, 1);
      uvm_.FreeSpace(std::exchange(space, child));
    }
    Space *last = uvm_.ForkSpace(space).value();
    const Counters before = uvm_.counters();
    const uint64_t calls = pmap_.calls().all();
    Write(last, 0, kPages);
    const Counters &after = uvm_.counters();
    costs.push_back({after.faults - before.faults, after.fault_restarts - before.fault_restarts,
                     after.page_copy - before.page_copy, after.amap_copy - before.amap_copy,
                     pmap_.calls().all() - calls});
    // No generation is kept that nobody can reach.
    EXPECT_EQ(Frames(), 2 * kPages);
    EXPECT_EQ(Anons(), 2 * kPages);
    uvm_.FreeSpace(last);
    uvm_.FreeSpace(space);
  }
  EXPECT_EQ(costs[0].copies, kPages);
  EXPECT_EQ(costs[0].faults, kPages);
  EXPECT_LE(costs[0].restarts, 1u);
  EXPECT_LE(costs[0].amap_copies, 1u);
  for (const Cost &cost : costs) EXPECT_EQ(cost, costs[0]);
}

TEST_F(FiguresTest, UnmappingEverythingLeavesNothing) {
  base::Prng prng(5, "figures_test");
  std::vector<Space *> spaces{NewSpace()};
  for (int i = 0; i < 3'000; ++i) {
    Space *space = spaces[prng.Below(spaces.size())];
    const uint64_t first = prng.Below(300);
    const uint64_t pages = 1 + prng.Below(40);
    const Range range{PageAt(first), PageAt(first + pages)};
    switch (prng.Below(6)) {
      case 0: {
        const Sharing sharing = prng.Chance(1, 4) ? Sharing::kShared : Sharing::kPrivate;
        (void)space->map().Enter({.at = range.start,
                                  .size = range.size(),
                                  .where = Map::Where::kFixedReplace,
                                  .prot = base::kProtReadWrite,
                                  .sharing = sharing});
        break;
      }
      case 1:
        ASSERT_TRUE(space->map().Unmap(range).ok());
        break;
      case 2:
        (void)space->map().SetInherit(range, prng.Chance(1, 2) ? Inherit::kShare : Inherit::kCopy);
        break;
      case 3:
        if (spaces.size() < 6) spaces.push_back(uvm_.ForkSpace(space).value());
        break;
      default:
        for (uint64_t page = first; page < first + pages; ++page) {
          (void)uvm_.Fault(space, PageAt(page), Access::kWrite);
        }
    }
  }
  EXPECT_GT(Frames(), 100u);
  for (Space *space : spaces) space->map().UnmapAll();
  EXPECT_EQ(Anons(), 0u);
  EXPECT_EQ(Amaps(), 0u);
  EXPECT_EQ(Frames(), 0u);
  EXPECT_EQ(uvm_.DebugPages().free_count(), uvm_.DebugPages().total());
  for (Space *space : spaces) uvm_.FreeSpace(space);
}

}  // namespace
}  // namespace uvm
