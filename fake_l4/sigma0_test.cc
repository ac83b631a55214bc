// sigma0 as the root of all memory.
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/sigma0.h>

#include <string>
#include <vector>

#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kRam = 0x1000000;

class Sigma0Test : public ::testing::Test {
 protected:
  World world_{BootOptions{.ram_bytes = 64 * 4096}};
};

TEST_F(Sigma0Test, ASpecificRegionIsMappedIdempotently) {
  L4_Fpage_t got{};
  const L4_ThreadId_t t =
      world_.Spawn([&] { got = L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam + 0x4000, 14)); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(L4_Address(got), kRam + 0x4000);
  EXPECT_EQ(L4_SizeLog2(got), 14u);
  EXPECT_EQ(world_.Layout(t, kRam, 10), "....xxxx..");
  EXPECT_EQ(world_.kernel().Inspect(kRootSpace, base::Vaddr(kRam + 0x5000)).frame,
            base::Paddr(kRam + 0x5000));
}

TEST_F(Sigma0Test, TheOwnerMayAskAgainOthersNot) {
  bool again = false, other = true, overlapping = true;
  const L4_ThreadId_t first = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    again = !L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 13)));
  });
  const L4_ThreadId_t second = world_.SpawnInNewSpace([&] {
    other = !L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12)));
    overlapping = !L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 14)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(again);
  EXPECT_FALSE(other);
  EXPECT_FALSE(overlapping);
  EXPECT_EQ(world_.Layout(first, kRam, 2), "xx");
  EXPECT_EQ(world_.Layout(second, kRam, 2), "..");
}

// Only a privileged thread can put another one into sigma0's space; nothing stops that one.
TEST_F(Sigma0Test, ANeighbourOfSigma0MapsItsMemoryOnAndResetUndoesIt) {
  for (int round = 0; round < 2; round++) {
    EXPECT_EQ(world_.kernel().ram()[0x3000], 0) << round;
    const L4_ThreadId_t receiver = world_.Spawn([&] {
      ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
      EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(kRam + 0x3000), "x", 1), AccessStatus::kOk);
    });
    world_.SpawnWith(world_.kernel().sigma0(),
                     [&] { SendMap(receiver, Page(kRam + 0x3000, 7), kRam + 0x3000); });
    ASSERT_TRUE(world_.Run()) << world_.problem();
    EXPECT_EQ(world_.kernel().ram()[0x3000], 'x');
    world_.Reset();
  }
}

TEST_F(Sigma0Test, AnyPageUntilThereIsNone) {
  std::vector<L4_Word_t> pages;
  L4_Word_t big = 0;
  bool more = true;
  const L4_ThreadId_t t = world_.Spawn([&] {
    big = L4_Address(L4_Sigma0_GetAny(L4_nilthread, 16, L4_CompleteAddressSpace));
    for (int i = 0; i < 48; i++) {
      const L4_Fpage_t f = L4_Sigma0_GetAny(L4_nilthread, 12, L4_CompleteAddressSpace);
      EXPECT_EQ(L4_SizeLog2(f), 12u);
      pages.push_back(L4_Address(f));
    }
    more = !L4_IsNilFpage(L4_Sigma0_GetAny(L4_nilthread, 12, L4_CompleteAddressSpace));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(big, kRam);
  EXPECT_FALSE(more);
  for (int i = 0; i < 48; i++) EXPECT_EQ(pages[i], kRam + 0x10000 + i * 0x1000u);
  EXPECT_EQ(world_.Layout(t, kRam, 64), std::string(64, 'x'));
}

TEST_F(Sigma0Test, AnyPageBelowALargerRegionIsStillThere) {
  std::vector<L4_Word_t> at;
  world_.Spawn([&] {
    for (const unsigned log2 : {12, 16, 12}) {
      at.push_back(L4_Address(L4_Sigma0_GetAny(L4_nilthread, log2, L4_CompleteAddressSpace)));
    }
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(at, (std::vector<L4_Word_t>{kRam, kRam + 0x10000, kRam + 0x1000}));
}

// RAM begins at 16 MiB: a region of 32 MiB is aligned to its own size, not to RAM's beginning.
TEST(Sigma0RegionTest, AnyRegionIsAligned) {
  World world{BootOptions{.ram_bytes = uint64_t{64} << 20}};
  L4_Fpage_t f{};
  world.Spawn([&] { f = L4_Sigma0_GetAny(L4_nilthread, 25, L4_CompleteAddressSpace); });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(L4_Address(f), L4_Word_t{32} << 20);
}

TEST_F(Sigma0Test, PhysicalAddressesEnd) {
  world_.Spawn([] {
    const L4_Fpage_t beyond = L4_FpageLog2(L4_Word_t{1} << 36, 12);
    EXPECT_TRUE(L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, beyond)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
}

TEST(Sigma0RegionTest, ProcessorsOf32BitsHaveAsManyForPhysicalAddresses) {
  World world{BootOptions{.ram_bytes = 64 * 4096, .profile = kIa32}};
  world.Spawn([] {
    const L4_Fpage_t last = L4_FpageLog2((L4_Word_t{1} << 32) - 4096, 12);
    EXPECT_FALSE(L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, last)));
    for (const L4_Word_t beyond : {L4_Word_t{1} << 32, (L4_Word_t{2} << 32) - 4096}) {
      EXPECT_TRUE(L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(beyond, 12))));
    }
  });
  ASSERT_TRUE(world.Run()) << world.problem();
}

// An answer that maps nothing would make the thread fault for ever.
TEST_F(Sigma0Test, AFaultOnAnothersPageStaysUnanswered) {
  world_.SpawnInNewSpace([] { L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12)); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  world_.kernel().RegisterEntry(Kernel::kRootEntry, [this] {
    char c;
    (void)world_.kernel().cpu().Load(base::Vaddr(kRam), &c, 1);
    ADD_FAILURE() << "not root's page";
  });
  world_.SpawnInNewSpace(
      [this] {
        char c;
        (void)world_.kernel().cpu().Load(base::Vaddr(kRam), &c, 1);
        ADD_FAILURE() << "not its page";
      },
      world_.kernel().sigma0());
  EXPECT_TRUE(world_.Run({.max_switches = 1000})) << world_.problem();
}

TEST_F(Sigma0Test, WhatIsNotMemoryIsRefused) {
  world_.Spawn([&] {
    const auto refused = [](L4_Word_t base, L4_Word_t log2) {
      return L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(base, log2)));
    };
    EXPECT_TRUE(refused(0x4000, 12)) << "below RAM";
    EXPECT_FALSE(refused(0xfee00000, 12)) << "no table names it: a device, for all one knows";
    EXPECT_TRUE(refused(kRam, 20)) << "larger than RAM";
    EXPECT_TRUE(refused(kRam, 11)) << "smaller than a page";
    EXPECT_TRUE(L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_CompleteAddressSpace)));
    EXPECT_FALSE(refused(kRam + 63 * 4096, 12));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
}

