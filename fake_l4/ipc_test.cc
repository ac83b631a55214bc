// IPC as programs see it. Each test spawns a few threads in root's space (priority 100, in order)
// and looks at what they got.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/thread.h>

#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t Error(L4_Word_t reason, L4_Word_t phase) { return reason << 1 | phase; }

void LoadWord(L4_Word_t label, L4_Word_t w) {
  L4_Set_MsgTag(L4_MakeMsgTag(label, 1, 0));
  L4_LoadMR(1, w);
}
L4_Word_t Word(int i = 1) {
  L4_Word_t w;
  L4_StoreMR(i, &w);
  return w;
}

class IpcTest : public ::testing::Test {
 protected:
  World world_;
};

TEST_F(IpcTest, SendWaitsForAReceiver) {
  L4_ThreadId_t from = L4_nilthread, sender = L4_nilthread;
  L4_Word_t got = 0, label = 0;
  L4_ThreadId_t receiver = L4_nilthread;
  sender = world_.Spawn([&] {
    LoadWord(42, 7);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(receiver)));
  });
  receiver = world_.Spawn([&] {
    const L4_MsgTag_t tag = L4_Wait(&from);
    label = L4_Label(tag);
    got = Word();
    EXPECT_EQ(L4_UntypedWords(tag), 1u);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(from, world_.LocalId(sender));
  EXPECT_EQ(label, 42u);
  EXPECT_EQ(got, 7u);
  EXPECT_EQ(world_.kernel().ledger().ipc_sends, 1u);
}

TEST_F(IpcTest, CallAndReplyWait) {
  std::vector<L4_Word_t> answers;
  const L4_ThreadId_t server = world_.Spawn([] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    for (;;) {
      LoadWord(0, Word() * 2);
      L4_ReplyWait(from, &from);
    }
  });
  for (L4_Word_t i = 1; i <= 3; i++) {
    world_.Spawn([&, i] {
      for (L4_Word_t k = 0; k < 2; k++) {
        LoadWord(0, i * 10 + k);
        ASSERT_TRUE(L4_IpcSucceeded(L4_Call(server)));
        answers.push_back(Word());
      }
    });
  }
  ASSERT_TRUE(world_.Run()) << world_.problem();
  // The processor goes with the message, so each client is served again before the next one starts.
  EXPECT_EQ(answers, (std::vector<L4_Word_t>{20, 22, 40, 42, 60, 62}));
}

TEST_F(IpcTest, AllSixtyThreeWordsArrive) {
  bool equal = true;
  L4_ThreadId_t receiver;
  world_.Spawn([&] {
    for (int i = 1; i < 64; i++) L4_LoadMR(i, 1000 + i);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 63, 0));
    L4_Send(receiver);
  });
  receiver = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    for (int i = 1; i < 64; i++) equal = equal && Word(i) == L4_Word_t{1000} + i;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(equal);
}

