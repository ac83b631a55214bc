// Interrupts: association, the message, masking until acknowledged, handlers that die, sources in
// virtual time.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <string>

#include "base/addr.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kInterruptLabel = (~L4_Word_t{0} >> 16) - 0xf;
void* const kKeepUtcb = reinterpret_cast<void*>(~L4_Word_t{0});
const L4_ThreadId_t kIrq = L4_GlobalId(3, 1);

L4_Word_t Failure(L4_Word_t result) { return result != 0 ? 0 : L4_ErrorCode(); }

class InterruptTest : public ::testing::Test {
 protected:
  Kernel& kernel() { return world_.kernel(); }
  // A thread that acknowledges each interrupt at once.
  L4_ThreadId_t SpawnHandler() {
    return world_.Spawn([&] {
      EXPECT_EQ(L4_AssociateInterrupt(kIrq, L4_Myself()), 1u);
      L4_MsgTag_t tag = L4_Receive(kIrq);
      for (;;) {
        taken_++;
        last_ = tag;
        L4_Set_MsgTag(L4_Niltag);
        tag = L4_Call(kIrq);
      }
    });
  }
  World world_;
  int taken_ = 0;
  L4_MsgTag_t last_ = L4_Niltag;
};

TEST_F(InterruptTest, TheHandlerGetsAnEmptyMessageFromTheInterruptThread) {
  EXPECT_FALSE(kernel().RaiseInterrupt(3)) << "nobody is associated";
  SpawnHandler();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 0);
  EXPECT_TRUE(kernel().RaiseInterrupt(3));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 1);
  EXPECT_EQ(last_.raw, L4_MakeMsgTag(kInterruptLabel, 0, 0).raw);
  EXPECT_FALSE(kernel().RaiseInterrupt(4));
  EXPECT_FALSE(kernel().RaiseInterrupt(kAmd64Nx.system_base));
}

TEST_F(InterruptTest, AnOpenWaitTellsWhichInterrupt) {
  L4_ThreadId_t from = L4_nilthread;
  world_.Spawn([&] {
    L4_AssociateInterrupt(kIrq, L4_Myself());
    L4_Wait(&from);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().RaiseInterrupt(3);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(from, kIrq);
}

TEST_F(InterruptTest, MaskedUntilAcknowledgedAndOneMoreIsRemembered) {
  int taken = 0;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    L4_AssociateInterrupt(kIrq, L4_Myself());
    for (;;) {
      EXPECT_TRUE(L4_IpcSucceeded(L4_Receive(kIrq)));
      taken++;
      kernel().WaitForHost();
      L4_Set_MsgTag(L4_Niltag);
      EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(kIrq)));
    }
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  for (int i = 0; i < 5; i++) EXPECT_TRUE(kernel().RaiseInterrupt(3));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken, 1) << "masked";
  kernel().HostWake(handler);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken, 2) << "of those that came meanwhile one is left";
  kernel().HostWake(handler);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken, 2);
}

// Whatever the message, it acknowledges; the interrupt thread has no memory and no string buffers.
TEST_F(InterruptTest, ItemsInAnAcknowledgementGoNowhere) {
  int taken = 0;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    L4_AssociateInterrupt(kIrq, L4_Myself());
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(0x1000000, 12));
    const L4_MapItem_t page = L4_MapItem(Page(0x1000000, kRwx), 0x5000);
    const L4_Word_t items[][2] = {{page.raw[0], page.raw[1]}, {4 << 10, 0x1000000}};
    for (const auto& item : items) {
      EXPECT_TRUE(L4_IpcSucceeded(L4_Receive(kIrq)));
      taken++;
      kernel().WaitForHost();
      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
      L4_LoadMRs(1, 2, item);
      L4_Reply(kIrq);
    }
    EXPECT_TRUE(L4_IpcSucceeded(L4_Receive(kIrq)));
    taken++;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().RaiseInterrupt(3);
  for (int i = 1; i <= 3; i++) {
    ASSERT_TRUE(world_.Run()) << world_.problem();
    EXPECT_EQ(taken, i);
    // One that comes while it is masked is kept for later.
    kernel().RaiseInterrupt(3);
    kernel().HostWake(handler);
  }
  EXPECT_EQ(kernel().ledger().pages_mapped, 1u) << "the handler's own";
}