TEST_F(Sigma0Test, ASmallWindowTakesItsPart) {
  const L4_ThreadId_t t = world_.Spawn([&] {
    L4_Sigma0_GetPage_RcvWindow(L4_nilthread, L4_FpageLog2(kRam, 14), L4_FpageLog2(0x9000, 12));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Layout(t, 0x9000, 2), "x.");
  EXPECT_TRUE(world_.SameFrame(t, 0x9000, world_.kernel().sigma0(), kRam));
}

TEST_F(Sigma0Test, ItIsThePagerOfRoot) {
  char back = 0;
  world_.kernel().RegisterEntry(Kernel::kRootEntry, [&] {
    char c = 's';
    Cpu cpu = world_.kernel().cpu();
    EXPECT_EQ(cpu.Store(base::Vaddr(kRam + 0x7010), &c, 1), AccessStatus::kOk);
    EXPECT_EQ(cpu.Load(base::Vaddr(kRam + 0x7010), &back, 1), AccessStatus::kOk);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(back, 's');
  EXPECT_EQ(world_.Layout(world_.kernel().root(), kRam + 0x6000, 3), ".x.");
  EXPECT_EQ(world_.kernel().ledger().page_faults, 1u);
}

TEST_F(Sigma0Test, ItHasNoPagerItself) {
  ThreadInfo info;
  ASSERT_TRUE(world_.kernel().Inspect(world_.kernel().sigma0(), &info));
  EXPECT_TRUE(L4_IsNilThread(info.pager));
}

TEST_F(Sigma0Test, AFaultWhereThereIsNoMemoryStaysUnanswered) {
  world_.kernel().RegisterEntry(Kernel::kRootEntry, [&] {
    char c;
    (void)world_.kernel().cpu().Load(base::Vaddr(0x10), &c, 1);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  ThreadInfo info;
  ASSERT_TRUE(world_.kernel().Inspect(world_.kernel().root(), &info));
  EXPECT_EQ(info.state, ThreadState::kReceiving);
  EXPECT_TRUE(info.in_page_fault);
  EXPECT_EQ(info.fault_address, base::Vaddr(0x10));
}

TEST_F(Sigma0Test, NonsenseIsIgnored) {
  bool served = false;
  world_.Spawn([&] {
    L4_Set_MsgTag(L4_MakeMsgTag(3, 1, 0));
    L4_Send(world_.kernel().sigma0());
    EXPECT_TRUE(L4_IpcFailed(L4_Receive_Timeout(world_.kernel().sigma0(), L4_TimePeriod(10000))));
    served = !L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(served);
}

// ---- Devices, the extended protocol, what is ignored ----

TEST_F(Sigma0Test, DeviceRegistersAreEverybodys) {
  const L4_Word_t device = kRam + 64 * 4096;
  char seen = 0;
  bool first = false;
  world_.Spawn([&] {
    first = !L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(device, 12)));
    char c = 'd';
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(device + 8), &c, 1), AccessStatus::kOk);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(first);
  world_.SpawnInNewSpace([&] {
    EXPECT_FALSE(L4_IsNilFpage(L4_Sigma0_GetPage_RcvWindow(L4_nilthread, L4_FpageLog2(device, 13),
                                                           L4_FpageLog2(0x8000, 13))));
    EXPECT_EQ(world_.kernel().cpu().Load(base::Vaddr(0x8008), &seen, 1), AccessStatus::kOk);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(seen, 'd') << "the same register";
  world_.Reset();
  world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(device, 12));
    EXPECT_EQ(world_.kernel().cpu().Load(base::Vaddr(device + 8), &seen, 1), AccessStatus::kOk);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(seen, 0);
}

TEST_F(Sigma0Test, AnyPageIsNeverADevices) {
  world_.Spawn([&] {
    for (int i = 0; i < 64; i++) {
      EXPECT_FALSE(L4_IsNilFpage(L4_Sigma0_GetAny(L4_nilthread, 12, L4_CompleteAddressSpace)));
    }
    EXPECT_TRUE(L4_IsNilFpage(L4_Sigma0_GetAny(L4_nilthread, 12, L4_CompleteAddressSpace)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
}

TEST_F(Sigma0Test, TheKernelsMemoryIsNotGiven) {
  bool given = true;
  world_.Spawn(
      [&] { given = !L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x100000, 12))); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(given);
}

L4_MsgTag_t Ask(L4_ThreadId_t sigma0, L4_Word_t protocol, L4_Word_t what, L4_Word_t operand) {
  L4_Set_MsgTag(L4_MakeMsgTag((~L4_Word_t{0} >> 16) - protocol * 16 + 1, 2, 0));
  L4_LoadMR(1, what);
  L4_LoadMR(2, operand);
  return L4_Call_Timeouts(sigma0, L4_Never, L4_TimePeriod(10000));
}

TEST_F(Sigma0Test, TheExtendedProtocolTellsWhoHasWhat) {
  const L4_ThreadId_t sigma0 = world_.kernel().sigma0();
  L4_ThreadId_t owner = world_.Spawn([&] {
    EXPECT_TRUE(L4_IpcSucceeded(Ask(sigma0, 1001, 1, 1))) << "verbosity";
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam + 0x2000, 13));
    EXPECT_TRUE(L4_IpcSucceeded(Ask(sigma0, 1001, 2, 0))) << "dump";
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const std::string name = "thread " + std::to_string(L4_ThreadNo(owner)) + ".1";
  EXPECT_EQ(world_.kernel().sigma0_log(), "sigma0: " + name + " asks for 0x10020d0: 0x10020d7\n" +
                                              "sigma0: 0x1000000-0x1001fff free\n"
                                              "sigma0: 0x1002000-0x1003fff " +
                                              name + "\n" +
                                              "sigma0: 0x1004000-0x103ffff free\n"
                                              "sigma0: 0x1040000-0x104ffff shared\n");
  L4_MsgTag_t tag = L4_Niltag;
  world_.SpawnInNewSpace([&] { tag = Ask(sigma0, 1001, 2, 0); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(L4_IpcFailed(tag)) << "not for everybody";
}

TEST_F(Sigma0Test, MessagesOfOtherShapesAreIgnored) {
  const L4_ThreadId_t sigma0 = world_.kernel().sigma0();
  bool served = false;
  world_.Spawn([&] {
    EXPECT_TRUE(L4_IpcFailed(Ask(sigma0, 7, 0, 0))) << "no such protocol";
    // What else they say would be a request.
    for (const L4_Word_t words : {0u, 1u, 4u, 5u}) {
      L4_Set_MsgTag(L4_MakeMsgTag(L4_LABEL_SIGMA0, words, 0));
      L4_LoadMR(1, L4_FpageLog2(kRam + 0x4000, 12).raw);
      L4_LoadMR(2, 0);
      EXPECT_TRUE(L4_IpcFailed(L4_Call_Timeouts(sigma0, L4_Never, L4_TimePeriod(10000)))) << words;
    }
    L4_Set_MsgTag(L4_MakeMsgTag(L4_LABEL_SIGMA0, 2, 2));
    const L4_MapItem_t item = L4_MapItem(L4_Nilpage, 0);
    L4_LoadMRs(3, 2, item.raw);
    EXPECT_TRUE(L4_IpcFailed(L4_Call_Timeouts(sigma0, L4_Never, L4_TimePeriod(10000))));
    served = !L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(served);
}

}  // namespace
}  // namespace fake_l4
