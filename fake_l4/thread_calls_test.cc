// ThreadControl, SpaceControl, ExchangeRegisters, Schedule: what a privileged server does to make,
// steer and end threads.
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <string>

#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kUtcbBase = 0x7000'0000'0000;
void* const kKeepUtcb = reinterpret_cast<void*>(~L4_Word_t{0});
void* Utcb(L4_Word_t n) { return reinterpret_cast<void*>(kUtcbBase + n * 1024); }
const L4_Fpage_t kUtcbArea = L4_FpageLog2(kUtcbBase, 16);
const L4_Fpage_t kKipArea = L4_FpageLog2(0x7000'1000'0000, 12);

L4_Word_t SetUpSpace(L4_ThreadId_t t) {
  L4_Word_t old;
  return L4_SpaceControl(t, 0, kKipArea, kUtcbArea, L4_nilthread, &old);
}

class ThreadCallsTest : public ::testing::Test {
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

// The whole life of a task: space, thread, areas, start message, fault, end.
TEST_F(ThreadCallsTest, ATaskFromCreationToDeletion) {
  constexpr uint64_t kClientIp = 0x8048000;
  const L4_ThreadId_t client = L4_GlobalId(1000, 1);
  std::string log;
  world_.kernel().RegisterEntry(kClientIp, [&] {
    char c = 'k';
    EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(0x3000), &c, 1), AccessStatus::kOk);
    log += "stored ";
    L4_Set_MsgTag(L4_Niltag);
    L4_Call(L4_Pager());
  });
  SpaceId space{};
  RunPrivileged([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 12));
    EXPECT_EQ(L4_ThreadControl(client, client, L4_Myself(), L4_nilthread, kKeepUtcb), 1u);
    EXPECT_EQ(Info(client).state, ThreadState::kInactive);
    EXPECT_EQ(SetUpSpace(client), 1u);
    EXPECT_EQ(L4_ThreadControl(client, client, L4_Myself(), L4_Myself(), Utcb(0)), 1u);
    EXPECT_TRUE(Info(client).waits_for_start);
    space = Info(client).space;
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    L4_LoadMR(1, kClientIp);
    L4_LoadMR(2, 0xbffff000);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(client)));
    L4_MsgTag_t tag = L4_Receive(client);
    EXPECT_TRUE(L4_IsPageFault(tag));
    const L4_MapItem_t item = L4_MapItem(Page(0x1000000, kRwx), 0x3000);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    tag = L4_Call(client);
    EXPECT_EQ(Info(client).sp, 0xbffff000u);
    EXPECT_EQ(world_.Rights(client, 0x3000), "rwx");
    EXPECT_EQ(L4_ThreadControl(client, L4_nilthread, L4_nilthread, L4_nilthread, kKeepUtcb), 1u);
  });
  EXPECT_EQ(log, "stored ");
  EXPECT_FALSE(world_.kernel().SpaceExists(space));
  int children = 0;
  world_.kernel().ForEachChild(kRootSpace, base::Vaddr(0x1000000),
                               [&](const Mapping&) { children++; });
  EXPECT_EQ(children, 0) << "the last thread's end flushes the space";
}

TEST_F(ThreadCallsTest, AStartMessageFromSomebodyElseDoesNotStart) {
  const L4_ThreadId_t client = L4_GlobalId(1000, 1);
  RunPrivileged([&] {
    const L4_ThreadId_t pager = world_.kernel().root();
    L4_ThreadControl(client, client, L4_Myself(), L4_nilthread, kKeepUtcb);
    SetUpSpace(client);
    L4_ThreadControl(client, client, L4_Myself(), pager, Utcb(0));
    L4_Set_MsgTag(L4_MakeMsgTag(0, 2, 0));
    EXPECT_TRUE(L4_IpcFailed(L4_Reply(client)));
  });
  EXPECT_TRUE(Info(client).waits_for_start);
}

