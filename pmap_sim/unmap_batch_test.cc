// Unmaps that wait: until when, and how many go in one call.

#include "pmap_sim/unmap_batch.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/addr.h"
#include "base/canary.h"
#include "base/prot.h"
#include "pmap_sim/l4_pmap.h"
#include "pmap_sim/table.h"
#include "pmap_sim/testing/clients.h"
#include "uvm/pmap.h"

namespace pmap_sim {
namespace {

using base::Paddr;
using base::Vaddr;
using testing::Client;
using testing::kVa;

class UnmapBatchTest : public testing::ClientsTest {
 protected:
  UnmapBatchTest() : ClientsTest({.ram_bytes = uint64_t{64} << 20}) {}

  // A page of its own, with the client, that is not known to be modified.
  Paddr GivePage(Client* client, uint64_t va, base::Prot prot) {
    Paddr pa = NewFrame();
    Enter(client, va, pa, prot);
    EXPECT_TRUE(Read(client, va));
    return pa;
  }
  // `pages` pages that were written, in one job.
  void GiveWrittenPages(Client* client, uint64_t va, uint32_t pages) {
    Server([=, this] {
      for (uint32_t i = 0; i < pages; ++i) {
        EXPECT_TRUE(pmap_
                        .Enter(client->pmap, Vaddr(va + i * base::kPageSize), NewFrame(),
                               base::kProtReadWrite, {.access = base::kProtWrite})
                        .ok());
      }
    });
    WriteAll(client, va, pages);
  }
  struct Cost {
    uint64_t calls, fpages;
  };
  Cost CostOf(std::function<void()> body) {
    const PmapCounters before = pmap_.counters();
    Server(std::move(body));
    const PmapCounters after = pmap_.counters();
    return {after.unmap_calls - before.unmap_calls, after.fpages_unmapped - before.fpages_unmapped};
  }
};

TEST_F(UnmapBatchTest, RemovalWaitsForUpdate) {
  Client* a = NewClient();
  GivePage(a, kVa, base::kProtReadWrite);
  ServerWithoutUpdate([&] {
    pmap_.Remove(a->pmap, Pages(kVa, 1));
    EXPECT_FALSE(pmap_.Extract(a->pmap, Vaddr(kVa), nullptr));
  });
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  Server([&] { pmap_.Update(a->pmap); });
  EXPECT_EQ(Layout(a, kVa, 1), ".");
}

TEST_F(UnmapBatchTest, ManyRemovalsGoInOneCall) {
  Client* a = NewClient();
  for (uint64_t i = 0; i < 64; ++i) GivePage(a, kVa + i * 0x2000, base::kProtReadWrite);
  Cost cost = CostOf([&] {
    for (uint64_t i = 0; i < 64; ++i) pmap_.Remove(a->pmap, Pages(kVa + i * 0x2000, 1));
  });
  EXPECT_EQ(cost.calls, 1u);
  EXPECT_EQ(cost.fpages, 64u);
}

TEST_F(UnmapBatchTest, PageProtectDoesNotWaitWhateverIsBeforeIt) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr pa = GivePage(a, kVa, base::kProtReadWrite);
  Paddr other = GivePage(b, kVa, base::kProtReadWrite);
  ServerWithoutUpdate([&] {
    pmap_.Remove(a->pmap, Pages(kVa, 1));
    pmap_.PageProtect(pa, base::kProtNone);
  });
  EXPECT_EQ(Layout(a, kVa, 1), ".");
  ServerWithoutUpdate([&] { pmap_.PageProtect(other, base::kProtRead); });
  EXPECT_EQ(Layout(b, kVa, 1), "r");
}

TEST_F(UnmapBatchTest, StatusOfARemovedPageIsThereBeforeUpdate) {
  Client* a = NewClient();
  Paddr pa = GivePage(a, kVa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  ServerWithoutUpdate([&] {
    pmap_.Remove(a->pmap, Pages(kVa, 1));
    EXPECT_TRUE(pmap_.IsModified(pa));
    EXPECT_TRUE(pmap_.ClearReference(pa));
    EXPECT_FALSE(pmap_.IsReferenced(pa));
  });
}

TEST_F(UnmapBatchTest, WhatIsEnteredAfterARemovalIsSentAfterIt) {
  Client* a = NewClient();
  Paddr first = GivePage(a, kVa, base::kProtReadWrite);
  Paddr second = NewFrame();
  ServerWithoutUpdate([&] {
    EXPECT_TRUE(pmap_.Enter(a->pmap, Vaddr(kVa), second, base::kProtRead, {}).ok());
    EXPECT_TRUE(pmap_.Enter(a->pmap, Vaddr(kVa + 0x10000), first, base::kProtRead, {}).ok());
  });
  // The client's old page is still there; any refill takes it first.
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  EXPECT_TRUE(Read(a, kVa + 0x10000));
  EXPECT_EQ(Layout(a, kVa, 1), ".");
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(world_.Rights(a->thread, kVa), "r--");
}

TEST_F(UnmapBatchTest, PagesWrittenForSureGoAsLargeFpages) {
  Client* a = NewClient();
  constexpr uint32_t kPages = 4096;
  GiveWrittenPages(a, kVa, kPages);
  const uint64_t merged = pmap_.counters().fpages_merged;
  Cost cost = CostOf([&] { pmap_.Protect(a->pmap, Pages(kVa, kPages), base::kProtRead); });
  EXPECT_EQ(Layout(a, kVa, 3), "rrr");
  EXPECT_LE(cost.calls, 2u);
  EXPECT_LE(cost.fpages, 64u);
  EXPECT_EQ(cost.fpages + pmap_.counters().fpages_merged - merged, kPages) << "each page once";
}

TEST_F(UnmapBatchTest, FramesInDescendingOrderMergeToo) {
  Client* a = NewClient();
  constexpr uint32_t kPages = 512;
  const Paddr first = pmap_.segment(0).start + (uint64_t{8} << 20);
  for (uint32_t i = 0; i < kPages; ++i) {
    // One at a time: no neighbours come along, and each page goes straight from home.
    Server([&] {
      const Paddr frame = first + (kPages - 1 - i) * base::kPageSize;
      EXPECT_TRUE(pmap_
                      .Enter(a->pmap, Vaddr(kVa + i * base::kPageSize), frame, base::kProtReadWrite,
                             {.access = base::kProtWrite})
                      .ok());
    });
    EXPECT_TRUE(Write(a, kVa + i * base::kPageSize));
  }
  EXPECT_EQ(pmap_.counters().direct_sends, kPages);
  Cost cost = CostOf([&] { pmap_.Protect(a->pmap, Pages(kVa, kPages), base::kProtRead); });
  EXPECT_EQ(Layout(a, kVa, 3), "rrr");
  EXPECT_EQ(cost.calls, 1u);
  EXPECT_EQ(cost.fpages, 1u);
}

// A page that is unlike its neighbours ends their run and is lowered all the same.
TEST_F(UnmapBatchTest, NeighboursThatAreAlikeAreLoweredTogether) {
  Client* a = NewClient();
  constexpr uint32_t kPages = 64;
  GiveWrittenPages(a, kVa, kPages);
  Enter(a, kVa + 5 * base::kPageSize, NewFrame(), base::kProtReadWrite);
  EXPECT_TRUE(Read(a, kVa + 5 * base::kPageSize));
  Enter(a, kVa + 9 * base::kPageSize, NewFrame(), base::kProtRead);
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa + 20 * base::kPageSize, 1)); });
  const PmapCounters before = pmap_.counters();
  Server([&] { pmap_.Protect(a->pmap, Pages(kVa, kPages), base::kProtRead); });
  const PmapCounters after = pmap_.counters();
  EXPECT_EQ(Layout(a, kVa, 24), "rrrrrrrrr.rrrrrrrrrr.rrr");
  EXPECT_EQ(after.pages_lowered - before.pages_lowered, kPages - 2);
  EXPECT_EQ(after.lowered_in_runs - before.lowered_in_runs, kPages - 3);
  EXPECT_TRUE(Read(a, kVa + 9 * base::kPageSize));
}

