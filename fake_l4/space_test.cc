// Map items and unmap as programs use them. Spaces are letters; memory comes from sigma0.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <string>

#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

// ---- Mapping between spaces ----

class SpaceTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kRam = 0x1000000;
  // A thread that accepts `count` map items into `window` from anyone, then stays.
  L4_ThreadId_t Receiver(L4_Fpage_t window = L4_CompleteAddressSpace, int count = 100) {
    return world_.SpawnInNewSpace([window, count] {
      for (int i = 0; i < count; i++) ReceiveMap(L4_anythread, window);
    });
  }
  // Runs `body` in root's space once it holds 2^log2 bytes of RAM from kRam on.
  L4_ThreadId_t Owner(std::function<void()> body, unsigned log2 = 16) {
    return world_.Spawn([log2, body] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, log2));
      body();
    });
  }
  World world_;
};

TEST_F(SpaceTest, APageLandsWhereTheSendBaseSays) {
  const L4_ThreadId_t b = Receiver();
  const L4_ThreadId_t a = Owner([&] {
    SendMap(b, Page(kRam, kR | kW), 0x7000);
    SendMap(b, Page(kRam + 0x1000, kR), 0x8000);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Layout(b, 0x6000, 4), ".wr.");
  EXPECT_TRUE(world_.SameFrame(a, kRam, b, 0x7000));
  EXPECT_TRUE(world_.SameFrame(a, kRam + 0x1000, b, 0x8000));
}

TEST_F(SpaceTest, ALargeFpageKeepsItsHoles) {
  const L4_ThreadId_t b = Receiver();
  Owner([&] {
    L4_FlushFpage(Page(kRam + 0x2000, kRwx));
    SendMap(b, L4_FpageAddRights(L4_FpageLog2(kRam, 14), kR), 0x40000);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Layout(b, 0x40000, 5), "rr.r.");
}

TEST_F(SpaceTest, AWindowSmallerThanTheFpageTakesItsPart) {
  const L4_ThreadId_t b = Receiver(L4_FpageLog2(0x9000, 12));
  const L4_ThreadId_t a =
      Owner([&] { SendMap(b, L4_FpageAddRights(L4_FpageLog2(kRam, 16), kRwx), 0x3000); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Layout(b, 0x8000, 3), ".x.");
  EXPECT_TRUE(world_.SameFrame(a, kRam + 0x3000, b, 0x9000));
}

TEST_F(SpaceTest, WithoutAWindowTheMessageOverflows) {
  L4_Word_t sender = 0, receiver = 0;
  const L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    L4_ThreadId_t from;
    L4_LoadMR(1, 0xdead);
    L4_Accept(L4_UntypedWordsAcceptor);
    EXPECT_TRUE(L4_IpcFailed(L4_Wait(&from)));
    receiver = L4_ErrorCode();
    L4_Word_t w;
    L4_StoreMR(1, &w);
    EXPECT_EQ(w, 0xdeadu) << "a refused item is not written";
  });
  Owner([&] {
    EXPECT_TRUE(L4_IpcFailed(SendMap(b, Page(kRam, kRwx), 0)));
    sender = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(sender, 8u);
  EXPECT_EQ(receiver, 9u);
  EXPECT_EQ(world_.Layout(b, 0, 1), ".");
}

// facts/l4.md section 4.1: what is smaller than a page maps nothing, and is no error.
TEST_F(SpaceTest, AWindowTooSmallForAPageTakesNothingWithoutError) {
  L4_MsgTag_t tag = L4_Niltag;
  L4_Word_t got[2] = {};
  const L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    EXPECT_TRUE(L4_IpcSucceeded(ReceiveMap(L4_anythread, L4_FpageLog2(0x5000, 11))));
    L4_StoreMRs(1, 2, got);
  });
  Owner([&] { tag = SendMap(b, Page(kRam, kRwx), 0); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(L4_IpcSucceeded(tag));
  EXPECT_EQ(got[1], Page(kRam, kRwx).raw);
  EXPECT_EQ(world_.kernel().ledger().pages_mapped, 16u) << "the owner's alone";
}

TEST_F(SpaceTest, TheReceiverGetsTheItemsWordsAsTheyAre) {
  L4_Word_t got[2] = {};
  const L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    L4_StoreMRs(1, 2, got);
  });
  Owner([&] { SendMap(b, Page(kRam, kR), 0x7000); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(got[0], 0x7000u | 8);
  EXPECT_EQ(got[1], Page(kRam, kR).raw);
}

TEST_F(SpaceTest, NilFpageAndAbsentPagesMapNothingWithoutError) {
  const L4_ThreadId_t b = Receiver();
  Owner([&] {
    EXPECT_TRUE(L4_IpcSucceeded(SendMap(b, L4_Nilpage, 0)));
    EXPECT_TRUE(L4_IpcSucceeded(SendMap(b, Page(0x5000, kRwx), 0)));
    EXPECT_TRUE(L4_IpcSucceeded(SendMap(b, L4_FpageOfRaw(0x5000 | 10 << 4 | 7), 0)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Layout(b, 0, 6), "......");
}

TEST_F(SpaceTest, SeveralItemsAreAppliedInOrder) {
  const L4_ThreadId_t b = Receiver();
  const L4_ThreadId_t a = Owner([&] {
    L4_Msg_t msg;
    L4_MsgClear(&msg);
    L4_MsgAppendMapItem(&msg, L4_MapItem(Page(kRam, kR), 0x1000));
    L4_MsgAppendMapItem(&msg, L4_MapItem(Page(kRam + 0x1000, kR | kW), 0x1000));
    L4_MsgLoad(&msg);
    L4_Send(b);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(world_.SameFrame(a, kRam + 0x1000, b, 0x1000));
  EXPECT_EQ(world_.Rights(b, 0x1000), "rw-");
}

TEST_F(SpaceTest, ItemsBeforeAFailingOneStay) {
  const L4_ThreadId_t b = Receiver();
  Owner([&] {
    L4_Msg_t msg;
    L4_MsgClear(&msg);
    L4_MsgAppendMapItem(&msg, L4_MapItem(Page(kRam, kR), 0x1000));
    L4_MapItem_t unknown = L4_MapItem(Page(kRam + 0x1000, kR), 0x2000);
    unknown.raw[0] |= 0xe;  // a type that is none
    L4_MsgAppendMapItem(&msg, unknown);
    L4_MsgLoad(&msg);
    EXPECT_TRUE(L4_IpcFailed(L4_Send(b)));
    EXPECT_EQ(L4_ErrorCode(), 8u);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Layout(b, 0x1000, 2), "r.");
}

TEST_F(SpaceTest, AGrantedPageLeavesTheGranter) {
  L4_Word_t got[4] = {};
  const L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_FpageLog2(0x10000, 16));
    L4_StoreMRs(1, 4, got);
  });
  const L4_ThreadId_t a = Owner([&] {
    L4_Msg_t msg;
    L4_MsgClear(&msg);
    L4_MsgAppendMapItem(&msg, L4_MapItem(Page(kRam, kR), 0x1000));
    L4_MsgAppendGrantItem(&msg, L4_GrantItem(Page(kRam + 0x1000, kR | kW), 0x2000));
    L4_MsgLoad(&msg);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(b)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Layout(b, 0x10000, 4), ".rw.");
  EXPECT_EQ(world_.Layout(a, kRam, 3), "x.x");
  EXPECT_EQ(got[2], 0x2000u | 0xa) << "the item's words arrive as they are";
  EXPECT_EQ(got[3], Page(kRam + 0x1000, kR | kW).raw);
}

TEST_F(SpaceTest, AGrantWithoutAWindowOverflows) {
  const L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    L4_ThreadId_t from;
    L4_Accept(L4_UntypedWordsAcceptor);
    EXPECT_TRUE(L4_IpcFailed(L4_Wait(&from)));
    EXPECT_EQ(L4_ErrorCode(), 9u);
  });
  const L4_ThreadId_t a = Owner([&] {
    const L4_GrantItem_t item = L4_GrantItem(Page(kRam, kRwx), 0);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    EXPECT_TRUE(L4_IpcFailed(L4_Send(b)));
    EXPECT_EQ(L4_ErrorCode(), 8u);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Layout(a, kRam, 1), "x");
}

TEST_F(SpaceTest, AReadOnlyHolderCannotPassOnMore) {
  const L4_ThreadId_t c = Receiver();
  L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    SendMap(c, Page(0x7000, kRwx), 0x7000);
  });
  Owner([&] { SendMap(b, Page(kRam, kR), 0x7000); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Rights(c, 0x7000), "r--");
}

// ---- Own space ----

TEST_F(SpaceTest, AServerMapsHomePagesToAliasesInItsOwnSpace) {
  const L4_ThreadId_t sibling = world_.Spawn([] {
    for (;;) ReceiveMap(L4_anylocalthread, L4_CompleteAddressSpace);
  });
  const L4_ThreadId_t client = Receiver();
  const uint64_t alias = 0x4'0000'0000;
  L4_Fpage_t seen{};
  const L4_ThreadId_t a = Owner([&] {
    SendMap(sibling, Page(kRam, kR | kW), alias);
    SendMap(client, Page(alias, kR), 0x5000);
    // Through the alias only this client loses the page; home and alias stay.
    seen = L4_UnmapFpage(Page(alias, kRwx));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Rights(a, alias), "rw-");
  EXPECT_TRUE(world_.SameFrame(a, kRam, a, alias));
  EXPECT_EQ(world_.Layout(client, 0x5000, 1), ".");
  EXPECT_EQ(L4_Rights(seen), 0u);
}

TEST_F(SpaceTest, UnmapAtHomeTakesTheAliasToo) {
  const L4_ThreadId_t sibling = world_.Spawn([] {
    for (;;) ReceiveMap(L4_anylocalthread, L4_CompleteAddressSpace);
  });
  const L4_ThreadId_t a = Owner([&] {
    SendMap(sibling, Page(kRam, kR | kW), 0x8000000);
    L4_UnmapFpage(Page(kRam, kRwx));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Rights(a, 0x8000000), "---");
  EXPECT_EQ(world_.Rights(a, kRam), "rwx");
}

// ---- Unmap ----

TEST_F(SpaceTest, UnmapReportsAndResetsStatusPerFpage) {
  const L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    char byte = 'x';
    EXPECT_EQ(world_.kernel().cpu().Load(base::Vaddr(0x10000), &byte, 1), AccessStatus::kOk);
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(0x11000), &byte, 1), AccessStatus::kOk);
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(world_.kernel().root());
  });
  L4_Fpage_t f[4];
  world_.kernel().RegisterEntry(Kernel::kRootEntry, [&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 14));
    SendMap(b, L4_FpageAddRights(L4_FpageLog2(kRam, 14), kRwx), 0x10000);
    L4_Receive(b);
    for (int i = 0; i < 3; i++) f[i] = Page(kRam + i * 0x1000, 0);
    f[3] = L4_FpageLog2(kRam, 14);
    L4_UnmapFpages(4, f);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(L4_Rights(f[0]), kR);
  EXPECT_EQ(L4_Rights(f[1]), kR | kW);
  EXPECT_EQ(L4_Rights(f[2]), 0);
  EXPECT_EQ(L4_Rights(f[3]), 0) << "the calls before it have reset them";
  EXPECT_EQ(L4_Address(f[1]), kRam + 0x1000);
  EXPECT_EQ(world_.Layout(b, 0x10000, 4), "xxxx");
}

TEST_F(SpaceTest, StatusOfSeveralPagesIsOrEd) {
  L4_Fpage_t status{};
  const L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    char byte = 'x';
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(0x13000), &byte, 1), AccessStatus::kOk);
    EXPECT_EQ(world_.kernel().cpu().Fetch(base::Vaddr(0x10000)), AccessStatus::kOk);
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(world_.kernel().root());
  });
  world_.kernel().RegisterEntry(Kernel::kRootEntry, [&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 14));
    SendMap(b, L4_FpageAddRights(L4_FpageLog2(kRam, 14), kRwx), 0x10000);
    L4_Receive(b);
    status = L4_UnmapFpage(L4_FpageAddRights(L4_FpageLog2(kRam, 14), kRwx));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(L4_Rights(status), kRwx);
  EXPECT_EQ(world_.Layout(b, 0x10000, 4), "....");
}

