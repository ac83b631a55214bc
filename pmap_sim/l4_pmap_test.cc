#include "pmap_sim/l4_pmap.h"

#include <gtest/gtest.h>
#include <l4/ipc.h>
#include <l4/thread.h>

#include <string>

#include "base/addr.h"
#include "base/canary.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "pmap_sim/testing/clients.h"
#include "uvm/pmap.h"

namespace pmap_sim {
namespace {

using base::Access;
using base::Paddr;
using base::Vaddr;
using testing::Client;
using testing::kVa;
using uvm::Wired;

class L4PmapTest : public testing::ClientsTest {};

TEST_F(L4PmapTest, BootTakesAllMemoryOfSigma0) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < pmap_.segment_count(); ++i) {
    bytes += base::ToBytes(pmap_.segment(i).pages);
    if (i == 0) continue;
    EXPECT_GT(pmap_.segment(i).start, pmap_.segment(i - 1).start);
  }
  EXPECT_EQ(bytes, world_.kernel().ram_bytes());
}

TEST_F(L4PmapTest, NothingIsMappedBeforeTheClientAsks) {
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtReadWrite);
  EXPECT_EQ(Layout(a, kVa, 1), ".");
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  EXPECT_FALSE(Read(a, kVa + base::kPageSize));
  EXPECT_EQ(a->last, RefillResult::kMiss);
}

TEST_F(L4PmapTest, ExactRightsReachTheClient) {
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(world_.Rights(a->thread, kVa), "r--");
  EXPECT_FALSE(Write(a, kVa));
  EXPECT_EQ(a->last, RefillResult::kRightsMissing);
  EXPECT_FALSE(Touch(a, Access::kExecute, kVa));
  Enter(a, kVa + base::kPageSize, NewFrame(), base::kProtRead | base::kProtExecute);
  EXPECT_TRUE(Touch(a, Access::kExecute, kVa + base::kPageSize));
  EXPECT_EQ(world_.Rights(a->thread, kVa + base::kPageSize), "r-x");
}

TEST_F(L4PmapTest, LoweringTakesEffectBeforeTheCallReturns) {
  Client* a = NewClient();
  EnterRun(a, kVa, 4, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 4), "wwww");
  Server([&] { pmap_.Protect(a->pmap, Pages(kVa + 0x1000, 2), base::kProtRead); });
  EXPECT_EQ(Layout(a, kVa, 4), "wrrw");
  Server([&] { pmap_.Protect(a->pmap, Pages(kVa, 2), base::kProtExecute); });
  EXPECT_EQ(Layout(a, kVa, 4), "..rw");
  Server([&] { pmap_.Remove(a->pmap, Pages(0, 1 << 20)); });
  EXPECT_EQ(Layout(a, kVa, 4), "....");
  EXPECT_EQ(pmap_.ResidentCount(a->pmap), base::PageCount(0));
}

TEST_F(L4PmapTest, ProtectNeverRaises) {
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtRead);
  Server([&] { pmap_.Protect(a->pmap, Pages(kVa, 1), base::kProtAll); });
  EXPECT_FALSE(Write(a, kVa));
}

TEST_F(L4PmapTest, PageProtectReachesEverySpace) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  Enter(b, kVa + 0x7000, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_TRUE(Write(b, kVa + 0x7000));
  Server([&] { pmap_.PageProtect(pa, base::kProtRead); });
  EXPECT_EQ(Layout(a, kVa, 1) + Layout(b, kVa + 0x7000, 1), "rr");
  EXPECT_FALSE(Write(b, kVa + 0x7000));
  Server([&] { pmap_.PageProtect(pa, base::kProtNone); });
  EXPECT_EQ(Layout(a, kVa, 1) + Layout(b, kVa + 0x7000, 1), "..");
  EXPECT_FALSE(Read(a, kVa));
  EXPECT_TRUE(Modified(pa));
}

TEST_F(L4PmapTest, RemoveActsOnOneSpaceOnly) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtRead);
  Enter(b, kVa, pa, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_TRUE(Read(b, kVa));
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 1)); });
  EXPECT_EQ(Layout(a, kVa, 1) + Layout(b, kVa, 1), ".r");
}

