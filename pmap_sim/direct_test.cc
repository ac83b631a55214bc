// Pages mapped straight from home, and their way to aliases and back.

#include <gtest/gtest.h>

#include "base/addr.h"
#include "base/prot.h"
#include "pmap_sim/l4_pmap.h"
#include "pmap_sim/table.h"
#include "pmap_sim/testing/clients.h"
#include "uvm/pmap.h"

namespace pmap_sim {
namespace {

using base::Access;
using base::Paddr;
using base::Vaddr;
using testing::Client;
using testing::kKernelArea;
using testing::kVa;
using uvm::Wired;

class DirectTest : public testing::ClientsTest {
 protected:
  void Remove(Client* client, uint64_t va, uint64_t pages = 1) {
    Server([=, this] { pmap_.Remove(client->pmap, Pages(va, pages)); });
  }
};

TEST_F(DirectTest, ASingleMappingNeedsNoAlias) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(pmap_.counters().direct_sends, 1u);
  EXPECT_EQ(pmap_.counters().aliases_made, 0u);
  EXPECT_EQ(pmap_.counters().mirror_sends, 0u);
  EXPECT_TRUE(Modified(pa));
  Server([&] { pmap_.Protect(a->pmap, Pages(kVa, 1), base::kProtRead); });
  EXPECT_EQ(Layout(a, kVa, 1), "r");
  Remove(a, kVa);
  EXPECT_EQ(Layout(a, kVa, 1), ".");
}

TEST_F(DirectTest, MoreRightsFollowTheSameWay) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(pmap_.counters().direct_sends, 2u);
  EXPECT_EQ(pmap_.counters().aliases_made, 0u);
}

TEST_F(DirectTest, ASecondMappingRecallsTheFirst) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  Enter(b, kVa, pa, base::kProtRead);
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  EXPECT_TRUE(Read(b, kVa));
  EXPECT_EQ(pmap_.counters().recalls, 1u);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 1) + Layout(b, kVa, 1), "wr");
  EXPECT_EQ(pmap_.counters().recalls, 1u);
  EXPECT_EQ(pmap_.counters().aliases_made, 2u);
  Remove(b, kVa);
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  EXPECT_TRUE(Modified(pa));
}

TEST_F(DirectTest, AWiredPageIsMappedFromItsAlias) {
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtReadWrite, Wired::kYes);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(pmap_.counters().direct_sends, 0u);
  EXPECT_EQ(pmap_.counters().aliases_made, 1u);
}

TEST_F(DirectTest, WiringTakesTheAliasAtTheNextRefill) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  Enter(a, kVa, pa, base::kProtReadWrite, Wired::kYes);
  EXPECT_EQ(Layout(a, kVa, 1), "r");
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  EXPECT_EQ(pmap_.counters().recalls, 1u);
  EXPECT_EQ(pmap_.counters().aliases_made, 1u);
}

TEST_F(DirectTest, AKernelMappingRecallsAndOutlivesTheClient) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  const Vaddr page = kKernelArea.start;
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  Server([&] {
    pmap_.GrowKernel(kKernelArea.start + 1);
    pmap_.KenterPa(page, pa, base::kProtReadWrite, uvm::CacheMode::kDefault);
  });
  EXPECT_EQ(pmap_.counters().recalls, 1u);
  EXPECT_TRUE(Write(a, kVa));
  Remove(a, kVa);
  EXPECT_EQ(OwnRights(page), "rw-");
  Server([&] { pmap_.Kremove({page, page + base::kPageSize}); });
  Enter(a, kVa + 0x1000, pa, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa + 0x1000));
  EXPECT_EQ(pmap_.counters().direct_sends, 2u);
}

TEST_F(DirectTest, WhatAnAliasToldIsNotToldAgainAtHome) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  Enter(b, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  Server([&] {
    EXPECT_TRUE(pmap_.ClearModify(pa));
    pmap_.ClearReference(pa);
    pmap_.Remove(a->pmap, Pages(kVa, 1));
    pmap_.Remove(b->pmap, Pages(kVa, 1));
  });
  Enter(a, kVa + 0x5000, pa, base::kProtReadWrite);
  EXPECT_TRUE(Read(a, kVa + 0x5000));
  EXPECT_EQ(pmap_.counters().direct_sends, 1u);
  EXPECT_EQ(pmap_.counters().home_settled, 1u);
  EXPECT_FALSE(Modified(pa));
  Remove(a, kVa + 0x5000);
  EXPECT_FALSE(Modified(pa));
}

TEST_F(DirectTest, AnAliasFromBeforeAnUnmapAtHomeIsMadeAnew) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  Enter(b, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  Remove(a, kVa);
  Remove(b, kVa);
  // Straight from home elsewhere, and taken back there: the old alias goes with it.
  Enter(a, kVa + 0x5000, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa + 0x5000));
  Remove(a, kVa + 0x5000);
  Vaddr alias(0);
  EXPECT_TRUE(pmap_.AliasOf(a->pmap, Vaddr(kVa), &alias));
  EXPECT_EQ(OwnRights(alias), "---");
  uint64_t faults = a->faults;
  Enter(a, kVa, pa, base::kProtReadWrite, Wired::kYes);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(a->faults, faults + 1);
  EXPECT_TRUE(OwnShows(alias, pa));
}

TEST_F(DirectTest, AnAliasOfAnotherFrameStaysOldWhenAPageIsSentAgain) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr old = NewFrame();
  Enter(a, kVa, old, base::kProtReadWrite);
  Enter(b, kVa, old, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  Remove(a, kVa);
  Remove(b, kVa);
  // Once straight from home, where it stays.
  Enter(b, kVa + 0x5000, old, base::kProtReadWrite);
  EXPECT_TRUE(Write(b, kVa + 0x5000));
  // Another frame in the place of the first, sent as often and once more.
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  Server([&] {
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(pmap_.Refill(a->pmap, Vaddr(kVa), Access::kWrite, {a->thread, L4_nilthread}),
                RefillResult::kSent);
    }
  });
  Remove(a, kVa);
  Enter(a, kVa, old, base::kProtReadWrite);
  ExpectSound();
  uint64_t faults = a->faults;
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(a->faults, faults + 1);
}

TEST_F(DirectTest, AnAliasThatIsThereIsUsed) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr pa = NewFrame();
  Enter(a, kVa, pa, base::kProtRead);
  Enter(b, kVa, pa, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  Remove(b, kVa);
  Server([&] { pmap_.PageProtect(pa, base::kProtNone); });
  Enter(a, kVa, pa, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  EXPECT_EQ(pmap_.counters().direct_sends, 0u);
  EXPECT_EQ(pmap_.counters().aliases_made, 1u);
}

TEST_F(DirectTest, APageThatIsWithItsClientDoesNotComeAlongAgain) {
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  EnterRun(a, kVa + 0x1000, 3, base::kProtRead);
  EXPECT_TRUE(Read(a, kVa + 0x2000));
  EXPECT_EQ(Layout(a, kVa, 4), "r.rr");
  EXPECT_TRUE(Read(a, kVa + 0x1000));
  EXPECT_EQ(pmap_.counters().recalls, 0u);
}

}  // namespace
}  // namespace pmap_sim
