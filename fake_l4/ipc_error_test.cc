// Every error of an IPC, with its phase and what the tag then says; arguments of every bad kind;
// the rules of timeouts, typed items and undefined registers. X.2 manual: "IPC", "ErrorCode".
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/thread.h>

#include <functional>
#include <string>
#include <vector>

#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kRam = 0x1000000;

// Tag and error code of an IPC.
struct Result {
  L4_Word_t tag = 0, error = 0;
  L4_ThreadId_t from = {0};
  bool operator==(const Result& o) const { return tag == o.tag && error == o.error; }
};

class IpcErrorTest : public ::testing::Test {
 protected:
  static Result Ipc(L4_Word_t tag, L4_ThreadId_t to, L4_ThreadId_t from_spec,
                    L4_Time_t send = L4_Never, L4_Time_t receive = L4_Never) {
    Result r;
    L4_Set_MsgTag(L4_MsgTagOfRaw(tag));
    r.tag = L4_Ipc(to, from_spec, L4_Timeouts(send, receive), &r.from).raw;
    r.error = (r.tag & L4_TAG_ERROR) != 0 ? L4_ErrorCode() : 0;
    return r;
  }
  // Runs `body` on a thread of root's space, to the end.
  void InThread(std::function<void()> body) {
    world_.Spawn(std::move(body));
    Run();
  }
  void Run() { ASSERT_TRUE(world_.Run()) << world_.problem(); }
  L4_ThreadId_t Sleeper() {
    return world_.Spawn([this] { world_.kernel().WaitForHost(); });
  }
  // Sends MR1.. `words` with `tag` to a thread of another space that accepts map items into
  // `window`. Results and the receiver's registers go to sent_, received_ and mr_.
  void Exchange(L4_Word_t tag, std::vector<L4_Word_t> words,
                L4_Word_t window = L4_CompleteAddressSpace.raw) {
    const L4_ThreadId_t receiver = world_.SpawnInNewSpace([this, window] {
      L4_Accept(L4_AcceptorOfRaw(window));
      for (int i = 1; i < L4_NUM_MRS; i++) L4_LoadMR(i, 0);
      received_ = Ipc(0, L4_nilthread, L4_anythread);
      L4_StoreMRs(0, L4_NUM_MRS, mr_);
    });
    InThread([&] {
      L4_LoadMRs(1, static_cast<int>(words.size()), words.data());
      sent_ = Ipc(tag, receiver, L4_nilthread);
    });
  }

  World world_;
  Result sent_, received_;
  L4_Word_t mr_[L4_NUM_MRS] = {};
};

TEST_F(IpcErrorTest, NeitherPhase) {
  InThread([] { EXPECT_EQ(Ipc(0, L4_nilthread, L4_nilthread), (Result{0, 0})); });
}

TEST_F(IpcErrorTest, SendErrorsBeforeAnybodyWaits) {
  const L4_ThreadId_t deaf = Sleeper();
  InThread([&] {
    const Result no_partner{0x8000, L4_IPC_NO_PARTNER << 1};
    EXPECT_EQ(Ipc(3, L4_GlobalId(4000, 1), L4_nilthread), no_partner);
    EXPECT_EQ(Ipc(3, L4_GlobalId(L4_ThreadNo(deaf), 2), L4_nilthread), no_partner);
    EXPECT_EQ(Ipc(3, L4_anythread, L4_nilthread), no_partner);
    EXPECT_EQ(Ipc(3, L4_anylocalthread, L4_nilthread), no_partner);
    EXPECT_EQ(Ipc(3, deaf, L4_nilthread, L4_ZeroTime), (Result{0x8000, L4_IPC_TIMEOUT << 1}));
    // The receive phase does not happen.
    EXPECT_EQ(Ipc(3, deaf, L4_anythread, L4_ZeroTime), (Result{0x8000, L4_IPC_TIMEOUT << 1}));
  });
}

TEST_F(IpcErrorTest, ASendThatHadToWaitKeepsItsCounts) {
  const L4_ThreadId_t deaf = Sleeper();
  InThread([&] {
    EXPECT_EQ(Ipc(0x12340003, deaf, L4_nilthread, L4_TimePeriod(10)),
              (Result{0x8003, L4_IPC_TIMEOUT << 1}));
  });
}