TEST_F(SpaceTest, ACompleteFpageMeansEverythingThereIs) {
  const L4_ThreadId_t b = Receiver();
  const L4_ThreadId_t a = Owner([&] {
    SendMap(b, L4_FpageAddRights(L4_FpageLog2(kRam, 14), kRwx), 0x10000);
    SendMap(b, Page(kRam, kRwx), 0x7000'0000'0000);
    L4_UnmapFpage(L4_FpageAddRights(L4_CompleteAddressSpace, kW | kX));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Layout(b, 0x10000, 4), "rrrr");
  EXPECT_EQ(world_.Layout(b, 0x7000'0000'0000, 1), "r");
  EXPECT_EQ(world_.Layout(a, kRam, 4), "xxxx");
}

TEST_F(SpaceTest, AFlushOfTheReceiverLeavesTheOthersAlone) {
  const L4_ThreadId_t c = Receiver();
  const L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    L4_FlushFpage(L4_FpageAddRights(L4_CompleteAddressSpace, kRwx));
  });
  const L4_ThreadId_t a = Owner([&] {
    SendMap(b, Page(kRam, kRwx), 0x1000);
    SendMap(c, Page(kRam, kRwx), 0x1000);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Rights(a, kRam), "rwx");
  EXPECT_EQ(world_.Rights(b, 0x1000), "---");
  EXPECT_EQ(world_.Rights(c, 0x1000), "rwx");
}

