// A kernel without memory for mappings: what gives way, and what never does.

#include <gtest/gtest.h>

#include <vector>

#include "base/addr.h"
#include "base/canary.h"
#include "base/fault_site.h"
#include "base/prot.h"
#include "pmap_sim/l4_pmap.h"
#include "pmap_sim/testing/clients.h"
#include "uvm/pmap.h"

namespace pmap_sim {
namespace {

using base::Paddr;
using base::Vaddr;
using testing::Client;
using testing::kVa;
using uvm::Wired;

constexpr fake_l4::BootOptions kSmall = {.ram_bytes = uint64_t{4} << 20};

// How many mappings there are once the pmap is up.
class Counting : public testing::ClientsTest {
 public:
  Counting() : ClientsTest(kSmall) {}
  void TestBody() override {}
  uint32_t mappings() { return world_.kernel().mapping_count(); }
};

fake_l4::BootOptions WithRoomFor(uint32_t mappings) {
  fake_l4::BootOptions options = kSmall;
  options.max_mappings = Counting().mappings() + mappings;
  return options;
}

class ShortageTest : public testing::ClientsTest {
 protected:
  ShortageTest() : ClientsTest(WithRoomFor(8)) {}
};

// Memory enough, but a mapping may be refused.
class RefusalTest : public testing::ClientsTest {
 protected:
  RefusalTest() : ClientsTest(kSmall) {}
};

TEST_F(ShortageTest, UnwiredMappingsGiveWay) {
  Client* a = NewClient();
  for (uint64_t i = 0; i < 32; ++i) Enter(a, kVa + i * 0x20000, NewFrame(), base::kProtReadWrite);
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 32; ++i) EXPECT_TRUE(Write(a, kVa + i * 0x20000)) << i;
  }
  EXPECT_GT(pmap_.counters().shortages, 0u);
  EXPECT_GT(pmap_.counters().dropped, 0u);
  EXPECT_EQ(pmap_.ResidentCount(a->pmap), base::PageCount(32));
}

TEST_F(ShortageTest, AWiredPageFindsRoom) {
  Client* a = NewClient();
  Client* b = NewClient();
  Paddr wired = NewFrame();
  for (uint64_t i = 0; i < 32; ++i) Enter(b, kVa + i * 0x20000, NewFrame(), base::kProtRead);
  for (uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(Read(b, kVa + i * 0x20000));
  Enter(a, kVa, wired, base::kProtReadWrite, Wired::kYes);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  EXPECT_EQ(pmap_.WiredCount(a->pmap), base::PageCount(1));
}

TEST_F(ShortageTest, AWiredPageIsNotDroppedForOthers) {
  Client* a = NewClient();
  Paddr wired = NewFrame();
  Enter(a, kVa, wired, base::kProtReadWrite, Wired::kYes);
  EXPECT_TRUE(Write(a, kVa));
  for (uint64_t i = 1; i < 32; ++i) {
    Enter(a, kVa + i * 0x20000, NewFrame(), base::kProtRead);
    EXPECT_TRUE(Read(a, kVa + i * 0x20000)) << i;
  }
  EXPECT_GT(pmap_.counters().dropped, 0u);
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  const uint64_t faults = a->faults;
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(a->faults, faults);
}

// Nor is its alias, although nothing is mapped from it at the moment.
TEST_F(ShortageTest, AnAliasOfAWiredPageIsNotDroppedForOthers) {
  Client* a = NewClient();
  const Paddr wired = NewFrame();
  Enter(a, kVa, wired, base::kProtReadWrite, Wired::kYes);
  EXPECT_TRUE(Write(a, kVa));
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 1)); });
  Enter(a, kVa, wired, base::kProtReadWrite, Wired::kYes);
  Vaddr alias;
  ASSERT_TRUE(pmap_.AliasOf(a->pmap, Vaddr(kVa), &alias));
  ASSERT_TRUE(OwnShows(alias, wired));
  for (uint64_t i = 1; i < 32; ++i) {
    Enter(a, kVa + i * 0x20000, NewFrame(), base::kProtRead);
    EXPECT_TRUE(Read(a, kVa + i * 0x20000)) << i;
  }
  EXPECT_GT(pmap_.counters().dropped, 0u);
  EXPECT_TRUE(OwnShows(alias, wired));
}

TEST_F(ShortageTest, StatusOfWhatIsDroppedIsKept) {
  Client* a = NewClient();
  Paddr written = NewFrame();
  Enter(a, kVa, written, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  for (uint64_t i = 1; i < 32; ++i) {
    Enter(a, kVa + i * 0x20000, NewFrame(), base::kProtRead);
    EXPECT_TRUE(Read(a, kVa + i * 0x20000));
  }
  EXPECT_EQ(Layout(a, kVa, 1), ".");
  EXPECT_TRUE(Modified(written));
}

// More wired pages than the kernel has room for: clients hold them by turns, and no access fails.
TEST_F(ShortageTest, WhenOnlyWiredPagesAreLeftTheyTakeTurns) {
  Client* a = NewClient();
  for (uint64_t i = 0; i < 16; ++i) {
    Enter(a, kVa + i * 0x20000, NewFrame(), base::kProtRead, Wired::kYes);
  }
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 16; ++i) EXPECT_TRUE(Read(a, kVa + i * 0x20000)) << i;
  }
  EXPECT_EQ(pmap_.WiredCount(a->pmap), base::PageCount(16));
  EXPECT_EQ(pmap_.counters().refill_misses, 0u);
}