TEST_F(IpcErrorTest, ReceiveErrors) {
  const L4_ThreadId_t deaf = Sleeper();
  InThread([&] {
    const Result timeout{0x8000, L4_IPC_TIMEOUT << 1 | 1};
    EXPECT_EQ(Ipc(3, L4_nilthread, L4_GlobalId(4000, 1)),
              (Result{0x8000, L4_IPC_NO_PARTNER << 1 | 1}));
    EXPECT_EQ(Ipc(3, L4_nilthread, L4_anythread, L4_Never, L4_ZeroTime), timeout);
    EXPECT_EQ(Ipc(3, L4_nilthread, L4_anylocalthread, L4_Never, L4_ZeroTime), timeout);
    EXPECT_EQ(Ipc(3, L4_nilthread, L4_anythread, L4_Never, L4_TimePeriod(10)), timeout);
    EXPECT_EQ(Ipc(3, L4_nilthread, deaf, L4_Never, L4_TimePeriod(10)), timeout);
  });
}

TEST_F(IpcErrorTest, ToOneself) {
  InThread([] {
    EXPECT_EQ(Ipc(1, L4_Myself(), L4_nilthread, L4_ZeroTime),
              (Result{0x8000, L4_IPC_TIMEOUT << 1}));
    EXPECT_EQ(Ipc(1, L4_Myself(), L4_Myself(), L4_TimePeriod(10), L4_TimePeriod(10)),
              (Result{0x8001, L4_IPC_TIMEOUT << 1}));
    EXPECT_EQ(Ipc(1, L4_nilthread, L4_Myself(), L4_Never, L4_TimePeriod(10)),
              (Result{0x8000, L4_IPC_TIMEOUT << 1 | 1}));
  });
}

TEST_F(IpcErrorTest, ACallWhoseAnswerDoesNotCome) {
  const L4_ThreadId_t silent = world_.Spawn([&] {
    received_ = Ipc(0, L4_nilthread, L4_anythread);
    world_.kernel().WaitForHost();
  });
  InThread([&] {
    EXPECT_EQ(Ipc(2, silent, silent, L4_Never, L4_TimePeriod(10)),
              (Result{0x8000, L4_IPC_TIMEOUT << 1 | 1}));
  });
  EXPECT_EQ(received_, (Result{2, 0}));
}

TEST_F(IpcErrorTest, CancelledByExchangeRegisters) {
  const L4_ThreadId_t deaf = Sleeper();
  Result send, receive;
  const L4_ThreadId_t sender = world_.Spawn([&] { send = Ipc(1, deaf, L4_anythread); });
  const L4_ThreadId_t receiver = world_.Spawn([&] { receive = Ipc(1, L4_nilthread, deaf); });
  Run();
  InThread([&] {
    const L4_Word_t both = L4_EXREGS_CANCEL_SEND | L4_EXREGS_CANCEL_RECV;
    for (const L4_ThreadId_t t : {sender, receiver}) {
      L4_ExchangeSome(t, both, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
    }
  });
  // A cancelled send does not go on to its receive phase.
  EXPECT_EQ(send, (Result{0x8001, L4_IPC_CANCELLED << 1}));
  EXPECT_EQ(receive, (Result{0x8000, L4_IPC_CANCELLED << 1 | 1}));
}

TEST_F(IpcErrorTest, AForeignSenderWaitsBeforeAnylocalthread) {
  Result local;
  const L4_ThreadId_t receiver = world_.SpawnInNewSpace(
      [&] { local = Ipc(0, L4_nilthread, L4_anylocalthread, L4_Never, L4_TimePeriod(500)); });
  InThread([&] {
    EXPECT_EQ(Ipc(3, receiver, L4_nilthread, L4_TimePeriod(10)),
              (Result{0x8003, L4_IPC_TIMEOUT << 1}));
  });
  EXPECT_EQ(local, (Result{0x8000, L4_IPC_TIMEOUT << 1 | 1}));
}

// ---- Halted threads: the kernel goes on with their IPC, they do not ----

void Halt(L4_ThreadId_t t) {
  L4_ExchangeSome(t, L4_EXREGS_SET_HALT | L4_EXREGS_HALT, 0, 0, 0, nullptr, nullptr, nullptr,
                  nullptr);
}
void Resume(L4_ThreadId_t t) {
  L4_ExchangeSome(t, L4_EXREGS_SET_HALT, 0, 0, 0, nullptr, nullptr, nullptr, nullptr);
}

TEST_F(IpcErrorTest, AHaltedReceiverReceives) {
  bool ran = false;
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    received_ = Ipc(0, L4_nilthread, L4_anythread);
    ran = true;
  });
  InThread([&] {
    Halt(receiver);
    EXPECT_EQ(Ipc(1, receiver, L4_nilthread, L4_ZeroTime), (Result{1, 0}));
    // It has its message, so it does not wait for a second one.
    EXPECT_EQ(Ipc(1, receiver, L4_nilthread, L4_ZeroTime), (Result{0x8000, L4_IPC_TIMEOUT << 1}));
  });
  EXPECT_FALSE(ran);
  InThread([&] { Resume(receiver); });
  EXPECT_TRUE(ran);
  EXPECT_EQ(received_, (Result{1, 0}));
}

