// ExchangeRegisters in every state of the thread it names.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/thread.h>

#include <string>

#include "base/addr.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

void* const kKeepUtcb = reinterpret_cast<void*>(~L4_Word_t{0});
constexpr L4_Word_t kRam = 0x1000000;

// What one call gave back.
struct Exchanged {
  L4_ThreadId_t result = L4_nilthread;
  L4_Word_t control = 0, sp = 0, ip = 0, flags = 0, handle = 0;
  L4_ThreadId_t pager = L4_nilthread;
};

struct Values {
  L4_Word_t sp = 0, ip = 0, flags = 0, handle = 0;
  L4_ThreadId_t pager = {0};
};

Exchanged Exchange(L4_ThreadId_t t, L4_Word_t control, const Values& v = {}) {
  Exchanged e;
  e.result = L4_ExchangeRegisters(t, control, v.sp, v.ip, v.flags, v.handle, v.pager, &e.control,
                                  &e.sp, &e.ip, &e.flags, &e.handle, &e.pager);
  return e;
}

class ExchangeRegistersTest : public ::testing::Test {
 protected:
  // Runs `body` on a privileged thread; everything it expects is checked there.
  void RunPrivileged(std::function<void()> body) {
    world_.Spawn(std::move(body));
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }
  ThreadInfo Info(L4_ThreadId_t t) {
    ThreadInfo info{};
    EXPECT_TRUE(world_.kernel().Inspect(t, &info));
    return info;
  }
  World world_;
};

// ---- Values ----

TEST_F(ExchangeRegistersTest, EachValueIsSetByItsBitAndTheOldOnesAreDelivered) {
  const L4_ThreadId_t t = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  RunPrivileged([&] {
    L4_Yield();
    const L4_ThreadId_t me = L4_MyGlobalId();
    const Values first{11, 12, 13, 14, me};
    Exchange(t,
             L4_EXREGS_SET_SP | L4_EXREGS_SET_IP | L4_EXREGS_SET_FLAGS | L4_EXREGS_SET_HANDLE |
                 L4_EXREGS_SET_PAGER,
             first);
    const auto read = [&] { return Exchange(t, L4_EXREGS_DELIVER); };
    Exchanged e = read();
    EXPECT_EQ(e.sp, 11u);
    EXPECT_EQ(e.ip, 12u);
    EXPECT_EQ(e.flags, 13u);
    EXPECT_EQ(e.handle, 14u);
    EXPECT_EQ(e.pager, me);
    EXPECT_EQ(e.control, 0u);
    // Values whose bit is clear are ignored.
    const Values others{21, 22, 23, 24, L4_nilthread};
    e = Exchange(t, L4_EXREGS_SET_FLAGS | L4_EXREGS_DELIVER, others);
    EXPECT_EQ(e.flags, 13u) << "the old value";
    e = read();
    EXPECT_EQ(e.sp, 11u);
    EXPECT_EQ(e.ip, 12u);
    EXPECT_EQ(e.flags, 23u);
    EXPECT_EQ(e.handle, 14u);
    EXPECT_EQ(e.pager, me);
  });
}

TEST_F(ExchangeRegistersTest, WithoutDNothingIsDelivered) {
  Quirks quirks = kManualRules;
  for (const bool always : {false, true}) {
    quirks.exregs_always_deliver = always;
    World world({.ram_bytes = 1 << 20, .quirks = quirks});
    const L4_ThreadId_t t = world.Spawn([&] {
      L4_Set_UserDefinedHandle(9);
      L4_ThreadId_t from;
      L4_Wait(&from);
    });
    world.Spawn([&] {
      L4_Yield();
      const Exchanged e = Exchange(t, 0);
      EXPECT_NE(e.result, L4_nilthread);
      EXPECT_EQ(e.handle, always ? 9u : 0u);
      EXPECT_EQ(e.control, always ? L4_EXREGS_CANCEL_RECV : 0u);
    });
    ASSERT_TRUE(world.Run()) << world.problem();
  }
}