TEST_F(SpaceTest, SixtyFourFpagesInOneCall) {
  const L4_ThreadId_t b = Receiver();
  Owner(
      [&] {
        SendMap(b, L4_FpageAddRights(L4_FpageLog2(kRam, 18), kRwx), 0);
        L4_Fpage_t f[64];
        for (int i = 0; i < 64; i++) f[i] = Page(kRam + i * 0x1000, i % 2 ? kRwx : kW | kX);
        L4_UnmapFpages(64, f);
      },
      18);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  std::string expected;
  for (int i = 0; i < 32; i++) expected += "r.";
  EXPECT_EQ(world_.Layout(b, 0, 64), expected);
  EXPECT_EQ(world_.kernel().ledger().unmap_calls, 1u);
  EXPECT_EQ(world_.kernel().ledger().unmap_fpages, 64u);
  EXPECT_EQ(world_.kernel().ledger().pages_unmapped, 32u);
}

TEST_F(SpaceTest, TheKernelsAreasAreNeverMappedOver) {
  const L4_ThreadId_t b = Receiver();
  Owner([&] { SendMap(b, Page(kRam, kRwx), kAmd64Nx.root_utcb_area); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Rights(b, kAmd64Nx.root_utcb_area), "---");
}

// A page of 1 GiB, mapped on twice; then small parts of it are taken back.
TEST(GigabytePageTest, PartsAreUnmappedAtEveryDepth) {
  constexpr uint64_t kG = uint64_t{1} << 30, kM2 = uint64_t{2} << 20;
  World world({.ram_bytes = 3 * kG});
  L4_Word_t status[2] = {};
  const L4_ThreadId_t c = world.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    char byte;
    (void)world.kernel().cpu().Load(base::Vaddr(5 * kG + 0x1234), &byte, 1);
  });
  const L4_ThreadId_t b = world.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    SendMap(c, L4_FpageAddRights(L4_FpageLog2(2 * kG, 30), kR), 5 * kG);
    L4_Receive(L4_anythread);
  });
  world.Spawn([&] {
    ASSERT_FALSE(L4_IsNilFpage(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kG, 30))));
    SendMap(b, L4_FpageAddRights(L4_FpageLog2(kG, 30), kRwx), 2 * kG);
    while (status[0] == 0) {
      L4_Yield();
      status[0] = L4_UnmapFpage(L4_FpageLog2(kG, 30)).raw & 7;
    }
    EXPECT_EQ(world.kernel().ledger().pages_mapped, 3u) << "one entry for each space";
    L4_UnmapFpage(Page(kG + kM2 + 0x3000, kRwx));
    L4_UnmapFpage(L4_FpageAddRights(L4_FpageLog2(kG + 2 * kM2, 21), kW));
    status[1] = L4_UnmapFpage(L4_FpageLog2(kG, 30)).raw & 7;
  });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(world.Layout(b, 2 * kG + kM2, 6), "xxx.xx");
  EXPECT_EQ(world.Layout(c, 5 * kG + kM2, 6), "rrr.rr");
  EXPECT_EQ(world.Rights(b, 2 * kG + 2 * kM2), "r-x");
  EXPECT_EQ(world.Rights(b, 3 * kG - 0x1000), "rwx");
  EXPECT_EQ(world.Rights(c, 6 * kG - 0x1000), "r--");
  EXPECT_EQ(status[0], kR);
  EXPECT_EQ(status[1], 0u) << "told once";
}

// A page that was granted on twice still hangs where it came from.
TEST_F(SpaceTest, APageGrantedThroughThreeSpacesIsStillTheOwnersToTake) {
  const auto grant = [](L4_ThreadId_t to) {
    const L4_GrantItem_t item = L4_GrantItem(Page(kRam, kRwx), kRam);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(to)));
  };
  const L4_ThreadId_t d = Receiver();
  const L4_ThreadId_t c = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    grant(d);
  });
  const L4_ThreadId_t b = world_.SpawnInNewSpace([&] {
    ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
    grant(c);
  });
  Owner([&] { SendMap(b, Page(kRam, kRwx), kRam); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Rights(b, kRam) + world_.Rights(c, kRam) + world_.Rights(d, kRam), "------rwx");
  world_.Spawn([&] { L4_UnmapFpage(Page(kRam, kRwx)); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.Rights(d, kRam), "---");
}

}  // namespace
}  // namespace fake_l4