TEST_F(IpcErrorTest, AHaltedSendersTimeoutEnds) {
  const L4_ThreadId_t deaf = Sleeper();
  bool ran = false;
  const L4_ThreadId_t sender = world_.Spawn([&] {
    sent_ = Ipc(1, deaf, L4_nilthread, L4_TimePeriod(100));
    ran = true;
  });
  InThread([&] {
    Halt(sender);
    Ipc(0, L4_nilthread, L4_Myself(), L4_Never, L4_TimePeriod(1000));
    EXPECT_FALSE(ran);
    Resume(sender);
  });
  EXPECT_EQ(sent_, (Result{0x8001, L4_IPC_TIMEOUT << 1}));
}

TEST_F(IpcErrorTest, AFaultOfAThreadThatIsHaltedIsServed) {
  bool ran = false;
  const L4_ThreadId_t pager = world_.Spawn([] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 20));
    L4_ThreadId_t from;
    L4_Wait(&from);
    Halt(from);
    const L4_MapItem_t item = L4_MapItem(Page(kRam, 7), kRam);
    L4_LoadMRs(1, 2, item.raw);
    EXPECT_EQ(Ipc(0x80, from, L4_nilthread, L4_ZeroTime), (Result{0x80, 0}));
    L4_Receive(L4_anylocalthread);
    Resume(from);
  });
  const L4_ThreadId_t client = world_.SpawnInNewSpace(
      [&] {
        char c = 0;
        ran = world_.kernel().cpu().Load(base::Vaddr(kRam), &c, 1) == AccessStatus::kOk;
      },
      pager);
  Run();
  EXPECT_EQ(world_.Rights(client, kRam), "rwx");
  EXPECT_FALSE(ran);
  InThread([&] { Ipc(0, pager, L4_nilthread); });
  EXPECT_TRUE(ran);
}

// ---- Points in time ----

// A point is given by clock bits: e 0..15, c, m. `us` rounded down to what e can say.
L4_Time_t Point(L4_Word64_t us, unsigned e) {
  return L4_TimeOfRaw(0x8000 | e << 11 | (us >> (e + 10) & 1) << 10 | (us >> e & 1023));
}

TEST_F(IpcErrorTest, APointInTimeEndsAWait) {
  for (unsigned e = 0; e < 4; e++) {
    InThread([e] {
      const L4_Word64_t at = (L4_SystemClock().raw + (L4_Word64_t{800} << e)) >> e << e;
      EXPECT_EQ(Ipc(0, L4_nilthread, L4_Myself(), L4_Never, Point(at, e)),
                (Result{0x8000, L4_IPC_TIMEOUT << 1 | 1}));
      EXPECT_GE(L4_SystemClock().raw, at);
      EXPECT_LT(L4_SystemClock().raw, at + 10);
    });
  }
}

TEST_F(IpcErrorTest, APointThatHasPassedIsNoTimeAtAll) {
  const L4_ThreadId_t deaf = Sleeper();
  InThread([&] {
    Ipc(0, L4_nilthread, L4_Myself(), L4_Never, L4_TimePeriod(3000));
    const L4_Word64_t now = L4_SystemClock().raw;
    // Inside the wrap that runs: e = 0 counts 1,024 us.
    const L4_Time_t passed = Point(now - now % 1024, 0);
    EXPECT_EQ(Ipc(1, deaf, L4_nilthread, passed), (Result{0x8000, L4_IPC_TIMEOUT << 1}));
    EXPECT_EQ(Ipc(1, L4_nilthread, deaf, L4_Never, passed),
              (Result{0x8000, L4_IPC_TIMEOUT << 1 | 1}));
    EXPECT_LT(L4_SystemClock().raw, now + 10);
  });
}