TEST_F(UnmapBatchTest, PagesThatMayBeCleanGoOneByOneSixtyFourACall) {
  Client* a = NewClient();
  constexpr uint32_t kPages = 256;
  GiveWrittenPages(a, kVa, kPages);
  Server([&] {
    uvm::PmapSystem::Mapping at;
    for (Vaddr from(0); pmap_.PeekNext(a->pmap, from, &at); from = at.va + base::kPageSize) {
      pmap_.ClearModify(at.pa);
    }
  });
  Cost cost = CostOf([&] { pmap_.Protect(a->pmap, Pages(kVa, kPages), base::kProtRead); });
  EXPECT_EQ(cost.fpages, kPages);
  EXPECT_EQ(cost.calls, kPages / 64);
}

// A run that begins with pages whose status is known goes on with one whose is not: what comes back
// is that page's.
TEST_F(UnmapBatchTest, StatusBehindPagesWithoutNewsReachesItsFrame) {
  Client* a = NewClient();
  Paddr frames[8];
  Server([&] {
    for (uint64_t i = 0; i < 8; ++i) {
      frames[i] = NewFrame();
      const base::Prot seen = i == 2 || i == 3 ? base::kProtRead : base::kProtNone;
      EXPECT_TRUE(pmap_
                      .Enter(a->pmap, Vaddr(kVa + i * base::kPageSize), frames[i], base::kProtRead,
                             {.access = seen})
                      .ok());
    }
  });
  EXPECT_TRUE(Read(a, kVa + 4 * base::kPageSize));
  EXPECT_EQ(Layout(a, kVa, 8), "rrrrrrrr");
  Cost cost = CostOf([&] { pmap_.Remove(a->pmap, Pages(kVa + 2 * base::kPageSize, 4)); });
  EXPECT_EQ(cost.fpages, 2u);  // 2 and 3, 4 and 5
  EXPECT_TRUE(Referenced(frames[4]));
}