TEST_F(IpcTest, ZeroTimeoutSendToAThreadThatDoesNotWait) {
  L4_MsgTag_t tag{};
  L4_Word_t error = 0;
  const L4_ThreadId_t deaf = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  world_.Spawn([&] {
    LoadWord(9, 1);
    tag = L4_Reply(deaf);
    error = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(L4_IpcFailed(tag));
  EXPECT_EQ(error, Error(L4_IPC_TIMEOUT, 0));
  EXPECT_EQ(tag.raw, 0x8000u);
}

TEST_F(IpcTest, ZeroTimeoutReceiveWithoutASender) {
  L4_Word_t error = 0;
  world_.Spawn([&] {
    L4_ThreadId_t from;
    EXPECT_TRUE(L4_IpcFailed(L4_Wait_Timeout(L4_ZeroTime, &from)));
    error = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(error, Error(L4_IPC_TIMEOUT, 1));
}

TEST_F(IpcTest, FiniteTimeoutsEndInVirtualTime) {
  L4_Word_t send_error = 0, receive_error = 0;
  L4_Word64_t before = 0, after = 0;
  L4_MsgTag_t tag{};
  const L4_ThreadId_t deaf = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  world_.Spawn([&] {
    before = L4_SystemClock().raw;
    LoadWord(9, 1);
    tag = L4_Send_Timeout(deaf, L4_TimePeriod(5000));
    send_error = L4_ErrorCode();
    L4_Receive_Timeout(deaf, L4_TimePeriod(3000));
    receive_error = L4_ErrorCode();
    after = L4_SystemClock().raw;
  });
  RunOptions stay;
  stay.advance_idle_time = false;
  EXPECT_EQ(world_.kernel().RunUntilIdle(stay), StopReason::kTimers);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(send_error, Error(L4_IPC_TIMEOUT, 0));
  EXPECT_EQ(tag.raw, 0x8001u);  // a send that waited keeps its counts
  EXPECT_EQ(receive_error, Error(L4_IPC_TIMEOUT, 1));
  EXPECT_GE(after - before, 8000u);
  EXPECT_LT(after - before, 8100u);
}

// A timeout is over when the message comes: it must not end the receiver's next wait.
TEST_F(IpcTest, ADeliveredMessageEndsTheTimeout) {
  L4_MsgTag_t first{}, second{};
  L4_Word64_t waited = 0;
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    first = L4_Receive_Timeout(L4_anylocalthread, L4_TimePeriod(1000));
    const L4_Word64_t before = L4_SystemClock().raw;
    second = L4_Receive_Timeout(L4_anylocalthread, L4_TimePeriod(4000));
    waited = L4_SystemClock().raw - before;
  });
  world_.Spawn([&] {
    LoadWord(1, 1);
    L4_Send(receiver);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(L4_IpcSucceeded(first));
  EXPECT_TRUE(L4_IpcFailed(second));
  EXPECT_GE(waited, 4000u);
}

// A thread that never blocks cannot keep others' timeouts from ending: each system call looks.
TEST_F(IpcTest, ATimeoutEndsWhileOthersAreBusy) {
  bool over = false;
  uint64_t calls = 0;
  world_.Spawn([&] {
    L4_Receive_Timeout(L4_anylocalthread, L4_TimePeriod(50));
    over = true;
  });
  world_.Spawn([&] {
    while (!over && calls < 100000) {
      ++calls;
      L4_Yield();
    }
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_LT(calls, 100000u);
}

TEST_F(IpcTest, APointInTimeIsATimeoutToo) {
  L4_Word64_t end = 0;
  world_.Spawn([&] {
    // e = 0: the clock's low ten bits are to be 600, in the current or the next run of 1024 us, as
    // c says.
    const L4_Word64_t now = L4_SystemClock().raw;
    const L4_Word_t c = now >> 10 & 1;
    L4_Receive_Timeout(L4_Myself(), L4_TimeOfRaw(0x8000 | c << 10 | 600));
    end = L4_SystemClock().raw;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_GE(end, 600u);
  EXPECT_LT(end, 610u);
}

TEST_F(IpcTest, PartnerThatDoesNotExist) {
  L4_Word_t send = 0, receive = 0, version = 0;
  L4_ThreadId_t other;
  world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(L4_GlobalId(4000, 1));
    send = L4_ErrorCode();
    L4_Receive(L4_GlobalId(4000, 1));
    receive = L4_ErrorCode();
    L4_Send(L4_GlobalId(L4_ThreadNo(other), 2));
    version = L4_ErrorCode();
  });
  other = world_.Spawn([] {});
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(send, Error(L4_IPC_NO_PARTNER, 0));
  EXPECT_EQ(receive, Error(L4_IPC_NO_PARTNER, 1));
  EXPECT_EQ(version, Error(L4_IPC_NO_PARTNER, 0));
}

TEST_F(IpcTest, ClosedReceiveTakesOnlyThatPartner) {
  std::string order;
  L4_ThreadId_t receiver, a, b;
  a = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(receiver);
    order += 'a';
  });
  b = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(receiver);
    order += 'b';
  });
  receiver = world_.Spawn([&] {
    L4_Receive(b);
    L4_Yield();
    L4_Receive(a);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(order, "ba");
}

TEST_F(IpcTest, AnyLocalThreadLeavesForeignSendersWaiting) {
  L4_ThreadId_t receiver, foreign, local, from[2] = {};
  receiver = world_.Spawn([&] {
    world_.kernel().WaitForHost();
    L4_Ipc(L4_nilthread, L4_anylocalthread, 0, &from[0]);
    L4_Wait(&from[1]);
  });
  foreign = world_.SpawnInNewSpace([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(receiver);
  });
  local = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(receiver);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  world_.kernel().HostWake(receiver);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(from[0], world_.LocalId(local));
  EXPECT_EQ(from[1], foreign);
}

TEST_F(IpcTest, SendersQueueByPriorityThenArrival) {
  std::string order;
  L4_ThreadId_t receiver = world_.Spawn([&] {
    world_.kernel().WaitForHost();
    for (int i = 0; i < 4; i++) {
      L4_ThreadId_t from;
      L4_Wait(&from);
      order += static_cast<char>(Word());
    }
  });
  const auto sender = [&](char name, uint8_t priority) {
    world_.Spawn(
        [&, name] {
          LoadWord(0, static_cast<L4_Word_t>(name));
          L4_Send(receiver);
        },
        priority);
  };
  // Each waits in the queue before the next one starts.
  for (const auto& [name, priority] : {std::pair{'a', 100}, {'b', 150}, {'c', 100}, {'d', 150}}) {
    sender(name, static_cast<uint8_t>(priority));
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }
  world_.kernel().HostWake(receiver);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(order, "bdac");
}

// The sender is receiving the moment its message is taken, so an answer with zero timeout finds it.
TEST_F(IpcTest, SendAndReceiveAreAtomic) {
  L4_MsgTag_t reply{};
  L4_Word_t got = 0;
  L4_ThreadId_t server;
  world_.Spawn([&] {
    LoadWord(0, 1);
    L4_Call(server);  // blocks in its send phase: the server is not waiting yet
    got = Word();
  });
  server = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    LoadWord(0, 99);
    reply = L4_Reply(from);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(L4_IpcSucceeded(reply));
  EXPECT_EQ(got, 99u);
}

// a calls b, b calls c, c waits: one receive completes sends along the chain, each starting its own
// receive phase.
TEST_F(IpcTest, ACompletedSendMayCompleteAnother) {
  std::string log;
  L4_ThreadId_t a, b, c;
  a = world_.Spawn([&] {
    LoadWord(0, 'a');
    L4_Send(b);
    log += 'A';
  });
  b = world_.Spawn([&] {
    LoadWord(0, 'b');
    L4_ThreadId_t from;
    L4_Ipc(c, a, 0, &from);  // sends to c, then receives from a, which is already sending
    log += static_cast<char>(Word());
  });
  c = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    log += static_cast<char>(Word());
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(log.size(), 3u);
  EXPECT_NE(log.find('b'), std::string::npos);
  EXPECT_NE(log.find('a'), std::string::npos);
}

TEST_F(IpcTest, TheErrorFlagAndOthersOfASenderReachNobody) {
  L4_MsgTag_t got{};
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    L4_ThreadId_t from;
    got = L4_Wait(&from);
  });
  world_.Spawn([&] {
    L4_Set_MsgTag(L4_MsgTagOfRaw(0xe000));
    L4_Send(receiver);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(got.raw, 0u);
}

// Not at its beginning, where the frame of the page is that of the byte.
TEST_F(IpcTest, AStringMayLieAnywhereInALargerPage) {
  constexpr uint64_t kLarge = 0x1200000;
  char got[5] = {};
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    EXPECT_EQ(L4_Address(L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kLarge, 21))), kLarge);
    Cpu cpu = world_.kernel().cpu();
    EXPECT_EQ(cpu.Store(base::Vaddr(kLarge + 0x5123), "0123", 4), AccessStatus::kOk);
    L4_Accept(L4_AcceptorOfRaw(1));
    L4_LoadBR(1, 4 << 10);
    L4_LoadBR(2, kLarge + 0x9456);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Receive(L4_anythread)));
    EXPECT_EQ(cpu.Load(base::Vaddr(kLarge + 0x9456), got, 4), AccessStatus::kOk);
  });
  world_.Spawn([receiver] {
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMR(1, 4 << 10);
    L4_LoadMR(2, kLarge + 0x5123);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(receiver)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_STREQ(got, "0123");
}

TEST_F(IpcTest, AMessageTooLongOverflowsAtBothEnds) {
  L4_Word_t sender = 0, receiver_error = 0;
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    receiver_error = L4_ErrorCode();
    EXPECT_EQ(Word(), 5u);  // untyped words are copied all the same
  });
  world_.Spawn([&] {
    L4_LoadMR(1, 5);
    L4_Set_MsgTag(L4_MakeMsgTag(0, 60, 10));
    L4_Send(receiver);
    sender = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(sender, 8u);
  EXPECT_EQ(receiver_error, 9u);
}

// ---- Propagation ----

TEST_F(IpcTest, WorkerAnswersInThePagersName) {
  L4_ThreadId_t pager, worker, client, from = L4_nilthread;
  L4_MsgTag_t answer{};
  L4_Word_t got = 0;
  L4_ThreadId_t actual = L4_nilthread;
  pager = world_.Spawn([&] {
    L4_Wait(&client);
    L4_Send(worker);
    L4_Wait(&from);
  });
  worker = world_.Spawn([&] {
    L4_ThreadId_t who;
    L4_Wait(&who);
    L4_MsgTag_t tag = L4_MakeMsgTag(0, 1, 0);
    L4_Set_Propagation(&tag);
    L4_Set_VirtualSender(pager);
    L4_Set_MsgTag(tag);
    L4_LoadMR(1, 77);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(client)));
  });
  world_.SpawnInNewSpace([&] {
    L4_Set_MsgTag(L4_Niltag);
    answer = L4_Call(pager);
    got = Word();
    actual = L4_ActualSender();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(L4_IpcSucceeded(answer));
  EXPECT_TRUE(L4_IpcPropagated(answer));
  EXPECT_EQ(got, 77u);
  EXPECT_EQ(actual, worker);
}

TEST_F(IpcTest, PropagationForAForeignThreadIsAnOrdinarySend) {
  L4_ThreadId_t from = L4_nilthread, liar;
  L4_MsgTag_t tag{};
  const L4_ThreadId_t victim = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t receiver = world_.Spawn([&] { tag = L4_Wait(&from); });
  liar = world_.SpawnInNewSpace([&] {
    L4_MsgTag_t t = L4_Niltag;
    L4_Set_Propagation(&t);
    L4_Set_VirtualSender(victim);
    L4_Set_MsgTag(t);
    L4_Send(receiver);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(from, liar);
  EXPECT_FALSE(L4_IpcPropagated(tag));
}

TEST_F(IpcTest, AVirtualSenderOfTheReceiversSpaceIsAllowed) {
  L4_ThreadId_t from = L4_nilthread, friend_of_receiver;
  const L4_ThreadId_t receiver = world_.Spawn([&] { L4_Wait(&from); });
  friend_of_receiver = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  world_.SpawnInNewSpace([&] {
    L4_MsgTag_t t = L4_Niltag;
    L4_Set_Propagation(&t);
    L4_Set_VirtualSender(friend_of_receiver);
    L4_Set_MsgTag(t);
    L4_Send(receiver);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(from, world_.LocalId(friend_of_receiver));
}

TEST_F(IpcTest, AReceiverClosedOnTheActualSenderAcceptsToo) {
  L4_ThreadId_t worker, from = L4_nilthread;
  const L4_ThreadId_t pager = world_.Spawn([&] { world_.kernel().WaitForHost(); });
  const L4_ThreadId_t receiver = world_.Spawn([&] { L4_Ipc(L4_nilthread, worker, 0, &from); });
  worker = world_.Spawn([&] {
    L4_MsgTag_t t = L4_Niltag;
    L4_Set_Propagation(&t);
    L4_Set_VirtualSender(pager);
    L4_Set_MsgTag(t);
    L4_Send(receiver);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(from, world_.LocalId(pager));
}

// The client has called the front and waits for it; the front passes the request on in the client's
// name; the client's wait turns to the back, which answers directly.
TEST_F(IpcTest, TheVirtualSendersClosedWaitIsTurnedToTheReceiver) {
  L4_ThreadId_t front, back, client, answered_by = L4_nilthread, requester = L4_nilthread;
  back = world_.Spawn([&] {
    L4_Wait(&requester);
    LoadWord(0, 5);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(requester)));
  });
  front = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    L4_MsgTag_t t = L4_Niltag;
    L4_Set_Propagation(&t);
    L4_Set_VirtualSender(from);
    L4_Set_MsgTag(t);
    L4_Send(back);
  });
  client = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Ipc(front, front, 0, &answered_by);
    EXPECT_EQ(Word(), 5u);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(requester, world_.LocalId(client));
  EXPECT_EQ(answered_by, world_.LocalId(back));
}

// A worker already sends to the client in back's name, in vain as long as the client waits for
// front only.
TEST_F(IpcTest, ATurnedWaitTakesAMessageThatIsAlreadyThere) {
  L4_ThreadId_t front, back, client, answered_by = L4_nilthread, actual = L4_nilthread;
  back = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
  });
  client = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Ipc(front, front, 0, &answered_by);
    actual = L4_ActualSender();
  });
  const L4_ThreadId_t worker = world_.Spawn([&] {
    L4_MsgTag_t t = L4_Niltag;
    L4_Set_Propagation(&t);
    L4_Set_VirtualSender(back);
    L4_Set_MsgTag(t);
    L4_Send(client);
  });
  front = world_.Spawn([&] {
    L4_Receive(client);
    ThreadInfo info;
    EXPECT_TRUE(world_.kernel().Inspect(client, &info));
    EXPECT_EQ(info.partner, front);
    EXPECT_EQ(info.queued_senders, 1u);
    L4_MsgTag_t t = L4_Niltag;
    L4_Set_Propagation(&t);
    L4_Set_VirtualSender(client);
    L4_Set_MsgTag(t);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(back)));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(answered_by, world_.LocalId(back));
  EXPECT_EQ(actual, worker);
}

// ---- Order ----

TEST_F(IpcTest, AMoreUrgentReceiverRunsAtOnce) {
  std::string order;
  L4_ThreadId_t urgent = world_.Spawn(
      [&] {
        L4_ThreadId_t from;
        L4_Wait(&from);
        order += 'u';
      },
      200);
  L4_ThreadId_t equal = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    order += 'e';
  });
  world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(equal);
    order += '1';
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(urgent);
    order += '2';
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(order, "1u2e");
}

TEST_F(IpcTest, ACallHandsOverToThePartnerDirectly) {
  std::string order;
  const L4_ThreadId_t server = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    order += 's';
    L4_Set_MsgTag(L4_Niltag);
    L4_Reply(from);
  });
  world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Call(server);
    order += 'c';
  });
  world_.Spawn([&] { order += 'x'; });  // ready before the server is, yet runs after it
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(order, "sxc");
}

}  // namespace
}  // namespace fake_l4