// What is not wired gives way to what is, and its access fails while nothing else is left to take.
TEST_F(ShortageTest, BesideWiredPagesAnotherFaultFails) {
  Client* a = NewClient();
  Client* b = NewClient();
  for (uint64_t i = 0; i < 4; ++i) {
    Enter(a, kVa + i * 0x20000, NewFrame(), base::kProtRead, Wired::kYes);
    EXPECT_TRUE(Read(a, kVa + i * 0x20000));
  }
  // From an alias, as it has two mappings.
  const Paddr frame = NewFrame();
  Enter(a, kVa + 8 * 0x20000, frame, base::kProtRead);
  Enter(b, kVa, frame, base::kProtRead);
  EXPECT_FALSE(Read(b, kVa));
  EXPECT_EQ(b->last, RefillResult::kNoMemory);
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 1)); });
  EXPECT_TRUE(Read(b, kVa));
}

TEST_F(ShortageTest, APmapThatFindsNoMemoryIsNotMade) {
  NewClient();
  memory_.refuse = true;
  std::vector<uvm::Pmap*> made;
  Server([&] {
    for (;;) {
      const auto pmap = pmap_.Create();
      if (!pmap.ok()) {
        EXPECT_EQ(pmap.error(), uvm::PmapError::kNoMemory);
        break;
      }
      made.push_back(pmap.value());
      ASSERT_LT(made.size(), 10000u);
    }
  });
  EXPECT_EQ(pmap_.pmap_count(), 1 + made.size());
  // What ends makes room.
  Server([&] {
    ASSERT_FALSE(made.empty());
    pmap_.Destroy(made.back());
    EXPECT_TRUE(pmap_.Create().ok());
  });
}

// One refusal of the kernel's is mended by the next fault: the alias that was not made is made
// anew, and nobody else's pages give way for it.
TEST_F(RefusalTest, AnAliasThatWasRefusedIsMadeAtTheNextFault) {
  Client* a = NewClient();
  Enter(a, kVa + 0x20000, NewFrame(), base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa + 0x20000));
  Enter(a, kVa, NewFrame(), base::kProtReadWrite, Wired::kYes);  // so it is mapped from its alias
  const uint64_t faults = a->faults;
  world_.kernel().ArmFault(base::FaultSite::kMappingNode);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(world_.kernel().ledger().faults_injected, 1u);
  EXPECT_EQ(a->faults, faults + 2);
  EXPECT_EQ(pmap_.counters().dropped, 0u);
  EXPECT_EQ(Layout(a, kVa + 0x20000, 1), "w");
}

// The alias that stood there showed another frame; it does not serve in the new one's place.
TEST_F(RefusalTest, AnAliasThatWasRefusedLeavesNoOlderOne) {
  Client* a = NewClient();
  const Paddr old = NewFrame();
  Enter(a, kVa, old, base::kProtReadWrite, Wired::kYes);
  EXPECT_TRUE(Write(a, kVa));
  const Paddr fresh = NewFrame();
  Enter(a, kVa, fresh, base::kProtReadWrite, Wired::kYes);
  world_.kernel().ArmFault(base::FaultSite::kMappingNode);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(world_.kernel().ledger().faults_injected, 1u);
  EXPECT_TRUE(world_.SameFrame(a->thread, kVa, mirror_, fresh.value()));
}

// The same where it is the client's mapping that was refused.
TEST_F(RefusalTest, AMappingThatWasRefusedIsMadeAtTheNextFault) {
  Client* a = NewClient();
  Enter(a, kVa + 0x20000, NewFrame(), base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa + 0x20000));
  Enter(a, kVa, NewFrame(), base::kProtReadWrite, Wired::kYes);
  const uint64_t faults = a->faults;
  world_.kernel().ArmFault(base::FaultSite::kMappingNode, 1);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(world_.kernel().ledger().faults_injected, 1u);
  EXPECT_EQ(a->faults, faults + 2);
  EXPECT_EQ(pmap_.counters().dropped, 0u);
  EXPECT_EQ(Layout(a, kVa + 0x20000, 1), "w");
}

TEST_F(ShortageTest, CanaryDropsWiredPages) {
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtReadWrite, Wired::kYes);
  EXPECT_TRUE(Write(a, kVa));
  canary_.Arm(base::Canary::kShortageDropsWired);
  for (uint64_t i = 1; i < 32; ++i) {
    Enter(a, kVa + i * 0x20000, NewFrame(), base::kProtRead);
    Read(a, kVa + i * 0x20000);
  }
  EXPECT_EQ(pmap_.WiredCount(a->pmap), base::PageCount(0));
}

}  // namespace
}  // namespace pmap_sim
