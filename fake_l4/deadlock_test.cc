#include <l4/ipc.h>
#include <l4/thread.h>

#include "base/addr.h"
#include "fake_l4/kernel.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

class DeadlockTest : public ::testing::Test {
 protected:
  World world_;
  Kernel& kernel_ = world_.kernel();
  // The boot threads of this test, in order.
  static L4_ThreadId_t Nth(unsigned n) { return L4_GlobalId(100 + n, 1); }
  L4_ThreadId_t Start(unsigned n, std::function<void()> body, L4_ThreadId_t pager = {0}) {
    return kernel_.Boot(
        {.entry = std::move(body), .new_space = true, .pager = pager, .id = Nth(n)});
  }
  void ExpectDeadlock(const char* text) {
    EXPECT_EQ(kernel_.RunUntilIdle(), StopReason::kDeadlock);
    EXPECT_EQ(kernel_.DescribeDeadlock(), text);
  }
  void ExpectIdle() {
    EXPECT_EQ(kernel_.RunUntilIdle(), StopReason::kIdle);
    EXPECT_EQ(kernel_.DescribeDeadlock(), "");
  }
};

TEST_F(DeadlockTest, ACycleOfThreeIsNamed) {
  Start(0, [] { L4_Send(Nth(1)); });
  Start(1, [] { L4_Receive(Nth(2)); });
  Start(2, [] { L4_Call(Nth(0)); });
  ExpectDeadlock(
      "thread 100.1 sends to 101.1; thread 101.1 receives from 102.1; thread 102.1 sends to 100.1; "
      "cycle: 100.1 101.1 102.1\n"
      "thread 101.1 receives from 102.1; thread 102.1 sends to 100.1; thread 100.1 sends to 101.1; "
      "cycle: 101.1 102.1 100.1\n"
      "thread 102.1 sends to 100.1; thread 100.1 sends to 101.1; thread 101.1 receives from 102.1; "
      "cycle: 102.1 100.1 101.1\n");
}

TEST_F(DeadlockTest, AThreadThatWaitsForACycleIsStuckToo) {
  Start(0, [] { L4_Receive(Nth(1)); });
  Start(1, [] { L4_Receive(Nth(1)); });
  ExpectDeadlock(
      "thread 100.1 receives from 101.1; thread 101.1 receives from 101.1; cycle: 101.1\n"
      "thread 101.1 receives from 101.1; cycle: 101.1\n");
}

TEST_F(DeadlockTest, AChainToADeadPager) {
  const L4_ThreadId_t pager = Start(0, [] {});
  Start(
      1,
      [this] {
        char byte;
        (void)kernel_.cpu().Load(base::Vaddr(0x1000), &byte, 1);
      },
      pager);
  Start(2, [] { L4_Call(Nth(1)); });
  ExpectDeadlock(
      "thread 101.1 reports a page fault to 100.1; thread 100.1 has returned\n"
      "thread 102.1 sends to 101.1; thread 101.1 reports a page fault to 100.1; thread 100.1 has "
      "returned\n");
}

TEST_F(DeadlockTest, APageFaultWithoutAPager) {
  Start(
      0,
      [this] {
        char byte;
        (void)kernel_.cpu().Load(base::Vaddr(0x1000), &byte, 1);
      },
      Nth(77));
  ExpectDeadlock("thread 100.1 has a page fault that no pager serves\n");
}

TEST_F(DeadlockTest, AHaltedPartner) {
  const L4_ThreadId_t halted = world_.Spawn([] { L4_Receive(L4_anythread); }, 150);
  world_.Spawn([halted] {
    L4_Stop(halted);
    // It receives, but does not go on to answer.
    L4_Call(halted);
  });
  EXPECT_EQ(kernel_.RunUntilIdle(), StopReason::kDeadlock);
  EXPECT_NE(kernel_.DescribeDeadlock().find("is halted"), std::string::npos);
}

TEST_F(DeadlockTest, AnExceptionThatNobodyHandled) {
  Start(0, [this] { (void)kernel_.cpu().RaiseException(kExceptionInvalidOpcode); });
  Start(1, [] { L4_Call(Nth(0)); });
  ExpectDeadlock(
      "thread 100.1 has an exception that nobody handled\n"
      "thread 101.1 sends to 100.1; thread 100.1 has an exception that nobody handled\n");
}

TEST_F(DeadlockTest, AnIdleServerIsNone) {
  Start(0, [] {
    L4_ThreadId_t from;
    for (L4_MsgTag_t tag = L4_Wait(&from);; tag = L4_ReplyWait(from, &from)) (void)tag;
  });
  Start(1, [] { L4_Call(Nth(0)); });
  ExpectIdle();
}

TEST_F(DeadlockTest, NorIsWhoWaitsForAnIdleServer) {
  // It may answer when another client comes.
  Start(0, [] {
    L4_ThreadId_t from;
    for (;;) L4_Wait(&from);
  });
  Start(1, [] { L4_Call(Nth(0)); });
  ExpectIdle();
}

TEST_F(DeadlockTest, NorWhoWaitsForOneThatTheHostWakes) {
  Start(0, [this] { kernel_.WaitForHost(); });
  Start(1, [] { L4_Send(Nth(0)); });
  ExpectIdle();
}

TEST_F(DeadlockTest, NorAThreadThatHasNotBegun) {
  world_.Spawn([] {
    const L4_ThreadId_t t = L4_GlobalId(500, 1);
    const auto utcb = L4_Word_t{Kernel::Current()->root_utcb_area()} + 64 * 1024;
    EXPECT_EQ(
        L4_ThreadControl(t, L4_Myself(), L4_Myself(), L4_Myself(), reinterpret_cast<void*>(utcb)),
        1u);
  });
  ExpectIdle();
}

TEST_F(DeadlockTest, ATimeoutEndsACycle) {
  bool done = false;
  Start(0, [&done] {
    L4_Send_Timeout(Nth(1), L4_TimePeriod(1000));
    done = true;
    L4_Receive(L4_anythread);
  });
  Start(1, [] { L4_Send(Nth(0)); });
  ExpectIdle();
  EXPECT_TRUE(done);
}

TEST_F(DeadlockTest, NobodyLooksWhenNotAskedTo) {
  Start(0, [] { L4_Send(L4_Myself()); });
  EXPECT_EQ(kernel_.RunUntilIdle({.detect_deadlock = false}), StopReason::kIdle);
  EXPECT_EQ(kernel_.RunUntilIdle(), StopReason::kDeadlock);
}

}  // namespace
}  // namespace fake_l4