TEST_F(L4PmapTest, ModifiedIsExactAndBelongsToTheFrame) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_FALSE(Referenced(pa));
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_TRUE(Referenced(pa));
  EXPECT_FALSE(Modified(pa));
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_TRUE(Modified(pa));
  bool was = false;
  Server([&] { was = pmap_.ClearModify(pa) && pmap_.ClearReference(pa); });
  EXPECT_TRUE(was);
  EXPECT_FALSE(Modified(pa));
  EXPECT_FALSE(Referenced(pa));
  EXPECT_TRUE(Write(a, kVa));  // no fault: detection was armed again all the same
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 1)); });
  EXPECT_TRUE(Modified(pa));
}

TEST_F(L4PmapTest, WhoAsksForStatusLowersNothing) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_FALSE(Modified(pa));
  EXPECT_EQ(pmap_.counters().pages_lowered, 0u);
  EXPECT_EQ(pmap_.counters().status_queries, 1u);
  Server([&] { pmap_.Protect(a->pmap, Pages(kVa, 1), base::kProtRead); });
  EXPECT_EQ(pmap_.counters().pages_lowered, 1u);
}

TEST_F(L4PmapTest, StatusOutlivesTheClientsSpace) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  Server([&] {
    EXPECT_NE(L4_ThreadControl(a->thread, L4_nilthread, L4_nilthread, L4_nilthread,
                               reinterpret_cast<void*>(~L4_Word_t{0})),
              0u);
  });
  EXPECT_TRUE(Modified(pa));
}

TEST_F(L4PmapTest, EnterReplacesFrameRightsAndWiring) {
  Client* a = NewClient();
  Paddr first = NewFrame();
  Paddr second = NewFrame();
  *pmap_.HomePointer(first) = '1';
  *pmap_.HomePointer(second) = '2';
  Enter(a, kVa, first, base::kProtReadWrite, Wired::kYes);
  EXPECT_EQ(pmap_.WiredCount(a->pmap), base::PageCount(1));
  EXPECT_TRUE(Write(a, kVa + 8));
  Enter(a, kVa, second, base::kProtRead);
  EXPECT_EQ(Layout(a, kVa, 1), ".");
  EXPECT_EQ(pmap_.WiredCount(a->pmap), base::PageCount(0));
  EXPECT_EQ(pmap_.ResidentCount(a->pmap), base::PageCount(1));
  char byte = 0;
  EXPECT_TRUE(Touch(a, Access::kRead, kVa, &byte));
  EXPECT_EQ(byte, '2');
  EXPECT_TRUE(Modified(first));
  EXPECT_FALSE(Modified(second));
  Enter(a, kVa, second, base::kProtReadWrite);  // raising takes nothing away
  EXPECT_EQ(Layout(a, kVa, 1), "r");
  EXPECT_TRUE(Write(a, kVa));
}

TEST_F(L4PmapTest, NeighboursComeAlongAsOneFpage) {
  Client* a = NewClient();
  EnterRun(a, kVa, 20, base::kProtRead);
  Enter(a, kVa + 0x5000, NewFrame(), base::kProtReadWrite);  // other rights: ends the run at 4
  EXPECT_TRUE(Read(a, kVa + 0x2000));
  EXPECT_EQ(Layout(a, kVa, 20), "rrrr................");
  EXPECT_TRUE(Read(a, kVa + 0x9000));
  EXPECT_EQ(Layout(a, kVa, 20), "rrrr....rrrrrrrr....");
  EXPECT_EQ(pmap_.counters().sends, 2u);
  EXPECT_EQ(pmap_.counters().mirror_sends, 2u);
}

TEST_F(L4PmapTest, PagesTakenByOneFpageOnlyWhenStatusAllows) {
  Client* a = NewClient();
  Paddr first = EnterRun(a, kVa, 32, base::kProtReadWrite);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_TRUE(Write(a, kVa + 0x13000));
  uint64_t before = pmap_.counters().fpages_unmapped;
  // Writable and not known to be modified: every page goes alone, so that the one that was written
  // is found out.
  Server([&] { pmap_.Protect(a->pmap, Pages(kVa, 32), base::kProtRead); });
  EXPECT_EQ(pmap_.counters().fpages_unmapped - before, 32u);
  EXPECT_TRUE(Modified(first + 0x13000));
  EXPECT_FALSE(Modified(first + 0x12000));
  before = pmap_.counters().fpages_unmapped;
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 32)); });
  EXPECT_EQ(pmap_.counters().fpages_unmapped - before, 1u);
  EXPECT_FALSE(Modified(first + 0x12000));
  EXPECT_EQ(Layout(a, kVa, 32), std::string(32, '.'));
}

