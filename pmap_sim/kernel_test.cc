// The kernel pmap and memory of no segment.

#include <gtest/gtest.h>
#include <l4/ipc.h>
#include <l4/space.h>
#include <l4/thread.h>

#include "base/addr.h"
#include "base/fault_site.h"
#include "base/prot.h"
#include "pmap_sim/l4_pmap.h"
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

class KernelPmapTest : public testing::ClientsTest {
 protected:
  KernelPmapTest() {
    Server([this] { pmap_.GrowKernel(kKernelArea.start + kWindowBytes); });
  }
  void EnterKernel(Vaddr va, Paddr pa, base::Prot prot, Wired wired = Wired::kNo) {
    Server([=, this] {
      EXPECT_TRUE(
          pmap_.Enter(pmap_.Kernel(), va, pa, prot, {.access = base::kProtNone, .wired = wired})
              .ok());
      pmap_.Update(pmap_.Kernel());
    });
  }
  void Kenter(Vaddr va, Paddr pa, base::Prot prot) {
    Server([=, this] { pmap_.KenterPa(va, pa, prot, uvm::CacheMode::kDefault); });
  }
  Paddr ExtractKernel(Vaddr va) {
    Paddr pa(0);
    Server([&] { EXPECT_TRUE(pmap_.Extract(pmap_.Kernel(), va, &pa)); });
    return pa;
  }

  // A store by a server thread whose pager serves kernel mappings; true when it succeeded.
  bool StoreWithPager(Vaddr va) {
    RefillResult result = RefillResult::kMiss;
    L4_ThreadId_t pager = world_.Spawn([&] {
      L4_ThreadId_t from;
      L4_Wait(&from);
      result = pmap_.Refill(pmap_.Kernel(), va, Access::kWrite, {from, L4_Myself()});
    });
    bool done = false;
    world_.SpawnWith(
        mirror_,
        [&] {
          const char c = 'x';
          fake_l4::Cpu cpu = fake_l4::Kernel::Current()->cpu();
          done = cpu.Store(va, &c, 1) == fake_l4::AccessStatus::kOk;
        },
        pager);
    EXPECT_TRUE(world_.Run()) << world_.problem();
    EXPECT_EQ(result, RefillResult::kSent);
    return done;
  }

  const Vaddr page_ = kKernelArea.start + 0x3000;
};

TEST_F(KernelPmapTest, GrowsByWholeWindowsAndNeverShrinks) {
  Server([&] {
    EXPECT_EQ(pmap_.VirtualSpace().start, kKernelArea.start);
    EXPECT_EQ(pmap_.VirtualSpace().end, kKernelArea.end);
    EXPECT_EQ(pmap_.GrowKernel(kKernelArea.start + kWindowBytes + 1),
              kKernelArea.start + 2 * kWindowBytes);
    EXPECT_EQ(pmap_.GrowKernel(kKernelArea.start), kKernelArea.start + 2 * kWindowBytes);
    EXPECT_EQ(pmap_.GrowKernel(kKernelArea.end), kKernelArea.end);
  });
}

TEST_F(KernelPmapTest, AMappingIsThereWhenItIsEntered) {
  Paddr pa = NewFrame();
  Kenter(page_, pa, base::kProtReadWrite);
  EXPECT_EQ(OwnRights(page_), "rw-");
  EXPECT_TRUE(OwnShows(page_, pa));
  EXPECT_EQ(ExtractKernel(page_ + 0x123), pa + 0x123);
  EXPECT_EQ(pmap_.WiredCount(pmap_.Kernel()), base::PageCount(1));
  Server([&] { pmap_.Kremove({page_, page_ + base::kPageSize}); });
  EXPECT_EQ(OwnRights(page_), "---");
  EXPECT_EQ(pmap_.ResidentCount(pmap_.Kernel()), base::PageCount(0));
  EXPECT_EQ(pmap_.WiredCount(pmap_.Kernel()), base::PageCount(0));
}

// The contract's direct map: home addresses are the kernel's without being entered.
TEST_F(KernelPmapTest, HomeAddressesAreExtracted) {
  const Paddr frame = NewFrame();
  const Client* client = NewClient();
  Server([&] {
    Paddr pa;
    EXPECT_TRUE(pmap_.Extract(pmap_.Kernel(), Vaddr(frame.value()) + 0x123, &pa));
    EXPECT_EQ(pa, frame + 0x123);
    EXPECT_TRUE(pmap_.Extract(pmap_.Kernel(), Vaddr(frame.value()), nullptr));
    EXPECT_FALSE(pmap_.Extract(client->pmap, Vaddr(frame.value()), &pa));
    EXPECT_FALSE(pmap_.Extract(pmap_.Kernel(), kKernelArea.start, &pa));
    const Vaddr beyond(world_.kernel().profile().ram_base + world_.kernel().ram_bytes());
    EXPECT_FALSE(pmap_.Extract(pmap_.Kernel(), beyond, &pa));
  });
  EXPECT_EQ(pmap_.ResidentCount(pmap_.Kernel()), base::PageCount(0));
}