TEST_F(ThreadCallsTest, StartedWhereThereIsNoCode) {
  const L4_ThreadId_t client = L4_GlobalId(1000, 1);
  RunPrivileged([&] {
    L4_ThreadControl(client, client, L4_Myself(), L4_nilthread, kKeepUtcb);
    SetUpSpace(client);
    L4_ThreadControl(client, client, L4_Myself(), L4_Myself(), Utcb(0));
    L4_Start(client, 0, 0x123);
  });
  EXPECT_EQ(Info(client).state, ThreadState::kNoCode);
  EXPECT_NE(world_.kernel().DescribeWaits().find("no code"), std::string::npos);
}

TEST_F(ThreadCallsTest, OnlyPrivilegedSpacesMay) {
  L4_Word_t errors[4] = {};
  world_.SpawnInNewSpace([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    L4_Word_t old;
    EXPECT_EQ(L4_ThreadControl(t, t, L4_Myself(), L4_nilthread, kKeepUtcb), 0u);
    errors[0] = L4_ErrorCode();
    EXPECT_EQ(L4_SpaceControl(L4_Myself(), 0, kKipArea, kUtcbArea, L4_nilthread, &old), 0u);
    errors[1] = L4_ErrorCode();
    EXPECT_EQ(L4_ProcessorControl(0, 0, 0, 0), 0u);
    errors[2] = L4_ErrorCode();
    const L4_Word_t attributes[4] = {};
    EXPECT_EQ(L4_MemoryControl(0, attributes), 0u);
    errors[3] = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  for (L4_Word_t e : errors) EXPECT_EQ(e, L4_ERROR_NO_PRIVILEGE);
}

TEST_F(ThreadCallsTest, ErrorsInOrder) {
  RunPrivileged([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1), me = L4_Myself();
    const auto fails = [](L4_ThreadId_t d, L4_ThreadId_t s, L4_ThreadId_t sched,
                          L4_ThreadId_t pager, void* utcb) -> L4_Word_t {
      return L4_ThreadControl(d, s, sched, pager, utcb) != 0 ? 0 : L4_ErrorCode();
    };
    EXPECT_EQ(fails(L4_ThreadIdOfRaw(t.raw & ~L4_Word_t{63}), t, me, L4_nilthread, kKeepUtcb),
              L4_ERROR_INVALID_SPACE)
        << "version 0";
    EXPECT_EQ(fails(L4_GlobalId(3, 1), me, me, me, kKeepUtcb), L4_ERROR_INVALID_THREAD)
        << "interrupt";
    EXPECT_EQ(fails(L4_GlobalId(20, 1), me, me, me, kKeepUtcb), L4_ERROR_INVALID_THREAD)
        << "kernel";
    EXPECT_EQ(fails(L4_GlobalId(1 << 17, 1), me, me, me, kKeepUtcb), L4_ERROR_INVALID_THREAD);
    EXPECT_EQ(fails(me, L4_nilthread, me, me, kKeepUtcb), L4_ERROR_INVALID_THREAD) << "itself";
    EXPECT_EQ(fails(t, t, L4_nilthread, L4_nilthread, kKeepUtcb), L4_ERROR_INVALID_THREAD);
    EXPECT_EQ(fails(t, L4_GlobalId(2000, 1), me, L4_nilthread, kKeepUtcb), L4_ERROR_INVALID_SPACE);
    EXPECT_EQ(fails(t, t, L4_GlobalId(2000, 1), L4_nilthread, kKeepUtcb),
              L4_ERROR_INVALID_SCHEDULER);
    EXPECT_EQ(fails(t, t, me, me, kKeepUtcb), L4_ERROR_UTCB_AREA) << "active without areas";
    EXPECT_EQ(fails(t, me, me, L4_nilthread, Utcb(0)), L4_ERROR_UTCB_AREA) << "outside root's area";
    EXPECT_EQ(fails(t, me, me, me, kKeepUtcb), L4_ERROR_UTCB_AREA) << "active without UTCB";
    EXPECT_EQ(world_.kernel().ledger().threads_created, 3u) << "sigma0, root and this one";
    EXPECT_EQ(world_.kernel().ledger().spaces_created, 2u);
    // Deleting what does not exist succeeds.
    EXPECT_EQ(L4_ThreadControl(t, L4_nilthread, me, me, kKeepUtcb), 1u);
  });
}

TEST_F(ThreadCallsTest, SpaceControlErrorsAndEffect) {
  RunPrivileged([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    L4_Word_t old = 5;
    const auto error = [&](L4_ThreadId_t s, L4_Fpage_t kip, L4_Fpage_t utcb) -> L4_Word_t {
      return L4_SpaceControl(s, 0, kip, utcb, L4_nilthread, &old) != 0 ? 0 : L4_ErrorCode();
    };
    EXPECT_EQ(error(t, kKipArea, kUtcbArea), L4_ERROR_INVALID_SPACE);
    L4_ThreadControl(t, t, L4_Myself(), L4_nilthread, kKeepUtcb);
    EXPECT_EQ(error(t, kKipArea, L4_FpageLog2(kUtcbBase, 10)), L4_ERROR_UTCB_AREA) << "too small";
    EXPECT_EQ(error(t, kKipArea, L4_Nilpage), L4_ERROR_UTCB_AREA);
    EXPECT_EQ(error(t, L4_FpageLog2(0x1000, 10), kUtcbArea), L4_ERROR_KIP_AREA);
    EXPECT_EQ(error(t, L4_FpageLog2(kUtcbBase, 12), kUtcbArea), L4_ERROR_KIP_AREA) << "overlap";
    EXPECT_EQ(error(t, kKipArea, kUtcbArea), 0u);
    EXPECT_EQ(old, 0u);
    EXPECT_EQ(L4_ThreadControl(t, t, L4_Myself(), L4_Myself(), Utcb(63)), 1u);
    EXPECT_EQ(L4_ThreadControl(t, t, L4_Myself(), L4_Myself(), Utcb(64)), 0u);
    const L4_ThreadId_t second = L4_GlobalId(1001, 1);
    EXPECT_EQ(L4_ThreadControl(second, t, L4_Myself(), L4_Myself(), Utcb(63)), 0u) << "taken";
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_UTCB_AREA);
    EXPECT_EQ(L4_ThreadControl(second, t, L4_Myself(), L4_Myself(), Utcb(62)), 1u);
    EXPECT_EQ(error(t, kKipArea, L4_FpageLog2(0x10000, 16)), 0u) << "accepted, without effect";
    EXPECT_EQ(L4_ThreadControl(second, t, L4_Myself(), L4_Myself(), Utcb(61)), 1u);
  });
}