TEST_F(L4PmapTest, EachPageOfAMergedRunGetsItsStatus) {
  Client* a = NewClient();
  Paddr first = EnterRun(a, kVa, 4, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa + 0x1000));
  uint64_t before = pmap_.counters().fpages_unmapped;
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 4)); });
  EXPECT_EQ(pmap_.counters().fpages_unmapped - before, 1u);
  // Which of them was read, one fpage cannot tell: rather too many than too few.
  for (uint64_t i = 0; i < 4; ++i) EXPECT_TRUE(Referenced(first + i * base::kPageSize)) << i;
}

TEST_F(L4PmapTest, AMergedRunInventsNoModification) {
  Client* a = NewClient();
  Paddr written = NewFrame();
  Paddr read = NewFrame();
  Enter(a, kVa, written, base::kProtReadWrite);
  Enter(a, kVa + 0x1000, read, base::kProtRead);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_TRUE(Modified(written));
  EXPECT_TRUE(Write(a, kVa));  // the kernel's bit is set once more
  EXPECT_TRUE(Read(a, kVa + 0x1000));
  uint64_t before = pmap_.counters().fpages_unmapped;
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 2)); });
  EXPECT_EQ(pmap_.counters().fpages_unmapped - before, 1u);
  EXPECT_FALSE(Modified(read));
}

TEST_F(L4PmapTest, NeighboursThatLoseDifferentRightsAreNotMerged) {
  Client* a = NewClient();
  Paddr first = NewFrame();
  Paddr second = NewFrame();
  Enter(a, kVa, first, base::kProtReadWrite);
  Enter(a, kVa + 0x1000, second, base::kProtAll);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_TRUE(Write(a, kVa + 0x1000));
  EXPECT_TRUE(Modified(first));
  EXPECT_TRUE(Modified(second));
  Server([&] { pmap_.Protect(a->pmap, Pages(kVa, 2), base::kProtRead); });
  EXPECT_EQ(Layout(a, kVa, 2), "rr");
}

TEST_F(L4PmapTest, AdjacentSlotsOfTwoSpacesAreNotMerged) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr pa = NewFrame();
  Enter(b, kVa + 0x5000, pa, base::kProtRead);
  Enter(a, kVa + 0x4000, pa, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa + 0x4000));
  EXPECT_TRUE(Read(b, kVa + 0x5000));
  Server([&] { pmap_.PageProtect(pa, base::kProtNone); });
  EXPECT_EQ(Layout(a, kVa + 0x4000, 1) + Layout(b, kVa + 0x5000, 1), "..");
}

TEST_F(L4PmapTest, ClearingTellsWhatNobodyAskedAboutBefore) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  bool modified = false;
  Server([&] { modified = pmap_.ClearModify(pa); });
  EXPECT_TRUE(modified);
  EXPECT_TRUE(Read(a, kVa));
  bool referenced = false;
  Server([&] {
    pmap_.ClearReference(pa);
    referenced = pmap_.ClearReference(pa);
  });
  EXPECT_FALSE(referenced);
  EXPECT_TRUE(Read(a, kVa));
  Server([&] { referenced = pmap_.ClearReference(pa); });
  EXPECT_TRUE(referenced);
  EXPECT_FALSE(Modified(pa));
}

TEST_F(L4PmapTest, ARemovedPageIsNotWiredAnyMore) {
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtRead, Wired::kYes);
  Enter(a, kVa + 0x1000, NewFrame(), base::kProtRead, Wired::kYes);
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 1)); });
  EXPECT_EQ(pmap_.WiredCount(a->pmap), base::PageCount(1));
  Server([&] { pmap_.Unwire(a->pmap, Vaddr(kVa + 0x1000)); });
  EXPECT_EQ(pmap_.WiredCount(a->pmap), base::PageCount(0));
}