// The other value of c means the wrap that follows.
TEST_F(IpcErrorTest, APointMayLieInTheNextWrap) {
  InThread([] {
    const L4_Word64_t now = L4_SystemClock().raw;
    const L4_Word64_t at = (now / 1024 + 1) * 1024 + 3;
    EXPECT_EQ(Ipc(0, L4_nilthread, L4_Myself(), L4_Never, Point(at, 0)),
              (Result{0x8000, L4_IPC_TIMEOUT << 1 | 1}));
    EXPECT_GE(L4_SystemClock().raw, at);
    EXPECT_LT(L4_SystemClock().raw, at + 10);
  });
}

TEST_F(IpcErrorTest, AnyPeriodOfLengthZeroIsZero) {
  InThread([] {
    const L4_Word64_t now = L4_SystemClock().raw;
    for (L4_Word_t e = 1; e < 32; e++) {
      EXPECT_EQ(Ipc(0, L4_nilthread, L4_anythread, L4_Never, L4_TimeOfRaw(e << 10)),
                (Result{0x8000, L4_IPC_TIMEOUT << 1 | 1}));
    }
    EXPECT_LT(L4_SystemClock().raw, now + 100);
  });
}

// It never blocks, so it keeps no counts.
TEST_F(IpcErrorTest, ASendForAnyPeriodOfLengthZeroDoesNotWait) {
  const L4_ThreadId_t deaf = Sleeper();
  InThread([&] {
    for (L4_Word_t e = 1; e < 32; e++) {
      EXPECT_EQ(Ipc(1, deaf, L4_nilthread, L4_TimeOfRaw(e << 10)),
                (Result{0x8000, L4_IPC_TIMEOUT << 1}));
    }
  });
  EXPECT_EQ(world_.kernel().ledger().ipc_errors, 31u);
}

// ---- Typed items ----

TEST_F(IpcErrorTest, MoreWordsThanThereAreRegisters) {
  std::vector<L4_Word_t> words(63, 5);
  Exchange(0x13c, words);  // u 60, t 4
  EXPECT_EQ(sent_, (Result{0x813c, L4_IPC_OVERFLOW << 1}));
  EXPECT_EQ(received_, (Result{0x813c, L4_IPC_OVERFLOW << 1 | 1}));
  for (int i = 1; i <= 60; i++) EXPECT_EQ(mr_[i], 5u);
}

TEST_F(IpcErrorTest, SixtyThreeWordsOfAnyKindFit) {
  std::vector<L4_Word_t> words(63, 5);
  words[61] = L4_ITEM_MAP | 1;
  words[62] = 0;
  Exchange(61 | 2 << 6, words);
  EXPECT_EQ(sent_.error + received_.error, 0u);
  EXPECT_EQ(mr_[61], 5u);
  EXPECT_EQ(mr_[62], L4_ITEM_MAP | 1);
}

TEST_F(IpcErrorTest, SixtyFourWordsDoNot) {
  std::vector<L4_Word_t> words(63, 5);
  words[62] = L4_ITEM_MAP;
  Exchange(62 | 2 << 6, words);
  EXPECT_EQ(sent_.error, L4_IPC_OVERFLOW << 1);
  EXPECT_EQ(received_.error, L4_IPC_OVERFLOW << 1 | 1);
}

TEST_F(IpcErrorTest, AnItemOfAnUnknownTypeIsNotAccepted) {
  for (const L4_Word_t type : {0xcu, 0xeu}) {
    Exchange(0x80, {type, 0});
    EXPECT_EQ(sent_, (Result{0x8080, L4_IPC_OVERFLOW << 1}));
    EXPECT_EQ(received_, (Result{0x8080, L4_IPC_OVERFLOW << 1 | 1}));
  }
}

// One typed word is half an item; the other half is the register after the message.
TEST_F(IpcErrorTest, HalfAMapItem) {
  Exchange(0x40, {L4_ITEM_MAP, 0});
  EXPECT_EQ(sent_.error + received_.error, 0u);
  EXPECT_EQ(received_.tag, 0x40u);
  EXPECT_EQ(mr_[1], L4_ITEM_MAP);
}

TEST_F(IpcErrorTest, ANilWindowAcceptsNoMapItem) {
  Exchange(0x81, {0x77, L4_ITEM_MAP, 0}, 0);
  EXPECT_EQ(sent_, (Result{0x8081, L4_IPC_OVERFLOW << 1}));
  EXPECT_EQ(received_, (Result{0x8081, L4_IPC_OVERFLOW << 1 | 1}));
  EXPECT_EQ(mr_[1], 0x77u);
}

