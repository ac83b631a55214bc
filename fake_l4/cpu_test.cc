// Loads and stores of simulated programs, and the page-fault protocol.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <cstring>
#include <string>
#include <vector>

#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;

class CpuTest : public ::testing::Test {
 protected:
  // A pager in root's space that owns RAM and answers faults at address A with its page A + kRam.
  L4_ThreadId_t Pager(unsigned rights = kRwx) {
    return world_.Spawn([this, rights] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 20));
      L4_ThreadId_t from;
      L4_MsgTag_t tag = L4_Wait(&from);
      for (;;) {
        L4_Word_t address = 0, ip = 0;
        L4_StoreMR(1, &address);
        L4_StoreMR(2, &ip);
        EXPECT_TRUE(L4_IsPageFault(tag));
        EXPECT_EQ(L4_UntypedWords(tag), 2u);
        faults_.push_back({L4_PageFaultAccess(tag), address, ip});
        const L4_Word_t page = address & ~L4_Word_t{4095};
        const L4_MapItem_t item = L4_MapItem(Page(kRam + page, rights), page);
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_LoadMRs(1, 2, item.raw);
        tag = L4_ReplyWait(from, &from);
      }
    });
  }
  Cpu cpu() { return world_.kernel().cpu(); }

  struct Fault {
    L4_Word_t access, address, ip;
    bool operator==(const Fault&) const = default;
  };
  World world_;
  std::vector<Fault> faults_;
};

TEST_F(CpuTest, AFaultIsAMessageAndItsAnswerAMapItem) {
  const L4_ThreadId_t pager = Pager();
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        cpu().set_ip(0x400123);
        const char text[] = "hello";
        EXPECT_EQ(cpu().Store(base::Vaddr(0x2345), text, 5), AccessStatus::kOk);
        char back[6] = {};
        EXPECT_EQ(cpu().Load(base::Vaddr(0x2345), back, 5), AccessStatus::kOk);
        EXPECT_STREQ(back, "hello");
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(faults_, (std::vector<Fault>{{kW, 0x2345, 0x400123}}));
  // The host sees the bytes through the home window.
  const uint8_t* home = reinterpret_cast<uint8_t*>(kRam + 0x2345 + world_.kernel().home_bias());
  EXPECT_EQ(std::memcmp(home, "hello", 5), 0);
  char seen[5];
  EXPECT_TRUE(world_.kernel().DebugRead(world_.SpaceOf(client), base::Vaddr(0x2345), seen, 5));
  EXPECT_EQ(std::memcmp(seen, "hello", 5), 0);
}