TEST_F(ThreadCallsTest, DeletionFailsWhoeverTalksToTheThread) {
  L4_Word_t send = 0, receive = 0;
  const L4_ThreadId_t victim = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  world_.Spawn([&] {
    L4_Set_MsgTag(L4_MakeMsgTag(0, 1, 0));
    EXPECT_EQ(L4_Send(victim).raw, 0x8001u);
    send = L4_ErrorCode();
  });
  world_.Spawn([&] {
    L4_Receive(victim);
    receive = L4_ErrorCode();
  });
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(L4_ThreadControl(victim, L4_nilthread, L4_nilthread, L4_nilthread, kKeepUtcb), 1u);
  });
  EXPECT_EQ(send, 4u);
  EXPECT_EQ(receive, 5u);
  EXPECT_FALSE(world_.kernel().HostWake(victim));
}

TEST_F(ThreadCallsTest, ANewVersionIsANewName) {
  const L4_ThreadId_t old_id = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t new_id = L4_GlobalId(L4_ThreadNo(old_id), 9);
  L4_Word_t error = 0;
  world_.Spawn([&] {
    L4_Receive(old_id);
    error = L4_ErrorCode();
  });
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(L4_ThreadControl(new_id, L4_Myself(), L4_nilthread, L4_nilthread, kKeepUtcb), 1u);
  });
  EXPECT_EQ(error, 5u);
  ThreadInfo info;
  EXPECT_FALSE(world_.kernel().Inspect(old_id, &info));
  EXPECT_EQ(Info(new_id).state, ThreadState::kWaitsForHost);
}