// Runs of three pages are two fpages: what 64 of them leave of a second call waits for more.
TEST_F(UnmapBatchTest, CallsAreFullWhateverTheRuns) {
  Client* a = NewClient();
  constexpr uint32_t kPages = 2048;
  GiveWrittenPages(a, kVa, kPages);
  const Cost cost = CostOf([&] {
    for (uint64_t i = 0; i < kPages; i += 8) {
      pmap_.Remove(a->pmap, Pages(kVa + i * base::kPageSize, 1));
      pmap_.Remove(a->pmap, Pages(kVa + (i + 2) * base::kPageSize, 3));
    }
  });
  EXPECT_EQ(cost.fpages, kPages / 8 * 3);
  EXPECT_EQ(cost.calls, cost.fpages / 64);
  for (uint64_t i = 0; i < kPages; i += 8) {
    ASSERT_EQ(Layout(a, kVa + i * base::kPageSize, 8), ".w...www") << i;
  }
}

// More than a call holds, of each kind of news: what is told of a page that had to wait for the
// next call is that page's.
TEST_F(UnmapBatchTest, StatusOfWhatDidNotFitReachesItsFrame) {
  Client* a = NewClient();
  constexpr uint32_t kGroups = 120;
  std::vector<Paddr> frames(kGroups * 8);
  auto va = [](uint32_t group, uint64_t page) {
    return kVa + (group * 8 + page) * base::kPageSize;
  };
  auto enter = [&](uint32_t group, uint32_t page, base::Prot prot, base::Prot access) {
    EXPECT_TRUE(pmap_
                    .Enter(a->pmap, Vaddr(va(group, page)), frames[group * 8 + page], prot,
                           {.access = access})
                    .ok());
  };
  Server([&] {
    for (Paddr& frame : frames) frame = NewFrame();
    for (uint32_t group = 0; group < kGroups; ++group) {
      enter(group, 0, base::kProtReadWrite, base::kProtNone);  // may come back as modified
      for (uint32_t page : {2, 3, 4}) enter(group, page, base::kProtRead, base::kProtNone);
      enter(group, 6, base::kProtRead, base::kProtRead);  // no news
    }
  });
  auto touch = [this](uint64_t at, base::Prot access) {
    auto cpu = world_.kernel().cpu();
    char byte = 'x';
    if (access.CanWrite()) {
      static_cast<void>(cpu.Store(Vaddr(at), &byte, 1));
    } else {
      static_cast<void>(cpu.Load(Vaddr(at), &byte, 1));
    }
  };
  world_.SpawnWith(
      a->thread,
      [&] {
        for (uint32_t group = 0; group < kGroups; ++group) {
          touch(va(group, 0), base::kProtRead);
          if (group % 3 == 0) touch(va(group, 0), base::kProtWrite);
          if (group % 2 == 1) touch(va(group, 3), base::kProtRead);
          touch(va(group, 6), base::kProtRead);
        }
      },
      a->pager);
  EXPECT_TRUE(world_.Run()) << world_.problem();
  const Cost cost = CostOf([&] { pmap_.Remove(a->pmap, Pages(kVa, frames.size())); });
  EXPECT_GT(cost.fpages, 4 * 64u);
  EXPECT_EQ(cost.calls, (cost.fpages + 63) / 64);
  Server([&] {
    for (uint32_t group = 0; group < kGroups; ++group) {
      const Paddr* const of = &frames[group * 8];
      EXPECT_TRUE(pmap_.IsReferenced(of[0])) << group;
      EXPECT_EQ(pmap_.IsModified(of[0]), group % 3 == 0) << group;
      EXPECT_EQ(pmap_.IsReferenced(of[3]), group % 2 == 1) << group;
      EXPECT_FALSE(pmap_.IsReferenced(of[4])) << group;
    }
  });
}

TEST_F(UnmapBatchTest, UpdateWithNothingToDoMakesNoCall) {
  Client* a = NewClient();
  EXPECT_EQ(CostOf([&] { pmap_.Update(a->pmap); }).calls, 0u);
}

TEST_F(UnmapBatchTest, CanaryForgetsWhatWaits) {
  Client* a = NewClient();
  GivePage(a, kVa, base::kProtReadWrite);
  canary_.Arm(base::Canary::kUpdateForgets);
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 1)); });
  EXPECT_EQ(Layout(a, kVa, 1), "w");
}

TEST_F(UnmapBatchTest, CanaryLeavesTheOldFrameBehind) {
  Client* a = NewClient();
  Paddr old = GivePage(a, kVa, base::kProtRead);
  canary_.Arm(base::Canary::kReenterKeepsOldFrame);
  Enter(a, kVa, NewFrame(), base::kProtRead);
  EXPECT_EQ(Layout(a, kVa, 1), "r");
  EXPECT_TRUE(world_.SameFrame(a->thread, kVa, mirror_, old.value()));
}

}  // namespace
}  // namespace pmap_sim