TEST_F(KernelPmapTest, HolesAreFineToRemove) {
  Kenter(page_, NewFrame(), base::kProtRead);
  Server([&] { pmap_.Kremove({kKernelArea.start, kKernelArea.end}); });
  EXPECT_EQ(OwnRights(page_), "---");
  Kenter(page_, NewFrame(), base::kProtRead);
  EXPECT_EQ(OwnRights(page_), "r--");
  Server([&] { pmap_.Kremove({kKernelArea.start, kKernelArea.end}); });
}

TEST_F(KernelPmapTest, AnUnmanagedMappingIsOutsideStatusAndPageProtect) {
  Paddr pa = NewFrame();
  Kenter(page_, pa, base::kProtReadWrite);
  OwnTouch(Access::kWrite, page_);
  EXPECT_FALSE(Modified(pa));
  Server([&] { pmap_.PageProtect(pa, base::kProtNone); });
  EXPECT_EQ(OwnRights(page_), "rw-");
  Server([&] { pmap_.Kremove({page_, page_ + base::kPageSize}); });
  EXPECT_FALSE(Modified(pa));
  EXPECT_FALSE(Referenced(pa));
}

TEST_F(KernelPmapTest, AManagedMappingHasStatusAndCanBeLowered) {
  Paddr pa = NewFrame();
  EnterKernel(page_, pa, base::kProtReadWrite);
  EXPECT_EQ(OwnRights(page_), "rw-");
  EXPECT_FALSE(Modified(pa));
  OwnTouch(Access::kWrite, page_);
  EXPECT_TRUE(Modified(pa));
  Server([&] { EXPECT_TRUE(pmap_.ClearModify(pa)); });
  EXPECT_FALSE(Modified(pa));
  EXPECT_EQ(OwnRights(page_), "rw-");
  OwnTouch(Access::kWrite, page_);
  Server([&] { pmap_.PageProtect(pa, base::kProtRead); });
  EXPECT_EQ(OwnRights(page_), "r--");
  EXPECT_TRUE(Modified(pa));
  Server([&] { pmap_.PageProtect(pa, base::kProtNone); });
  EXPECT_EQ(OwnRights(page_), "---");
  EXPECT_EQ(pmap_.ResidentCount(pmap_.Kernel()), base::PageCount(0));
}

TEST_F(KernelPmapTest, EnterReplacesFrameRightsAndWiring) {
  Paddr first = NewFrame();
  Paddr second = NewFrame();
  EnterKernel(page_, first, base::kProtRead, Wired::kYes);
  EnterKernel(page_, first, base::kProtReadWrite);
  EXPECT_EQ(OwnRights(page_), "rw-");
  EXPECT_EQ(pmap_.WiredCount(pmap_.Kernel()), base::PageCount(0));
  EnterKernel(page_, first, base::kProtRead);
  EXPECT_EQ(OwnRights(page_), "r--");
  EnterKernel(page_, second, base::kProtRead);
  EXPECT_TRUE(OwnShows(page_, second));
  EXPECT_EQ(pmap_.ResidentCount(pmap_.Kernel()), base::PageCount(1));
  Server([&] { pmap_.Remove(pmap_.Kernel(), kKernelArea); });
  EXPECT_EQ(OwnRights(page_), "---");
}