TEST_F(ExchangeRegistersTest, TheResultIsTheOtherKindOfId) {
  const L4_ThreadId_t t = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  RunPrivileged([&] {
    const L4_ThreadId_t local = Exchange(t, 0).result;
    EXPECT_TRUE(L4_IsLocalId(local));
    EXPECT_EQ(local, world_.LocalId(t));
    EXPECT_EQ(Exchange(local, 0).result, t);
  });
}

TEST_F(ExchangeRegistersTest, ItselfIsRunning) {
  RunPrivileged([&] {
    const Exchanged e = Exchange(L4_Myself(), L4_EXREGS_DELIVER);
    EXPECT_NE(e.result, L4_nilthread);
    EXPECT_EQ(e.control, 0u);
    // There is no IPC to cancel.
    Exchange(L4_Myself(), L4_EXREGS_CANCEL_RECV | L4_EXREGS_CANCEL_SEND);
  });
}

// ---- Who may ----

TEST_F(ExchangeRegistersTest, OnlyTheSpaceItselfAndThePagersSpaceMay) {
  L4_ThreadId_t by_stranger = L4_anythread;
  L4_Word_t error = 0;
  const L4_ThreadId_t pager = world_.SpawnInNewSpace([] {
    L4_ThreadId_t from;
    L4_Wait(&from);
  });
  const L4_ThreadId_t t = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); }, pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  world_.SpawnInNewSpace([&] {
    by_stranger = Exchange(t, L4_EXREGS_SET_HANDLE, {.handle = 5}).result;
    error = L4_ErrorCode();
  });
  // Root's space: privileged, but not the pager's.
  RunPrivileged([&] {
    EXPECT_EQ(Exchange(t, L4_EXREGS_SET_HANDLE, {.handle = 5}).result, L4_nilthread);
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_THREAD);
  });
  EXPECT_EQ(by_stranger, L4_nilthread);
  EXPECT_EQ(error, L4_ERROR_INVALID_THREAD);
  L4_Word_t handle = 1;
  world_.SpawnWith(pager, [&] { handle = Exchange(t, L4_EXREGS_DELIVER).handle; });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(handle, 0u) << "a sibling of the pager may; nothing was set before";
}

TEST_F(ExchangeRegistersTest, WrongIdsAreErrors) {
  const L4_ThreadId_t t = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  RunPrivileged([&] {
    const L4_ThreadId_t wrong[] = {L4_nilthread, L4_anythread, L4_anylocalthread,
                                   L4_GlobalId(999, 1), L4_GlobalId(L4_ThreadNo(t), 2)};
    for (const L4_ThreadId_t id : wrong) {
      L4_Set_ErrorCode(0);
      EXPECT_EQ(Exchange(id, L4_EXREGS_DELIVER).result, L4_nilthread) << id.raw;
      EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_THREAD) << id.raw;
    }
  });
}

// ---- Halting ----

TEST_F(ExchangeRegistersTest, AHaltedSenderStillSends) {
  std::string log;
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    world_.kernel().WaitForHost();
    L4_ThreadId_t from;
    L4_Wait(&from);
    log += "received ";
  });
  const L4_ThreadId_t sender = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(receiver);
    log += "sent ";
  });
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(Exchange(sender, L4_EXREGS_SET_HALT | L4_EXREGS_HALT | L4_EXREGS_DELIVER).control,
              L4_EXREGS_CANCEL_SEND);
    EXPECT_EQ(Exchange(sender, L4_EXREGS_DELIVER).control, L4_EXREGS_HALT | L4_EXREGS_CANCEL_SEND);
    world_.kernel().HostWake(receiver);
    L4_Yield();
    L4_Yield();
    EXPECT_EQ(log, "received ");
    L4_Start(sender);
  });
  EXPECT_EQ(log, "received sent ");
}

TEST_F(ExchangeRegistersTest, AKernelMayHideTheHaltOfAThreadInAnIpc) {
  Quirks quirks = kManualRules;
  quirks.exregs_hides_halt_in_ipc = true;
  World world({.ram_bytes = 1 << 20, .quirks = quirks});
  const L4_ThreadId_t t = world.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
  });
  world.Spawn([&] {
    L4_Yield();
    Exchange(t, L4_EXREGS_SET_HALT | L4_EXREGS_HALT);
    EXPECT_EQ(Exchange(t, L4_EXREGS_DELIVER).control, L4_EXREGS_CANCEL_RECV);
  });
  ASSERT_TRUE(world.Run()) << world.problem();
}