TEST_F(CpuTest, EachKindOfAccessIsReported) {
  const L4_ThreadId_t pager = Pager();
  world_.SpawnInNewSpace(
      [&] {
        char c = 0;
        EXPECT_EQ(cpu().Load(base::Vaddr(0x1000), &c, 1), AccessStatus::kOk);
        EXPECT_EQ(cpu().Store(base::Vaddr(0x2000), &c, 1), AccessStatus::kOk);
        EXPECT_EQ(cpu().Fetch(base::Vaddr(0x3000)), AccessStatus::kOk);
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  ASSERT_EQ(faults_.size(), 3u);
  EXPECT_EQ(faults_[0].access, kR);
  EXPECT_EQ(faults_[1].access, kW);
  EXPECT_EQ(faults_[2].access, kX);
}

TEST_F(CpuTest, AnAccessToAPageThatIsThereTakesItsTimeAndNoMore) {
  const L4_ThreadId_t pager = Pager();
  world_.SpawnInNewSpace(
      [&] {
        char byte = 'x';
        const auto time_of = [&](auto access) {
          access();  // which may fault
          const uint64_t before = world_.kernel().now_ns();
          for (int i = 0; i < 10; i++) access();
          return world_.kernel().now_ns() - before;
        };
        const base::Vaddr va(0x2345);
        const uint64_t ten = 10 * kAmd64Nx.costs.access;
        ASSERT_GT(ten, 0u);
        EXPECT_EQ(time_of([&] { (void)cpu().Load(va, &byte, 1); }), ten);
        EXPECT_EQ(time_of([&] { (void)cpu().Store(va, &byte, 1); }), ten);
        EXPECT_EQ(time_of([&] { (void)cpu().Fetch(va); }), ten);
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
}

TEST_F(CpuTest, AnAccessMayCrossPages) {
  const L4_ThreadId_t pager = Pager();
  world_.SpawnInNewSpace(
      [&] {
        std::vector<char>* big =
            new std::vector<char>(3 * 4096, 'q');  // not on the abandoned stack
        EXPECT_EQ(cpu().Store(base::Vaddr(0x1800), big->data(), big->size()), AccessStatus::kOk);
        std::fill(big->begin(), big->end(), 0);
        EXPECT_EQ(cpu().Load(base::Vaddr(0x1800), big->data(), big->size()), AccessStatus::kOk);
        EXPECT_EQ(big->front(), 'q');
        EXPECT_EQ(big->back(), 'q');
        delete big;
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  ASSERT_EQ(faults_.size(), 4u);
  EXPECT_EQ(faults_[0].address, 0x1800u);
  for (int i = 1; i < 4; i++) EXPECT_EQ(faults_[i].address, 0x1000u * (i + 1));
}

// Neighbours in a space are none in memory: here frames lie in the opposite order.
TEST_F(CpuTest, AnAccessThatCrossesPagesGoesToTheFrameOfEach) {
  const L4_ThreadId_t pager = world_.Spawn([] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 20));
    L4_ThreadId_t from;
    L4_Wait(&from);
    for (;;) {
      L4_Word_t address = 0;
      L4_StoreMR(1, &address);
      const L4_Word_t page = address & ~L4_Word_t{4095};
      const L4_MapItem_t item = L4_MapItem(Page(kRam + 0x8000 - page, kRwx), page);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
      L4_LoadMRs(1, 2, item.raw);
      L4_ReplyWait(from, &from);
    }
  });
  world_.SpawnInNewSpace(
      [&] {
        char zeros[8] = {};
        EXPECT_EQ(cpu().Store(base::Vaddr(0x2ff8), zeros, 8), AccessStatus::kOk);
        EXPECT_EQ(cpu().Store(base::Vaddr(0x3000), zeros, 8), AccessStatus::kOk);
        // Both are there now.
        EXPECT_EQ(cpu().Store(base::Vaddr(0x2ffc), "abcdefgh", 8), AccessStatus::kOk);
        char low[5] = {}, high[5] = {}, all[9] = {};
        EXPECT_EQ(cpu().Load(base::Vaddr(0x2ffc), low, 4), AccessStatus::kOk);
        EXPECT_EQ(cpu().Load(base::Vaddr(0x3000), high, 4), AccessStatus::kOk);
        EXPECT_EQ(cpu().Load(base::Vaddr(0x2ffc), all, 8), AccessStatus::kOk);
        EXPECT_STREQ(low, "abcd");
        EXPECT_STREQ(high, "efgh");
        EXPECT_STREQ(all, "abcdefgh");
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const auto* home = reinterpret_cast<const char*>(kRam + world_.kernel().home_bias());
  EXPECT_EQ(std::string(home + 0x6ffc, 4) + std::string(home + 0x5000, 4), "abcdefgh");
}

TEST_F(CpuTest, AWriteToAReadOnlyPageFaultsAndIsTriedUntilItSucceeds) {
  L4_ThreadId_t client;
  int rounds = 0;
  const L4_ThreadId_t pager = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    L4_ThreadId_t from;
    L4_Wait(&from);
    for (;;) {
      // Twice an answer that does not help, then one that does.
      const L4_MapItem_t item = L4_MapItem(Page(kRam, ++rounds < 3 ? kR : kR | kW), 0);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
      L4_LoadMRs(1, 2, item.raw);
      L4_ReplyWait(from, &from);
    }
  });
  client = world_.SpawnInNewSpace(
      [&] {
        char c = 'z';
        EXPECT_EQ(cpu().Store(base::Vaddr(0), &c, 1), AccessStatus::kOk);
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(rounds, 3);
  EXPECT_EQ(world_.Rights(client, 0), "rw-");
  EXPECT_EQ(world_.kernel().ledger().page_faults, 3u);
}

TEST_F(CpuTest, AFaultLeavesTheThreadsMessageRegistersAlone) {
  const L4_ThreadId_t pager = Pager();
  L4_Word_t heard[2] = {};
  const L4_ThreadId_t listener = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    L4_StoreMRs(1, 2, heard);
  });
  world_.SpawnInNewSpace(
      [&] {
        for (int i = 0; i < 64; i++) L4_LoadMR(i, 500 + i);
        L4_Accept(L4_UntypedWordsAcceptor);
        char c = 0;
        EXPECT_EQ(cpu().Load(base::Vaddr(0x1000), &c, 1), AccessStatus::kOk);
        for (int i = 0; i < 64; i++) {
          L4_Word_t w;
          L4_StoreMR(i, &w);
          EXPECT_EQ(w, L4_Word_t{500} + i);
        }
        // They are also what the next message is made of.
        L4_Set_MsgTag(L4_MakeMsgTag(3, 2, 0));
        L4_Send(listener);
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(heard[0], 501u);
  EXPECT_EQ(heard[1], 502u);
  EXPECT_EQ(faults_.size(), 1u);
}

TEST_F(CpuTest, AccessesLeaveStatusBits) {
  const L4_ThreadId_t pager = Pager();
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        char c = 0;
        EXPECT_EQ(cpu().Load(base::Vaddr(0x1000), &c, 1), AccessStatus::kOk);
        EXPECT_EQ(cpu().Store(base::Vaddr(0x2000), &c, 1), AccessStatus::kOk);
        EXPECT_EQ(cpu().Fetch(base::Vaddr(0x3000)), AccessStatus::kOk);
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const SpaceId space = world_.SpaceOf(client);
  for (int look = 0; look < 2; look++) {  // looking changes nothing
    EXPECT_EQ(world_.kernel().Inspect(space, base::Vaddr(0x1000)).status, kR);
    EXPECT_EQ(world_.kernel().Inspect(space, base::Vaddr(0x2000)).status, kR | kW);
    EXPECT_EQ(world_.kernel().Inspect(space, base::Vaddr(0x3000)).status, kR | kX);
  }
}

TEST_F(CpuTest, WithoutSeparateExecuteAFetchIsARead) {
  Profile profile = kAmd64Nx;
  profile.separable_rights = kW;
  World world({.ram_bytes = 4 << 20, .profile = profile});
  const L4_ThreadId_t pager = world.Spawn([] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    L4_ThreadId_t from;
    L4_Wait(&from);
    const L4_MapItem_t item = L4_MapItem(Page(kRam, kR), 0);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    L4_Reply(from);
  });
  const L4_ThreadId_t client = world.SpawnInNewSpace(
      [&] { EXPECT_EQ(world.kernel().cpu().Fetch(base::Vaddr(0)), AccessStatus::kOk); }, pager);
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(world.Rights(client, 0), "r-x");
}

TEST_F(CpuTest, AThreadWhosePagerIsGoneStopsUntilItGetsOne) {
  bool done = false;
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        char c;
        EXPECT_EQ(cpu().Load(base::Vaddr(0x1000), &c, 1), AccessStatus::kOk);
        done = true;
      },
      L4_GlobalId(9999, 1));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  ThreadInfo info;
  ASSERT_TRUE(world_.kernel().Inspect(client, &info));
  EXPECT_EQ(info.state, ThreadState::kNoPager);
  EXPECT_EQ(info.fault_address, base::Vaddr(0x1000));
  EXPECT_NE(world_.kernel().DescribeWaits().find("page fault at 0x1000"), std::string::npos);
  const L4_ThreadId_t pager = Pager();
  world_.SpawnWith(client, [&] { L4_Set_PagerOf(client, pager); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(done);
}

// ---- Exceptional resume ----

TEST_F(CpuTest, APagerRedirectsAFaultingThread) {
  AccessStatus status = AccessStatus::kOk;
  L4_Word_t reason = 0;
  L4_ThreadId_t client, pager_id;
  L4_Word_t old_control = 0, old_ip = 0;
  pager_id = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    L4_Word_t sp, flags, handle;
    L4_ThreadId_t pager;
    L4_ExchangeRegisters(from,
                         L4_EXREGS_CANCEL_RECV | L4_EXREGS_CANCEL_SEND | L4_EXREGS_SET_IP |
                             L4_EXREGS_SET_HANDLE | L4_EXREGS_DELIVER,
                         0, 0x66666, 0, 11, L4_nilthread, &old_control, &sp, &old_ip, &flags,
                         &handle, &pager);
    EXPECT_EQ(pager, pager_id);
  });
  client = world_.SpawnInNewSpace(
      [&] {
        cpu().set_ip(0x1111);
        char c;
        status = cpu().Load(base::Vaddr(0x1000), &c, 1);
        reason = L4_UserDefinedHandle();
        EXPECT_EQ(cpu().ip(), 0x66666u);
      },
      pager_id);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(status, AccessStatus::kRedirected);
  EXPECT_EQ(reason, 11u);
  EXPECT_EQ(old_control, L4_EXREGS_CANCEL_RECV);
  EXPECT_EQ(old_ip, 0x1111u);
}

// Preempted at the end of an access, it is sent elsewhere: the access says so, though it was made.
TEST_F(CpuTest, AThreadMayBeRedirectedAtAnAccess) {
  AccessStatus status = AccessStatus::kOk;
  bool set = false;
  const L4_ThreadId_t t = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    char c;
    while (status == AccessStatus::kOk && !set) status = cpu().Load(base::Vaddr(kRam), &c, 1);
  });
  world_.Spawn([&] {
    L4_ExchangeSome(t, L4_EXREGS_SET_IP, 0, 0x66666, 0, nullptr, nullptr, nullptr, nullptr);
    set = true;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(set);
  EXPECT_EQ(status, AccessStatus::kRedirected);
}

// The worker answers in the pager's name; the thread's own registers tell nothing of it.
TEST_F(CpuTest, APropagatedAnswerLeavesTheActualSenderAlone) {
  const L4_ThreadId_t pager = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    L4_ThreadId_t client;
    L4_Wait(&client);
    const L4_ThreadId_t self = L4_Myself();
    world_.Spawn([client, self] {
      const L4_MapItem_t item = L4_MapItem(Page(kRam, kRwx), 0x1000);
      L4_MsgTag_t tag = L4_MakeMsgTag(0, 0, 2);
      L4_Set_Propagation(&tag);
      L4_Set_VirtualSender(self);
      L4_LoadMRs(1, 2, item.raw);
      L4_Set_MsgTag(tag);
      EXPECT_TRUE(L4_IpcSucceeded(L4_Send(client)));
    });
  });
  L4_Word_t actual = 0;
  world_.SpawnInNewSpace(
      [&] {
        __l4_utcb()->actual_or_virtual_sender = 4711;
        char c;
        EXPECT_EQ(cpu().Load(base::Vaddr(0x1000), &c, 1), AccessStatus::kOk);
        actual = __l4_utcb()->actual_or_virtual_sender;
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(actual, 4711u);
}

TEST_F(CpuTest, CancellingAFaultWithoutANewIpRepeatsIt) {
  L4_ThreadId_t pager;
  int faults = 0;
  pager = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    L4_ThreadId_t from;
    for (;;) {
      L4_Wait(&from);
      if (++faults == 1) {
        L4_ExchangeSome(from, L4_EXREGS_CANCEL_RECV | L4_EXREGS_CANCEL_SEND, 0, 0, 0, nullptr,
                        nullptr, nullptr, nullptr);
        continue;
      }
      const L4_MapItem_t item = L4_MapItem(Page(kRam, kRwx), 0x1000);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
      L4_LoadMRs(1, 2, item.raw);
      L4_Reply(from);
    }
  });
  AccessStatus status = AccessStatus::kRedirected;
  world_.SpawnInNewSpace(
      [&] {
        char c;
        status = cpu().Load(base::Vaddr(0x1000), &c, 1);
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(status, AccessStatus::kOk);
  EXPECT_EQ(faults, 2);
}

TEST_F(CpuTest, ARegisteredAddressIsWhereTheThreadReallyGoesOn) {
  std::string log;
  world_.kernel().RegisterEntry(0x5555000, [&] { log += "handler "; });
  const L4_ThreadId_t pager = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    L4_Start(from, 0, 0x5555000);
  });
  world_.SpawnInNewSpace(
      [&] {
        char c;
        log += "fault ";
        (void)cpu().Load(base::Vaddr(0x1000), &c, 1);
        log += "never ";
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(log, "fault handler ");
}

// The complete receive window and the message registers of a fault are gone with the fault.
TEST_F(CpuTest, AThreadThatWasRedirectedReceivesAsItSaysItself) {
  L4_MsgTag_t received{};
  L4_Word_t error = 0;
  L4_ThreadId_t pager;
  world_.kernel().RegisterEntry(0x5555000, [&] {
    L4_Accept(L4_UntypedWordsAcceptor);
    received = L4_Receive(pager);
    error = L4_ErrorCode();
  });
  pager = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    L4_ThreadId_t from;
    L4_Wait(&from);
    L4_Start(from, 0, 0x5555000);
    EXPECT_TRUE(L4_IpcFailed(SendMap(from, Page(kRam, kRwx), 0x1000)));
  });
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        char c;
        (void)cpu().Load(base::Vaddr(0x1000), &c, 1);
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(L4_IpcFailed(received));
  EXPECT_EQ(L4_IpcErrorReason(error), L4_IPC_OVERFLOW);
  EXPECT_EQ(world_.Rights(client, 0x1000), "---");
}

TEST_F(CpuTest, AForeignSpaceMayNotRedirect) {
  L4_ThreadId_t result = L4_anythread;
  L4_Word_t error = 0;
  const L4_ThreadId_t pager = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        char c;
        (void)cpu().Load(base::Vaddr(0x1000), &c, 1);
      },
      pager);
  world_.SpawnInNewSpace([&] {
    result = L4_ExchangeSome(client, L4_EXREGS_CANCEL_SEND | L4_EXREGS_SET_IP, 0, 1, 0, nullptr,
                             nullptr, nullptr, nullptr);
    error = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(result, L4_nilthread);
  EXPECT_EQ(error, L4_ERROR_INVALID_THREAD);
  EXPECT_NE(world_.kernel().DescribeWaits().find("sending to"), std::string::npos);
}

}  // namespace
}  // namespace fake_l4