TEST_F(KernelPmapTest, ClientAndKernelShareAFrame) {
  Client* a = NewClient();
  Paddr pa = NewFrame();
  EnterKernel(page_, pa, base::kProtReadWrite);
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  Server([&] { pmap_.Remove(a->pmap, Pages(kVa, 1)); });
  EXPECT_EQ(OwnRights(page_), "rw-");
  Enter(a, kVa, pa, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  Server([&] { pmap_.Remove(pmap_.Kernel(), kKernelArea); });
  EXPECT_EQ(Layout(a, kVa, 1), "w");
  EXPECT_TRUE(Modified(pa));
}

TEST_F(KernelPmapTest, DeviceMemoryIsMappedUnmanaged) {
  Client* a = NewClient();
  uvm::PhysicalSegment last = pmap_.segment(pmap_.segment_count() - 1);
  const Paddr device = last.start + base::ToBytes(last.pages);  // device registers follow RAM
  Enter(a, kVa, device, base::kProtReadWrite);
  EXPECT_TRUE(Write(a, kVa));
  EXPECT_EQ(pmap_.ResidentCount(a->pmap), base::PageCount(1));
  Paddr pa(0);
  Server([&] { EXPECT_TRUE(pmap_.Extract(a->pmap, Vaddr(kVa), &pa)); });
  EXPECT_EQ(pa, device);
  Server([&] { EXPECT_EQ(pmap_.PhysAddress(device.value()), device); });
  Enter(a, kVa, NewFrame(), base::kProtRead);
  EXPECT_EQ(Layout(a, kVa, 1), ".");
  Kenter(page_, device, base::kProtRead);
  EXPECT_TRUE(OwnShows(page_, device));
  Server([&] { pmap_.Kremove(kKernelArea); });
}

// What has no status of its own is asked of the kernel when it is taken back.
TEST_F(KernelPmapTest, DeviceMemoryThatIsUsedIsNoShortage) {
  Client* a = NewClient();
  const uvm::PhysicalSegment last = pmap_.segment(pmap_.segment_count() - 1);
  Enter(a, kVa, last.start + base::ToBytes(last.pages), base::kProtReadWrite);
  for (int round = 0; round < 100; ++round) {
    ASSERT_TRUE(round % 2 == 0 ? Write(a, kVa) : Read(a, kVa)) << round;
    world_.SpawnWith(
        a->thread,
        [] { L4_FlushFpage(L4_FpageAddRights(L4_CompleteAddressSpace, L4_FullyAccessible)); },
        a->pager);
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }
  EXPECT_EQ(pmap_.counters().shortages, 0u);
}

TEST_F(KernelPmapTest, MemoryThatNobodyGivesCannotBeEntered) {
  Client* a = NewClient();
  Enter(a, kVa, NewFrame(), base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  Server([&] {
    // Below RAM nothing is listed, but addresses end.
    EXPECT_FALSE(pmap_
                     .Enter(a->pmap, Vaddr(kVa), Paddr(uint64_t{1} << 40), base::kProtRead,
                            {.access = base::kProtRead})
                     .ok());
  });
  EXPECT_EQ(Layout(a, kVa, 1), ".");
  EXPECT_EQ(pmap_.ResidentCount(a->pmap), base::PageCount(0));
}

TEST_F(KernelPmapTest, AServerThreadThatMissesAMappingGetsIt) {
  Paddr pa = NewFrame();
  Kenter(page_, pa, base::kProtReadWrite);
  Server([&] {
    const auto va = static_cast<L4_Word_t>(page_.value());
    L4_FlushFpage(L4_FpageAddRights(L4_FpageLog2(va, base::kPageShift), L4_FullyAccessible));
  });
  EXPECT_EQ(OwnRights(page_), "---");
  EXPECT_TRUE(StoreWithPager(page_));
  EXPECT_TRUE(OwnShows(page_, pa));
  Server([&] { pmap_.Kremove(kKernelArea); });
}

// Kenter does not hear that the kernel had no memory for the mapping. The table has it at once, and
// so does whoever uses the address.
TEST_F(KernelPmapTest, AMappingThatTheKernelHadNoMemoryForIsThereForWhoUsesIt) {
  Paddr pa = NewFrame();
  world_.kernel().ArmFault(base::FaultSite::kMappingNode);
  Kenter(page_, pa, base::kProtReadWrite);
  EXPECT_EQ(OwnRights(page_), "---");
  EXPECT_EQ(ExtractKernel(page_), pa);
  EXPECT_EQ(pmap_.WiredCount(pmap_.Kernel()), base::PageCount(1));
  EXPECT_TRUE(StoreWithPager(page_));
  EXPECT_TRUE(OwnShows(page_, pa));
  EXPECT_EQ(OwnRights(page_), "rw-");
  EXPECT_FALSE(Modified(pa));
  Server([&] { pmap_.Kremove(kKernelArea); });
  EXPECT_EQ(OwnRights(page_), "---");
}

// How a device is cached is sigma0's default, and no profile has caches with colours: whatever
// offset is to lie at a hint may lie there.
TEST_F(KernelPmapTest, CookiesAreAddressesAndNothingHasAColour) {
  EXPECT_EQ(pmap_.PhysAddress(0x12345678), Paddr(0x12345000));
  for (const uint64_t cookie : {uint64_t{0}, uint64_t{0x12345678}, ~uint64_t{0}}) {
    EXPECT_EQ(pmap_.MmapFlags(cookie), uvm::CacheMode::kDefault);
  }
  for (const uvm::PreferSide side : {uvm::PreferSide::kAbove, uvm::PreferSide::kBelow}) {
    for (const uint64_t offset : {uint64_t{0}, uint64_t{0x7000}}) {
      EXPECT_EQ(pmap_.Prefer(offset, Vaddr(kVa), base::kPageSize, side), Vaddr(kVa));
    }
  }
}

TEST_F(KernelPmapTest, APmapLivesAsLongAsItsReferences) {
  Client* a = NewClient();
  Server([&] {
    pmap_.Reference(a->pmap);
    pmap_.Destroy(a->pmap);
  });
  EXPECT_EQ(pmap_.pmap_count(), 1u);
  Enter(a, kVa, NewFrame(), base::kProtRead);
  EXPECT_TRUE(Read(a, kVa));
  Server([&] {
    EXPECT_TRUE(pmap_.RemoveAll(a->pmap));
    pmap_.Destroy(a->pmap);
  });
  EXPECT_EQ(pmap_.pmap_count(), 0u);
}

}  // namespace
}  // namespace pmap_sim