TEST_F(ExchangeRegistersTest, AReadyThreadIsHaltedAndGoesOnElsewhere) {
  std::string log;
  world_.kernel().RegisterEntry(0x77000, [&] { log += "there"; });
  const L4_ThreadId_t t = world_.Spawn([&] { log += "never"; }, 50);
  RunPrivileged([&] {
    Exchange(t, L4_EXREGS_SET_HALT | L4_EXREGS_HALT);
    EXPECT_EQ(Exchange(t, L4_EXREGS_DELIVER).control, L4_EXREGS_HALT);
    Exchange(t, L4_EXREGS_SET_IP, {.ip = 0x77000});
    EXPECT_EQ(log, "");
    Exchange(t, L4_EXREGS_SET_HALT);
  });
  EXPECT_EQ(log, "there");
}

TEST_F(ExchangeRegistersTest, AReadyThreadThatIsHaltedDoesNotRun) {
  std::string log;
  const L4_ThreadId_t t = world_.Spawn([&] { log += "ran"; }, 50);
  RunPrivileged([&] { Exchange(t, L4_EXREGS_SET_HALT | L4_EXREGS_HALT); });
  EXPECT_EQ(log, "");
  RunPrivileged([&] { Exchange(t, L4_EXREGS_SET_HALT); });
  EXPECT_EQ(log, "ran");
}

TEST_F(ExchangeRegistersTest, AThreadThatWaitsForTheHostGoesOnElsewhere) {
  std::string log;
  world_.kernel().RegisterEntry(0x77000, [&] { log += "there"; });
  const L4_ThreadId_t t = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  RunPrivileged([&] { Exchange(t, L4_EXREGS_SET_IP, {.ip = 0x77000}); });
  EXPECT_EQ(log, "there");
}