TEST_F(IpcErrorTest, MapItemsThatMapNothing) {
  // A nilpage; a page that is not there; one smaller than pages are.
  for (const L4_Word_t fpage : {L4_Word_t{0}, L4_Word_t{0x500000c7}, L4_Word_t{0x500000b7}}) {
    Exchange(0x81, {0x77, 0x50000000 | L4_ITEM_MAP, fpage});
    EXPECT_EQ(sent_.error + received_.error, 0u);
    EXPECT_EQ(received_.tag, 0x81u);
    // The receiver gets the sender's words as they are.
    EXPECT_EQ(mr_[2], 0x50000000 | L4_ITEM_MAP);
    EXPECT_EQ(mr_[3], fpage);
  }
}

// ---- Propagation ----

class PropagationTest : public IpcErrorTest {
 protected:
  // Three spaces: a1, a2; b1, b2; c1. All wait for the host but the sender and the receiver.
  struct Case {
    const char *sender, *receiver, *virtual_sender;
    bool allowed;
  };
};

// Allowed within the virtual sender's space, towards it, and inside one space.
TEST_F(PropagationTest, WhoMaySpeakForWhom) {
  const Case cases[] = {
      {"a1", "b1", "a2", true},  {"a1", "b1", "a1", true}, {"a1", "b1", "b2", true},
      {"a1", "b1", "c1", false}, {"a1", "a2", "b1", true},
  };
  for (const Case& c : cases) {
    world_.Reset();
    const L4_ThreadId_t b2 = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); });
    const L4_ThreadId_t c1 = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); });
    const L4_ThreadId_t a = world_.SpawnInNewSpace([&] { world_.kernel().WaitForHost(); });
    L4_ThreadId_t actual = L4_nilthread;
    const L4_ThreadId_t receiver = world_.SpawnWith(c.receiver[0] == 'a' ? a : b2, [&] {
      received_ = Ipc(0, L4_nilthread, L4_anythread);
      actual = L4_ActualSender();
    });
    L4_ThreadId_t sender, speaks_for;
    sender = world_.SpawnWith(a, [&] {
      L4_Set_VirtualSender(speaks_for);
      sent_ = Ipc(L4_TAG_PROPAGATED | 1, receiver, L4_nilthread);
    });
    const std::string v = c.virtual_sender;
    speaks_for = v == c.sender ? sender : v == "a2" ? a : v == "c1" ? c1 : b2;
    if (c.receiver[0] == 'a' && v == "b1") speaks_for = b2;
    Run();
    const L4_Word_t p = c.allowed ? L4_TAG_PROPAGATED : 0;
    // Where it is not allowed the flag is dropped, in the sender's own tag, too.
    EXPECT_EQ(sent_, (Result{p | 1, 0})) << v;
    EXPECT_EQ(received_, (Result{p | 1, 0})) << v;
    const bool local = world_.SpaceOf(c.allowed ? speaks_for : sender) == world_.SpaceOf(receiver);
    const L4_ThreadId_t expected = c.allowed ? speaks_for : sender;
    EXPECT_EQ(received_.from, local ? world_.LocalId(expected) : expected) << v;
    if (c.allowed) {
      EXPECT_EQ(actual, sender) << v;
    }
  }
}

TEST_F(PropagationTest, AVirtualSenderThatDoesNotExistIsNone) {
  InThread([] { L4_Set_VirtualSender(L4_GlobalId(4000, 1)); });
  const L4_ThreadId_t receiver =
      world_.SpawnInNewSpace([&] { received_ = Ipc(0, L4_nilthread, L4_anythread); });
  InThread([&] {
    L4_Set_VirtualSender(L4_GlobalId(4000, 1));
    sent_ = Ipc(L4_TAG_PROPAGATED | 1, receiver, L4_nilthread);
  });
  EXPECT_EQ(received_, (Result{1, 0}));
}

// The message was cut, so the request has not reached whoever would answer it: the wait stays.
TEST_F(PropagationTest, ACutMessageTurnsNoWait) {
  const L4_ThreadId_t back =
      world_.SpawnInNewSpace([&] { received_ = Ipc(0, L4_nilthread, L4_anythread); });
  L4_ThreadId_t front, client;
  front = world_.Spawn([&] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    L4_Set_VirtualSender(client);
    L4_LoadMR(1, 0xc);
    sent_ = Ipc(L4_TAG_PROPAGATED | 0x80, back, L4_nilthread);
    ThreadInfo info;
    EXPECT_TRUE(world_.kernel().Inspect(client, &info));
    EXPECT_EQ(info.partner, front);
  });
  client = world_.Spawn([&] { Ipc(0, front, front, L4_Never, L4_TimePeriod(1000)); });
  Run();
  EXPECT_EQ(sent_.error, L4_IPC_OVERFLOW << 1);
  EXPECT_EQ(received_.error, L4_IPC_OVERFLOW << 1 | 1);
}