TEST_F(L4PmapTest, NoPageIsSentTwice) {
  Client* a = NewClient();
  EnterRun(a, kVa, 4, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  EnterRun(a, kVa + 0x4000, 4, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa + 0x4000));
  EXPECT_EQ(Layout(a, kVa, 8), "rrrrrrrr");
  EXPECT_EQ(pmap_.counters().pages_sent, 8u);
}

// A thread that was sent a page loses it with everybody else, and asks again just when a sibling
// does. That the sibling was answered first does not make the page one that the thread never took:
// nobody loses it for that, and nothing is counted as a shortage of the kernel's.
TEST_F(L4PmapTest, WhoAsksBesideASiblingForWhatWasTakenMeanwhileIsNoResend) {
  Client* client = NewClient();
  const Paddr frame = NewFrame();
  Enter(client, kVa, frame, base::kProtRead);
  auto load = [](bool* done) {
    char c;
    *done = fake_l4::Kernel::Current()->cpu().Load(Vaddr(kVa), &c, 1) == fake_l4::AccessStatus::kOk;
  };
  auto refill = [&](L4_ThreadId_t to) {
    return pmap_.Refill(client->pmap, Vaddr(kVa), Access::kRead, {to, L4_Myself()});
  };
  L4_ThreadId_t first{}, second{}, again{};
  bool was_sent = false, both_sent = false;
  const L4_ThreadId_t pager = world_.Spawn([&] {
    L4_Wait(&first);
    was_sent = refill(first) == RefillResult::kSent;
    L4_Wait(&second);
    L4_LoadMR(0, L4_Niltag.raw);
    L4_Send(first);
    L4_Wait(&again);
    both_sent = refill(second) == RefillResult::kSent && refill(again) == RefillResult::kSent;
  });
  bool before = false, after = false, beside = false;
  world_.SpawnWith(
      client->thread,
      [&] {
        load(&before);
        L4_Receive(pager);
        load(&after);
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(was_sent && before);
  Server([&] { pmap_.Remove(client->pmap, Pages(kVa, 1)); });
  Enter(client, kVa, frame, base::kProtRead);
  world_.SpawnWith(
      client->thread, [&] { load(&beside); }, pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(L4_IsThreadEqual(first, again));
  EXPECT_FALSE(L4_IsThreadEqual(first, second));
  EXPECT_TRUE(both_sent && after && beside);
  EXPECT_EQ(pmap_.counters().resends, 0u);
  EXPECT_EQ(Layout(client, kVa, 1), "r");
}

TEST_F(L4PmapTest, ARunMayMixPagesWithAndWithoutAnAlias) {
  Client* a = NewClient();
  Paddr first = EnterRun(a, kVa, 2, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 4), "rr..");
  Enter(a, kVa, first, base::kProtReadWrite);
  Enter(a, kVa + 0x1000, first + base::kPageSize, base::kProtReadWrite);
  EnterRun(a, kVa + 0x2000, 2, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa + 0x2000));
  EXPECT_EQ(Layout(a, kVa, 4), "wwww");
  EXPECT_EQ(pmap_.counters().aliases_made, 4u);
}

TEST_F(L4PmapTest, AWindowThatIsRemovedWholeGivesItsAliasesBack) {
  uint32_t before = world_.kernel().mapping_count();
  Client* a = NewClient();
  EnterRun(a, kVa, 4, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, kWindowPages)); });
  EXPECT_EQ(pmap_.counters().windows_flushed, 1u);
  EXPECT_EQ(world_.kernel().mapping_count(), before);
}