TEST_F(ExchangeRegistersTest, AThreadMayHaltItself) {
  std::string log;
  const L4_ThreadId_t t = world_.Spawn([&] {
    log += "before ";
    Exchange(L4_Myself(), L4_EXREGS_SET_HALT | L4_EXREGS_HALT);
    log += "after ";
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(log, "before ");
  EXPECT_TRUE(Info(t).halted);
  RunPrivileged([&] { L4_Start(t); });
  EXPECT_EQ(log, "before after ");
}

TEST_F(ExchangeRegistersTest, AHaltedThreadsFaultIsServedAllTheSame) {
  bool loaded = false;
  const L4_ThreadId_t pager = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    L4_ThreadId_t from;
    L4_Wait(&from);
    EXPECT_EQ(Exchange(from, L4_EXREGS_SET_HALT | L4_EXREGS_HALT | L4_EXREGS_DELIVER).control,
              L4_EXREGS_CANCEL_RECV);
    const L4_MapItem_t item = L4_MapItem(Page(kRam, kRwx), 0x1000);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(from)));
    L4_Wait(&from);
  });
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        char c;
        EXPECT_EQ(world_.kernel().cpu().Load(base::Vaddr(0x1000), &c, 1), AccessStatus::kOk);
        loaded = true;
      },
      pager);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(loaded);
  EXPECT_EQ(world_.Rights(client, 0x1000), "rwx");
  EXPECT_FALSE(Info(client).in_page_fault);
  world_.SpawnWith(pager, [&] { L4_Start(client); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(loaded);
}

TEST_F(ExchangeRegistersTest, ReadingDoesNotStirAThreadWithoutAPager) {
  const L4_ThreadId_t t = world_.SpawnInNewSpace(
      [&] {
        char c;
        (void)world_.kernel().cpu().Load(base::Vaddr(0x1000), &c, 1);
      },
      L4_GlobalId(999, 1));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(Info(t).state, ThreadState::kNoPager);
  const uint64_t faults = world_.kernel().ledger().page_faults;
  world_.SpawnWith(t, [&] { Exchange(t, L4_EXREGS_DELIVER); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(world_.kernel().ledger().page_faults, faults);
  // A pager from ThreadControl serves as well as one from here.
  RunPrivileged([&] { L4_ThreadControl(t, t, L4_nilthread, L4_Myself(), kKeepUtcb); });
  EXPECT_EQ(world_.kernel().ledger().page_faults, faults + 1);
}

// ---- Cancelling, states ----

TEST_F(ExchangeRegistersTest, CancelSendAndReceive) {
  L4_Word_t send = 0, receive = 0;
  const L4_ThreadId_t deaf = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t sender = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(deaf);
    send = L4_ErrorCode();
  });
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    L4_Receive(deaf);
    receive = L4_ErrorCode();
  });
  RunPrivileged([&] {
    L4_Yield();
    // The wrong phase is left alone.
    L4_ExchangeSome(sender, L4_EXREGS_CANCEL_RECV, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
    L4_ExchangeSome(receiver, L4_EXREGS_CANCEL_SEND, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
    EXPECT_EQ(Info(sender).state, ThreadState::kSending);
    EXPECT_EQ(Info(receiver).state, ThreadState::kReceiving);
    L4_Word_t state = L4_AbortSend_and_stop(sender, nullptr, nullptr, nullptr);
    EXPECT_EQ(state, L4_EXREGS_CANCEL_SEND);
    state = L4_AbortReceive_and_stop(receiver, nullptr, nullptr, nullptr);
    EXPECT_EQ(state, L4_EXREGS_CANCEL_RECV);
    L4_Yield();
    EXPECT_EQ(send, 0u) << "halted: it has not seen its error yet";
    L4_Start(sender);
    L4_Start(receiver);
  });
  EXPECT_EQ(send, 6u);
  EXPECT_EQ(receive, 7u);
}

TEST_F(ExchangeRegistersTest, AHaltedThreadKeepsReceiving) {
  bool ran = false;
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    ran = true;
  });
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(L4_Stop(receiver), L4_EXREGS_CANCEL_RECV);
    L4_Set_MsgTag(L4_Niltag);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(receiver)));
    L4_Yield();
    EXPECT_FALSE(ran);
    EXPECT_EQ(L4_Stop(receiver), L4_EXREGS_HALT) << "halted, and no longer receiving";
    L4_Start(receiver);
  });
  EXPECT_TRUE(ran);
}

TEST_F(ExchangeRegistersTest, HaltNeedsItsSwitchBit) {
  const L4_ThreadId_t t = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  RunPrivileged([&] {
    L4_ExchangeSome(t, L4_EXREGS_HALT, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
    EXPECT_FALSE(Info(t).halted);
  });
}

TEST_F(ExchangeRegistersTest, HandleAndPagerOfAnotherThread) {
  const L4_ThreadId_t t = world_.Spawn([&] {
    L4_Set_UserDefinedHandle(4711);
    world_.kernel().WaitForHost();
  });
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(L4_UserDefinedHandleOf(t), 4711u);
    L4_Set_UserDefinedHandleOf(t, 99);
    EXPECT_EQ(L4_UserDefinedHandleOf(t), 99u);
    EXPECT_EQ(L4_PagerOf(t), world_.kernel().root());
    L4_Set_PagerOf(t, L4_Myself());
    EXPECT_EQ(L4_PagerOf(t), L4_Myself());
    EXPECT_EQ(L4_GlobalIdOf(t), t);
  });
}

TEST_F(ExchangeRegistersTest, AThreadMayRedirectItself) {
  std::string log;
  world_.kernel().RegisterEntry(0x77000, [&] { log += "there"; });
  RunPrivileged([&] {
    log += "here ";
    L4_Start(L4_Myself(), 0, 0x77000);
    log += "never ";
  });
  EXPECT_EQ(log, "here there");
}

TEST_F(ExchangeRegistersTest, InactiveThreadsAreOutOfReach) {
  RunPrivileged([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    L4_ThreadControl(t, t, L4_Myself(), L4_nilthread, kKeepUtcb);
    EXPECT_EQ(L4_ExchangeSome(t, 0, 0, 0, 0, nullptr, nullptr, nullptr, nullptr), L4_nilthread);
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_THREAD);
  });
}

}  // namespace
}  // namespace fake_l4