TEST_F(InterruptTest, NobodyElseLivesInTheSpaceOfAnInterruptThread) {
  world_.Spawn([&] {
    const L4_ThreadId_t t = L4_GlobalId(600, 1);
    EXPECT_EQ(Failure(L4_ThreadControl(t, kIrq, L4_Myself(), L4_nilthread, kKeepUtcb)),
              L4_ERROR_INVALID_SPACE);
    EXPECT_EQ(Failure(L4_ThreadControl(L4_Myself(), kIrq, L4_nilthread, L4_nilthread, kKeepUtcb)),
              L4_ERROR_INVALID_SPACE);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
}

TEST_F(InterruptTest, ABusyHandlerFindsTheMessageLater) {
  L4_ThreadId_t from = L4_nilthread;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    L4_AssociateInterrupt(kIrq, L4_Myself());
    kernel().WaitForHost();
    L4_Wait(&from);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().RaiseInterrupt(3);
  ThreadInfo info;
  ASSERT_TRUE(kernel().Inspect(kIrq, &info));
  EXPECT_EQ(info.state, ThreadState::kSending);
  EXPECT_EQ(info.partner, handler);
  kernel().HostWake(handler);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(from, kIrq);
}

TEST_F(InterruptTest, AStrayAcknowledgementDoesNoHarm) {
  int taken = 0;
  world_.Spawn([&] {
    L4_AssociateInterrupt(kIrq, L4_Myself());
    L4_Set_MsgTag(L4_Niltag);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Reply(kIrq))) << "before there was any interrupt";
    L4_Receive(kIrq);
    taken++;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().RaiseInterrupt(3);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken, 1);
}

TEST_F(InterruptTest, OnlyTheHandlerAcknowledges) {
  L4_Word_t error = 0;
  world_.Spawn([&] {
    L4_AssociateInterrupt(kIrq, L4_Myself());
    L4_Receive(kIrq);
    taken_++;
    L4_Receive(kIrq);
    taken_++;
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().RaiseInterrupt(3);
  world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send_Timeout(kIrq, L4_ZeroTime);
    error = L4_ErrorCode();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().RaiseInterrupt(3);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(error, L4_IPC_TIMEOUT << 1);
  EXPECT_EQ(taken_, 1);
}

TEST_F(InterruptTest, DetachedInterruptsAreNobodys) {
  const L4_ThreadId_t handler = SpawnHandler();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  world_.Spawn([&] { EXPECT_EQ(L4_DeassociateInterrupt(kIrq), 1u); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(kernel().RaiseInterrupt(3));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 0);
  // And back: the handler, still in its closed wait, is served again.
  world_.Spawn([&] { L4_AssociateInterrupt(kIrq, handler); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(kernel().RaiseInterrupt(3));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 1);
}

TEST_F(InterruptTest, AHandlerThatDiesLeavesTheInterruptUnserved) {
  const L4_ThreadId_t handler = world_.Spawn([&] {
    L4_AssociateInterrupt(kIrq, L4_Myself());
    L4_Receive(kIrq);
    taken_++;
    kernel().WaitForHost();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().RaiseInterrupt(3);
  kernel().RaiseInterrupt(3);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  world_.Spawn(
      [&] { L4_ThreadControl(handler, L4_nilthread, L4_nilthread, L4_nilthread, kKeepUtcb); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(kernel().RaiseInterrupt(3));
  // The next handler starts with a clean slate.
  SpawnHandler();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 1);
  EXPECT_TRUE(kernel().RaiseInterrupt(3));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 2);
}

TEST_F(InterruptTest, AnotherHandlerTakesOverWhatIsPending) {
  world_.Spawn([&] {
    L4_AssociateInterrupt(kIrq, L4_Myself());
    L4_Receive(kIrq);
    kernel().WaitForHost();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().RaiseInterrupt(3);
  kernel().RaiseInterrupt(3);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  SpawnHandler();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 1);
}

TEST_F(InterruptTest, ErrorsOfAssociation) {
  world_.Spawn([&] {
    const L4_ThreadId_t me = L4_Myself();
    const auto error = [](L4_ThreadId_t dest, L4_ThreadId_t space, L4_ThreadId_t scheduler,
                          L4_ThreadId_t handler) {
      return Failure(L4_ThreadControl(dest, space, scheduler, handler, kKeepUtcb));
    };
    const L4_ThreadId_t second = L4_GlobalId(3, 2);
    EXPECT_EQ(error(second, second, L4_nilthread, me), L4_ERROR_INVALID_THREAD) << "version 2";
    EXPECT_EQ(error(kIrq, me, L4_nilthread, me), L4_ERROR_INVALID_THREAD) << "another space";
    EXPECT_EQ(error(kIrq, L4_nilthread, L4_nilthread, me), L4_ERROR_INVALID_THREAD) << "deletion";
    EXPECT_EQ(error(kIrq, kIrq, L4_GlobalId(999, 1), me), L4_ERROR_INVALID_SCHEDULER);
    EXPECT_EQ(error(kIrq, kIrq, me, L4_nilthread), 0u) << "changes nothing";
    L4_Word_t old;
    EXPECT_EQ(Failure(L4_SpaceControl(kIrq, 0, L4_Nilpage, L4_Nilpage, L4_anythread, &old)),
              L4_ERROR_INVALID_SPACE);
    EXPECT_EQ(L4_ExchangeSome(kIrq, 0, 0, 0, 0, nullptr, nullptr, nullptr, nullptr), L4_nilthread);
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_THREAD);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(kernel().RaiseInterrupt(3));
  L4_Word_t unprivileged = 0;
  world_.SpawnInNewSpace([&] { unprivileged = Failure(L4_AssociateInterrupt(kIrq, L4_Myself())); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(unprivileged, L4_ERROR_NO_PRIVILEGE);
}

TEST_F(InterruptTest, ADeviceThreadRaisesIt) {
  std::string order;
  world_.Spawn(
      [&] {
        L4_AssociateInterrupt(kIrq, L4_Myself());
        L4_Receive(kIrq);
        order += "handler ";
      },
      200);
  world_.Spawn([&] {
    order += "device ";
    kernel().RaiseInterrupt(3);
    order += "after ";
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(order, "device handler after ") << "the handler is more urgent";
}

TEST_F(InterruptTest, ASourceTicksInVirtualTime) {
  SpawnHandler();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const uint64_t before = kernel().now_ns();
  ASSERT_TRUE(kernel().StartInterruptSource(3, 1'000'000, 10));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 10);
  EXPECT_GE(kernel().now_ns(), before + 10'000'000);
  EXPECT_LT(kernel().now_ns(), before + 11'000'000);
  EXPECT_FALSE(kernel().StartInterruptSource(3, 0, 1));
  EXPECT_FALSE(kernel().StartInterruptSource(999, 1, 1));
}

TEST_F(InterruptTest, ATickBeyondTheEndOfTheClockNeverComes) {
  SpawnHandler();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const uint64_t before = kernel().now_ns();
  EXPECT_TRUE(kernel().StartInterruptSource(3, UINT64_MAX, 2));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 0);
  EXPECT_EQ(kernel().now_ns(), before);
  // Twice would be beyond it.
  EXPECT_TRUE(kernel().StartInterruptSource(3, uint64_t{1} << 63, 2));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 1);
}

TEST_F(InterruptTest, TicksThatChangeNothingCostNothing) {
  uint64_t woke = 0;
  world_.Spawn([&] {
    EXPECT_EQ(L4_AssociateInterrupt(kIrq, L4_Myself()), 1u);
    L4_Receive(kIrq);
    taken_++;
    // Never answers.
    L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(625 << 13));
    woke = kernel().now_ns();
    L4_Receive(L4_anythread);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const uint64_t start = kernel().now_ns();
  ASSERT_TRUE(kernel().StartInterruptSource(3, 1, UINT64_MAX));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 1);
  EXPECT_GE(woke, start + 5120000000);
  EXPECT_LT(woke, start + 5121000000);
  // The source has run to the end of the clock.
  EXPECT_EQ(kernel().now_ns(), UINT64_MAX - 1);
}

TEST_F(InterruptTest, TicksThatChangeNothingAreCountedAllTheSame) {
  bool answer = false;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    EXPECT_EQ(L4_AssociateInterrupt(kIrq, L4_Myself()), 1u);
    L4_Receive(kIrq);
    taken_++;
    kernel().WaitForHost();
    for (answer = true;; taken_++) {
      L4_Set_MsgTag(L4_Niltag);
      L4_Call(kIrq);
    }
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  // Four million ticks are lost while the handler does something else; then it takes the one that
  // is remembered, and about a thousand that are left.
  ASSERT_TRUE(kernel().StartInterruptSource(3, 1000, 4097000));
  world_.Spawn([&] {
    L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(1000 << 12));
    kernel().HostWake(handler);
    L4_Receive(L4_anythread);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(answer);
  EXPECT_GT(taken_, 900);
  EXPECT_LE(taken_, 1002);
}

// Of two clocks one has ticks that nobody sees any more: they are passed over up to the other one's
// tick, also where that comes a nanosecond after one of them.
TEST_F(InterruptTest, LostTicksArePassedOverUpToTheNextTimer) {
  constexpr L4_Word_t kOther = 4;
  const L4_ThreadId_t other = L4_GlobalId(kOther, 1);
  world_.Spawn([&] {
    EXPECT_EQ(L4_AssociateInterrupt(kIrq, L4_Myself()), 1u);
    L4_Receive(kIrq);
    L4_Receive(L4_Myself());  // never answers
  });
  uint64_t took = 0;
  world_.Spawn([&] {
    EXPECT_EQ(L4_AssociateInterrupt(other, L4_Myself()), 1u);
    L4_Receive(other);
    took = kernel().now_ns();
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const uint64_t start = kernel().now_ns();
  ASSERT_TRUE(kernel().StartInterruptSource(3, 1'000'000, 100));
  ASSERT_TRUE(kernel().StartInterruptSource(kOther, 3'000'001, 1));
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_GE(took, start + 3'000'001);
  EXPECT_LT(took, start + 4'000'000);
  EXPECT_EQ(kernel().now_ns(), start + 100'000'000);
}

TEST_F(InterruptTest, ASourceEndsWithItsHandlerOrWhenStopped) {
  const L4_ThreadId_t handler = SpawnHandler();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().StartInterruptSource(3, 1000, UINT64_MAX);
  EXPECT_FALSE(world_.Run({.max_switches = 100})) << "never idle";
  world_.Spawn(
      [&] { L4_ThreadControl(handler, L4_nilthread, L4_nilthread, L4_nilthread, kKeepUtcb); }, 255);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  SpawnHandler();
  kernel().StartInterruptSource(3, 1000, UINT64_MAX);
  kernel().StopInterruptSource(3);
  ASSERT_TRUE(world_.Run()) << world_.problem();
}

TEST_F(InterruptTest, AStoppedSourceTicksNoMore) {
  SpawnHandler();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  const uint64_t before = kernel().now_ns();
  kernel().StartInterruptSource(3, 1'000'000, 5);
  kernel().StopInterruptSource(3);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(kernel().now_ns(), before) << "nobody waits for it";
  kernel().StartInterruptSource(3, 1'000'000, 5);
  kernel().StartInterruptSource(3, 1'000'000, 2);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_EQ(taken_, 2) << "a new source takes the place of the old one";
}

// An acknowledgement sent before the association waits for it.
TEST_F(InterruptTest, AnAssociationTakesWhatItsHandlerHasSent) {
  bool sent = false;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    sent = L4_IpcSucceeded(L4_Send(kIrq));
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(sent);
  world_.Spawn([&] { EXPECT_EQ(L4_AssociateInterrupt(kIrq, handler), 1u); });
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(sent);
}

TEST_F(InterruptTest, AnInterruptGoesBeforeOtherSenders) {
  std::vector<L4_ThreadId_t> order;
  const L4_ThreadId_t handler = world_.Spawn([&] {
    EXPECT_EQ(L4_AssociateInterrupt(kIrq, L4_Myself()), 1u);
    kernel().WaitForHost();
    for (int i = 0; i < 2; i++) {
      L4_ThreadId_t from;
      L4_Wait(&from);
      order.push_back(from);
    }
  });
  world_.Spawn(
      [handler] {
        L4_Set_MsgTag(L4_Niltag);
        L4_Send(handler);
      },
      254);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_TRUE(kernel().RaiseInterrupt(3));
  kernel().HostWake(handler);
  ASSERT_TRUE(world_.Run()) << world_.problem();
  ASSERT_EQ(order.size(), 2u);
  EXPECT_EQ(order[0], kIrq);
}

TEST_F(InterruptTest, ExchangeRegistersDoesNotSteerIt) {
  world_.Spawn([] {
    EXPECT_EQ(L4_AssociateInterrupt(kIrq, L4_Myself()), 1u);
    EXPECT_TRUE(L4_IsNilThread(L4_ExchangeSome(kIrq, L4_EXREGS_SET_HALT | L4_EXREGS_HALT, 0, 0, 0,
                                               nullptr, nullptr, nullptr, nullptr)));
    EXPECT_EQ(L4_ErrorCode(), L4_ERROR_INVALID_THREAD);
  });
  ASSERT_TRUE(world_.Run()) << world_.problem();
}

TEST_F(InterruptTest, ResetForgetsAssociationsAndSources) {
  SpawnHandler();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  kernel().StartInterruptSource(3, 1000, UINT64_MAX);
  world_.Reset();
  ASSERT_TRUE(world_.Run()) << world_.problem();
  EXPECT_FALSE(kernel().RaiseInterrupt(3));
}

}  // namespace
}  // namespace fake_l4