TEST_F(L4PmapTest, DestroyGivesAliasesBack) {
  uint32_t before = world_.kernel().mapping_count();
  for (int round = 0; round < 3; ++round) {
    Client* a = NewClient();
    EnterRun(a, kVa, 40, base::kProtReadWrite);
    EnterRun(a, 0x5fff'0000, 3, base::kProtReadWrite);
    for (uint64_t i = 0; i < 40; i += 4) EXPECT_TRUE(Write(a, kVa + i * base::kPageSize));
    EXPECT_GT(world_.kernel().mapping_count(), before);
    Server([&] {
      pmap_.RemoveAll(a->pmap);
      pmap_.Destroy(a->pmap);
    });
    EXPECT_EQ(world_.kernel().mapping_count(), before);
    next_frame_ = pmap_.segment(0).start;
  }
  EXPECT_EQ(pmap_.pmap_count(), 0u);
}

TEST_F(L4PmapTest, ShortageIsAnErrorAndLeavesNothing) {
  Client* a = NewClient();
  Enter(a, 0x1000, NewFrame(), base::kProtRead);
  memory_.refuse = true;
  uint64_t entered = 0;
  Server([&] {
    while (pmap_
               .Enter(a->pmap, Vaddr(kVa + entered * kWindowBytes), pmap_.segment(0).start,
                      base::kProtRead, {.access = base::kProtRead})
               .ok()) {
      ++entered;
    }
  });
  EXPECT_GT(entered, 0u);
  EXPECT_LT(entered, 100u);
  EXPECT_EQ(pmap_.ResidentCount(a->pmap), base::PageCount(1 + entered));
  EXPECT_FALSE(Read(a, kVa + entered * kWindowBytes));
  // What is empty is given back and serves again.
  Server([&] {
    pmap_.Remove(a->pmap, Pages(kVa, entered * kWindowPages));
    EXPECT_TRUE(pmap_
                    .Enter(a->pmap, Vaddr(kVa + entered * kWindowBytes), pmap_.segment(0).start,
                           base::kProtRead, {.access = base::kProtRead})
                    .ok());
  });
}

TEST_F(L4PmapTest, PeekNextWalksInAddressOrder) {
  Client* a = NewClient();
  Enter(a, 0x12345000, NewFrame(), base::kProtRead);
  Enter(a, 0x1000, NewFrame(), base::kProtReadWrite, Wired::kYes);
  Enter(a, 0x12344000, NewFrame(), base::kProtRead);
  std::string seen;
  uvm::PmapSystem::Mapping at;
  for (Vaddr from(0); pmap_.PeekNext(a->pmap, from, &at); from = at.va + base::kPageSize) {
    seen += std::to_string(at.va.PageNumber()) + base::ProtName(at.prot) +
            (at.wired == Wired::kYes ? "w " : " ");
  }
  EXPECT_EQ(seen, "1rw-w 74564r-- 74565r-- ");
}

// Across the end of a leaf, as far as asked and no further.
TEST_F(L4PmapTest, MappedTellsOfSoManyPages) {
  Client* a = NewClient();
  const uint64_t first = kVa + (kLeafPages - 30) * base::kPageSize;
  for (uint64_t i : {0, 29, 30, 39, 40, 69, 70, 90}) {
    Enter(a, first + i * base::kPageSize, NewFrame(), base::kProtRead);
  }
  uint64_t mapped[3] = {};
  Server([&] {
    mapped[0] = pmap_.Mapped(a->pmap, Vaddr(first), 40);
    mapped[1] = pmap_.Mapped(a->pmap, Vaddr(first), 1);
    mapped[2] = pmap_.Mapped(a->pmap, Vaddr(first + base::kPageSize), 64);
  });
  EXPECT_EQ(mapped[0], uint64_t{1} | uint64_t{1} << 29 | uint64_t{1} << 30 | uint64_t{1} << 39);
  EXPECT_EQ(mapped[1], 1u);
  EXPECT_EQ(mapped[2],
            uint64_t{1} << 28 | uint64_t{1} << 29 | uint64_t{1} << 38 | uint64_t{1} << 39);
}

TEST_F(L4PmapTest, CanaryForgetsOneOfTwoSpaces) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtRead);
  Enter(b, kVa, pa, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_TRUE(Read(b, kVa));
  canary_.Arm(base::Canary::kUnmapMissesOneSpace);
  Server([&] { pmap_.PageProtect(pa, base::kProtNone); });
  EXPECT_EQ(Layout(a, kVa, 1) + Layout(b, kVa, 1), ".r");
}

TEST_F(L4PmapTest, CanaryGivesWritingAwayAndInvariantsTell) {
#ifdef UVM_VERIFY
  GTEST_SKIP() << "a checked build panics as soon as the rights are sent";
#endif
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtRead);
  canary_.Arm(base::Canary::kRefillIgnoresRights);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  char text[256];
  base::TextSink out(text, sizeof text);
  EXPECT_FALSE(pmap_.CheckInvariants(out));
  EXPECT_STREQ(text, "SentWithinTable: va 0x400000 sent rw- table r--");
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 1)); });
}

}  // namespace
}  // namespace pmap_sim