// ---- Queues ----

TEST_F(IpcErrorTest, APriorityChangeMovesASenderInTheQueue) {
  std::string order;
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    world_.kernel().WaitForHost();
    for (int i = 0; i < 3; i++) {
      L4_ThreadId_t from;
      L4_Wait(&from);
      L4_Word_t name;
      L4_StoreMR(1, &name);
      order += static_cast<char>(name);
    }
  });
  L4_ThreadId_t senders[3];
  for (int i = 0; i < 3; i++) {
    senders[i] = world_.Spawn([receiver, i] {
      L4_LoadMR(1, static_cast<L4_Word_t>('a' + i));
      Ipc(1, receiver, L4_nilthread);
    });
  }
  Run();
  world_.Spawn([&] { L4_Set_Priority(senders[2], 150); }, 200);
  Run();
  world_.kernel().HostWake(receiver);
  Run();
  EXPECT_EQ(order, "cab");
}

// ---- Undefined registers ----

TEST_F(IpcErrorTest, RegistersBeyondAMessageAreScribbledOver) {
  L4_Word_t after_receive[4], after_send[4], after_failure[4];
  const L4_ThreadId_t receiver = world_.Spawn([&] {
    for (int i = 1; i < 64; i++) L4_LoadMR(i, 7);
    Ipc(0, L4_nilthread, L4_anythread);
    L4_StoreMRs(1, 4, after_receive);
  });
  InThread([&] {
    for (int i = 1; i < 64; i++) L4_LoadMR(i, 7);
    Ipc(2, receiver, L4_nilthread);
    L4_StoreMRs(1, 4, after_send);
    for (int i = 1; i < 64; i++) L4_LoadMR(i, 7);
    Ipc(2, L4_GlobalId(4000, 1), L4_nilthread);
    L4_StoreMRs(1, 4, after_failure);
  });
  for (int i = 0; i < 4; i++) {
    EXPECT_EQ(after_receive[i] == 7, i < 2) << i;
    EXPECT_NE(after_send[i], 7u) << i;
    EXPECT_EQ(after_send[i], after_failure[i]) << i;
  }
}

TEST_F(IpcErrorTest, AnAnswerToAFaultThatIsTooLongCostsRegisters) {
  L4_Word_t short_answer[6], long_answer[6];
  L4_Word_t words = 2;
  const L4_ThreadId_t pager = world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 20));
    L4_ThreadId_t from;
    L4_Wait(&from);
    for (;;) {
      L4_Word_t address;
      L4_StoreMR(1, &address);
      const L4_MapItem_t item = L4_MapItem(Page(address & ~L4_Word_t{4095}, 7), address);
      for (L4_Word_t i = 0; i < words; i += 2) {
        L4_LoadMRs(static_cast<int>(i + 1), 2, item.raw);
      }
      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, words));
      L4_ReplyWait(from, &from);
    }
  });
  world_.SpawnInNewSpace(
      [&] {
        char c = 0;
        const auto touch = [&](L4_Word_t va, L4_Word_t* out) {
          for (int i = 0; i < 64; i++) L4_LoadMR(i, 7);
          EXPECT_EQ(world_.kernel().cpu().Store(base::Vaddr(va), &c, 1), AccessStatus::kOk);
          L4_StoreMRs(1, 6, out);
        };
        touch(kRam, short_answer);
        words = 4;
        touch(kRam + 0x1000, long_answer);
      },
      pager);
  Run();
  for (int i = 0; i < 6; i++) {
    EXPECT_EQ(short_answer[i], 7u) << i;
    EXPECT_EQ(long_answer[i] == 7, i != 2 && i != 3) << i;  // MR3 and MR4
  }
}

// Without the option nothing but the message changes.
TEST(ScribbleTest, IsAnOption) {
  World world({.ram_bytes = uint64_t{1} << 20, .scribble_registers = false});
  L4_Word_t after = 0;
  const L4_ThreadId_t receiver = world.Spawn([&] {
    L4_LoadMR(9, 7);
    L4_ThreadId_t from;
    L4_Wait(&from);
    L4_StoreMR(9, &after);
  });
  world.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(receiver);
  });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(after, 7u);
}

}  // namespace
}  // namespace fake_l4