TEST_F(ThreadCallsTest, MigrationToAnotherSpace) {
  const L4_ThreadId_t t = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); });
  const SpaceId before = world_.SpaceOf(t);
  RunPrivileged([&] {
    L4_Yield();
    EXPECT_EQ(L4_ThreadControl(t, L4_Myself(), L4_nilthread, L4_nilthread, kKeepUtcb), 1u);
  });
  EXPECT_EQ(world_.SpaceOf(t), kRootSpace);
  EXPECT_FALSE(world_.kernel().SpaceExists(before));
}

// ---- ExchangeRegisters ----

TEST_F(ThreadCallsTest, CancelSendAndReceive) {
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

TEST_F(ThreadCallsTest, AHaltedThreadKeepsReceiving) {
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

TEST_F(ThreadCallsTest, HaltNeedsItsSwitchBit) {
  const L4_ThreadId_t t = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  RunPrivileged([&] {
    L4_ExchangeSome(t, L4_EXREGS_HALT, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
    EXPECT_FALSE(Info(t).halted);
  });
}

TEST_F(ThreadCallsTest, HandleAndPagerOfAnotherThread) {
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

TEST_F(ThreadCallsTest, AThreadMayRedirectItself) {
  std::string log;
  world_.kernel().RegisterEntry(0x77000, [&] { log += "there"; });
  RunPrivileged([&] {
    log += "here ";
    L4_Start(L4_Myself(), 0, 0x77000);
    log += "never ";
  });
  EXPECT_EQ(log, "here there");
}

TEST_F(ThreadCallsTest, InactiveThreadsAreOutOfReach) {
  RunPrivileged([&] {
    const L4_ThreadId_t t = L4_GlobalId(1000, 1);
    L4_ThreadControl(t, t, L4_Myself(), L4_nilthread, kKeepUtcb);
    EXPECT_EQ(L4_ExchangeSome(t, 0, 0, 0, 0, nullptr, nullptr, nullptr, nullptr), L4_nilthread);
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_THREAD);
  });
}

// ---- Schedule, ThreadSwitch ----

TEST_F(ThreadCallsTest, ScheduleReportsStatesAndSetsPriorities) {
  const L4_ThreadId_t waiting = world_.Spawn([] {
    L4_ThreadId_t from;
    L4_Wait(&from);
  });
  const L4_ThreadId_t sending = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(world_.kernel().root());
  });
  RunPrivileged([&] {
    L4_Yield();
    const L4_Word_t keep = ~L4_Word_t{0};
    L4_Word_t old;
    const auto state = [&](L4_ThreadId_t t) {
      return L4_Schedule(t, keep, keep, keep, keep, &old);
    };
    EXPECT_EQ(state(waiting), L4_SCHEDRESULT_WAITING);
    EXPECT_EQ(state(sending), L4_SCHEDRESULT_PENDING_SEND);
    EXPECT_EQ(state(L4_Myself()), L4_SCHEDRESULT_RUNNING);
    EXPECT_EQ(state(L4_GlobalId(999, 1)), L4_SCHEDRESULT_ERROR);
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_THREAD);
    EXPECT_EQ(L4_Set_Priority(waiting, 200), 0u) << "above its own";
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_PARAMETER);
    EXPECT_EQ(L4_Set_Priority(waiting, 7), L4_SCHEDRESULT_WAITING);
    EXPECT_EQ(Info(waiting).priority, 7);
  });
  L4_Word_t error = 0;
  world_.SpawnInNewSpace([&] {
    L4_Set_Priority(waiting, 1);
    error = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(error, L4_ERROR_NO_PRIVILEGE);
}

TEST_F(ThreadCallsTest, ThreadSwitchNamesTheNext) {
  std::string order;
  L4_ThreadId_t last;
  world_.Spawn([&] {
    L4_ThreadSwitch(last);
    order += '1';
  });
  world_.Spawn([&] { order += '2'; });
  last = world_.Spawn([&] { order += '3'; });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(order, "321");
}

}  // namespace
}  // namespace fake_l4
