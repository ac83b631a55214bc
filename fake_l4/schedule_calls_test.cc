// Priorities, slices, quantum, preemption messages and flags. X.2 manual: "Schedule",
// "ThreadSwitch", "Preemption Protocol".
#include <l4/arch.h>
#include <l4/ipc.h>
#include <l4/kip.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <functional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "fake_l4/kernel.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
constexpr L4_Word_t kKeep = ~L4_Word_t{0};
constexpr L4_Word_t kPreemptionLabel = (~L4_Word_t{0} >> 16) - 0x2f;
constexpr L4_Word_t kSignal = 1u << 5, kDelay = 1u << 6, kPending = 1u << 7;

L4_Word_t TimeWord(L4_Time_t slice, L4_Time_t quantum) {
  return L4_Word_t{slice.raw} << 16 | quantum.raw;
}
L4_Time_t Ms(uint64_t ms) { return L4_TimePeriod(ms * 1000); }

class ScheduleTest : public ::testing::Test {
 protected:
  World world_;
  std::string log_;

  // Kernel operations that take about `us` microseconds of virtual time in all.
  void Compute(uint64_t us) {
    const uint64_t end = L4_SystemClock().raw + us;
    while (L4_SystemClock().raw < end) continue;
  }
  // Says `c` once for each millisecond, `count` times.
  void Say(char c, int count) {
    for (int i = 0; i < count; i++) {
      log_ += c;
      Compute(1000);
    }
  }
  void Run() { ASSERT_TRUE(world_.Run()) << world_.problem(); }
};

// ---- Slices ----

// Each of the two blocks before its slice ends, and hands over to the other one; when the slice
// does end, within a call, the third one has waited long enough.
TEST_F(ScheduleTest, TwoThatCallEachOtherLeaveTimeToAThird) {
  uint64_t calls = 0;
  const L4_ThreadId_t server = world_.Spawn([] {
    L4_ThreadId_t from;
    L4_Wait(&from);
    for (;;) {
      L4_Set_MsgTag(L4_Niltag);
      L4_ReplyWait(from, &from);
    }
  });
  const L4_ThreadId_t client = world_.Spawn([&] {
    for (;; calls++) {
      L4_Set_MsgTag(L4_Niltag);
      L4_Call(server);
    }
  });
  world_.Spawn([&] {
    Say('c', 3);
    L4_ThreadControl(client, L4_nilthread, L4_nilthread, L4_nilthread,
                     reinterpret_cast<void*>(~L4_Word_t{0}));
  });
  ASSERT_TRUE(world_.Run({.max_switches = 1'000'000})) << world_.problem();
  EXPECT_EQ(log_, "ccc");
  // A slice of each, at about 0.7 us a message.
  EXPECT_GT(calls, 5'000u);
  EXPECT_LT(calls, 50'000u);
}

TEST_F(ScheduleTest, EqualThreadsTakeTurnsOfTenMilliseconds) {
  for (const char c : {'a', 'b'}) world_.Spawn([this, c] { Say(c, 20); });
  Run();
  // Each turn begins with what the other left of a millisecond.
  std::string turns;
  for (size_t i = 0; i < log_.size(); i++) {
    if (i == 0 || log_[i] != log_[i - 1]) turns += log_[i];
  }
  EXPECT_EQ(turns, "abab");
  EXPECT_EQ(log_.substr(0, 9), "aaaaaaaaa");
}

TEST_F(ScheduleTest, AThreadThatOnlyAccessesMemoryIsPreempted) {
  bool stop = false;
  world_.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12));
    uint64_t word = 0;
    while (!stop) {
      ASSERT_EQ(world_.kernel().cpu().Load(base::Vaddr(kRam), &word, 8), AccessStatus::kOk);
    }
  });
  world_.Spawn([&] { stop = true; });
  Run();
  EXPECT_TRUE(stop);
}

// Whether a system call succeeds or not, its end is where a slice may end.
TEST_F(ScheduleTest, AThreadThatOnlyMakesSystemCallsIsPreempted) {
  const L4_ThreadId_t nobody = L4_GlobalId(4000, 1);
  L4_Word_t unused;
  const L4_Word_t attributes[4] = {};
  const std::vector<std::function<void()>> calls = {
      [&] { EXPECT_EQ(L4_ThreadControl(nobody, nobody, nobody, nobody, nullptr), 0u); },
      [&] {
        EXPECT_EQ(L4_SpaceControl(nobody, 0, L4_Nilpage, L4_Nilpage, L4_nilthread, &unused), 0u);
      },
      [&] {
        EXPECT_EQ(L4_SpaceControl(L4_Myself(), 0, L4_Nilpage, L4_Nilpage, L4_nilthread, &unused),
                  1u);
      },
      [&] { EXPECT_EQ(L4_Schedule(nobody, kKeep, kKeep, kKeep, kKeep, &unused), 0u); },
      [&] { EXPECT_EQ(L4_UserDefinedHandleOf(nobody), 0u); },
      [&] { EXPECT_EQ(L4_ProcessorControl(0, 0, 0, 0), 1u); },
      [&] { EXPECT_EQ(L4_ProcessorControl(1, 0, 0, 0), 0u); },
      [&] {
        L4_LoadMR(0, 0);
        EXPECT_EQ(L4_MemoryControl(0, attributes), 1u);
      },
  };
  for (size_t i = 0; i < calls.size(); i++) {
    bool other_ran = false;
    world_.Spawn([&] {
      for (int n = 0; n < 200000 && !other_ran; n++) calls[i]();
      EXPECT_TRUE(other_ran) << i;
    });
    world_.Spawn([&] { other_ran = true; });
    Run();
  }
}

TEST_F(ScheduleTest, ASliceOfItsOwnLength) {
  const L4_ThreadId_t a = world_.Spawn([this] { Say('a', 12); });
  world_.Spawn([this] { Say('b', 12); });
  world_.Spawn(
      [a] {
        L4_Word_t old;
        L4_Schedule(a, TimeWord(Ms(3), L4_Never), kKeep, kKeep, kKeep, &old);
      },
      200);
  Run();
  EXPECT_EQ(log_.substr(0, 3), "aaa");
  EXPECT_EQ(log_[4], 'b');
}

TEST_F(ScheduleTest, ASliceWithoutEnd) {
  const L4_ThreadId_t a = world_.Spawn([this] { Say('a', 50); });
  world_.Spawn([this] { Say('b', 1); });
  world_.Spawn(
      [a] {
        L4_Word_t old;
        L4_Schedule(a, TimeWord(L4_Never, L4_Never), kKeep, kKeep, kKeep, &old);
      },
      200);
  Run();
  EXPECT_EQ(log_, std::string(50, 'a') + "b");
}

TEST_F(ScheduleTest, ALessUrgentThreadWaitsForTheEndNotForASlice) {
  world_.Spawn([this] { Say('a', 30); }, 101);
  world_.Spawn([this] { Say('b', 1); }, 100);
  Run();
  EXPECT_EQ(log_, std::string(30, 'a') + "b");
}

TEST_F(ScheduleTest, WhatIsLeftIsTold) {
  world_.Spawn([this] {
    L4_Word_t old = 0;
    const L4_Word_t keep = kKeep;
    EXPECT_EQ(L4_Schedule(L4_Myself(), keep, keep, keep, keep, &old), L4_SCHEDRESULT_RUNNING);
    EXPECT_EQ(old, L4_Word_t{L4_TimePeriod(9999).raw} << 16);
    Compute(2000);
    L4_Schedule(L4_Myself(), TimeWord(Ms(5), Ms(40)), keep, keep, keep, &old);
    EXPECT_EQ(old >> 16, L4_TimePeriod(7997).raw);
    EXPECT_EQ(old & 0xffff, L4_Never.raw);
    Compute(2000);
    L4_Schedule(L4_Myself(), keep, keep, keep, keep, &old);
    EXPECT_EQ(old >> 16, L4_TimePeriod(2997).raw);
    EXPECT_EQ(old & 0xffff, L4_TimePeriod(37997).raw);
  });
  Run();
}

TEST(ScheduleQuirksTest, PistachioTellsMicroseconds) {
  World world({.ram_bytes = uint64_t{4} << 20, .quirks = kPistachioNewMdb});
  const L4_ThreadId_t waits = world.Spawn([] { L4_Receive(L4_anythread); }, 50);
  world.Spawn([waits] {
    L4_Word_t old = 0;
    EXPECT_EQ(L4_Schedule(waits, kKeep, kKeep, kKeep, kKeep, &old), L4_SCHEDRESULT_RUNNING);
    EXPECT_EQ(old, 0x27100000u);
  });
  ASSERT_TRUE(world.Run()) << world.problem();
}

// ---- Arguments ----

TEST_F(ScheduleTest, ErrorsInTheManualsOrder) {
  const L4_ThreadId_t other = world_.Spawn([] {});
  const L4_ThreadId_t client = world_.SpawnInNewSpace([&] {
    L4_Word_t old;
    EXPECT_EQ(L4_Schedule(L4_GlobalId(9999, 1), kKeep, kKeep, kKeep, kKeep, &old), 0u);
    EXPECT_EQ(L4_ErrorCode(), 2u);
    EXPECT_EQ(L4_Schedule(other, kKeep, kKeep, 256, kKeep, &old), 0u);
    EXPECT_EQ(L4_ErrorCode(), 1u);  // not its scheduler, whatever else is wrong
  });
  world_.Spawn([&] {
    L4_Word_t old;
    const auto error = [&](L4_Word_t time, L4_Word_t processor, L4_Word_t priority) {
      const L4_Word_t result = L4_Schedule(client, time, processor, priority, kKeep, &old);
      return result == L4_SCHEDRESULT_ERROR ? L4_ErrorCode() : 0;
    };
    EXPECT_EQ(error(kKeep, kKeep, 101), 5u);  // above the caller's own
    EXPECT_EQ(error(kKeep, kKeep, 256), 5u);
    EXPECT_EQ(error(kKeep, 1, kKeep), 5u);                             // no such processor
    EXPECT_EQ(error(TimeWord(L4_ZeroTime, Ms(1)), kKeep, kKeep), 5u);  // no slice at all
    EXPECT_EQ(error(L4_Word_t{0x8001} << 16, kKeep, kKeep), 5u);       // a point
    EXPECT_EQ(error(0x8001, kKeep, kKeep), 5u);
    EXPECT_EQ(error(TimeWord(Ms(1), Ms(1)), 0, 100), 0u);
  });
  Run();
}

TEST_F(ScheduleTest, TellsTheStateOfAThread) {
  const L4_ThreadId_t waits = world_.Spawn([] { L4_Receive(L4_anythread); }, 150);
  const L4_ThreadId_t sends = world_.Spawn([] { L4_Send(L4_Myself()); }, 150);
  const L4_ThreadId_t ends = world_.Spawn([] {}, 150);
  const L4_ThreadId_t ready = world_.Spawn([] {}, 50);
  world_.Spawn([&] {
    L4_Word_t old;
    const auto state = [&](L4_ThreadId_t t) {
      return L4_Schedule(t, kKeep, kKeep, kKeep, kKeep, &old);
    };
    EXPECT_EQ(state(waits), L4_SCHEDRESULT_WAITING);
    EXPECT_EQ(state(sends), L4_SCHEDRESULT_PENDING_SEND);
    EXPECT_EQ(state(ends), L4_SCHEDRESULT_DEAD);
    EXPECT_EQ(state(ready), L4_SCHEDRESULT_RUNNING);
  });
  Run();
}

TEST_F(ScheduleTest, AMoreUrgentThreadRunsAtOnce) {
  const L4_ThreadId_t low = world_.Spawn([this] { log_ += 'l'; }, 50);
  world_.Spawn(
      [&] {
        log_ += '1';
        L4_Set_Priority(low, 100);
        log_ += '2';
        L4_Word_t old;
        L4_Schedule(L4_Myself(), kKeep, kKeep, 60, kKeep, &old);
        log_ += '3';
      },
      101);
  Run();
  EXPECT_EQ(log_, "12l3");
}

TEST_F(ScheduleTest, ANewPriorityIsAtTheEndOfItsQueue) {
  const L4_ThreadId_t a = world_.Spawn([this] { log_ += 'a'; }, 90);
  world_.Spawn([this] { log_ += 'b'; }, 95);
  world_.Spawn([a] { EXPECT_NE(L4_Set_Priority(a, 95), 0u); });
  Run();
  EXPECT_EQ(log_, "ba");
}

// Interrupt threads have priorities, too; the boot's highest, and root is their scheduler.
TEST_F(ScheduleTest, AnInterruptThreadHasASchedulerAndAPriority) {
  world_.Spawn([] { EXPECT_NE(L4_Set_Priority(L4_GlobalId(3, 1), 90), 0u); });
  Run();
}

// ---- Quantum ----

TEST_F(ScheduleTest, TheSchedulerIsToldWhenTheQuantumIsSpent) {
  std::vector<uint64_t> clocks;
  const L4_ThreadId_t worker = world_.Spawn([this] { Say('w', 12); }, 50);
  world_.kernel().RegisterEntry(Kernel::kRootEntry, [&, worker] {
    L4_Word_t old;
    L4_Schedule(worker, TimeWord(Ms(10), L4_TimePeriod(3300)), kKeep, kKeep, kKeep, &old);
    for (;;) {
      L4_ThreadId_t from;
      const L4_MsgTag_t tag = L4_Wait(&from);
      if (from != worker && L4_GlobalIdOf(from) != worker) ADD_FAILURE();
      EXPECT_EQ(L4_Label(tag), kPreemptionLabel);
      EXPECT_EQ(L4_UntypedWords(tag), 2u);
      L4_Word_t low, high;
      L4_StoreMR(1, &low);
      L4_StoreMR(2, &high);
      clocks.push_back(low);
      EXPECT_EQ(high, 0u);
      log_ += '!';
      L4_Schedule(worker, TimeWord(Ms(10), L4_TimePeriod(3300)), kKeep, kKeep, kKeep, &old);
      L4_Set_MsgTag(L4_Niltag);
      L4_Send(from);
    }
  });
  Run();
  EXPECT_EQ(log_, "wwww!www!www!ww");
  ASSERT_EQ(clocks.size(), 3u);
  EXPECT_NEAR(static_cast<double>(clocks[1] - clocks[0]), 3300, 20);
}

TEST_F(ScheduleTest, WithoutASchedulerASpentThreadStops) {
  // Root, its scheduler, is gone from the start of the second run on.
  const L4_ThreadId_t worker = world_.Spawn([this] { Say('w', 12); }, 50);
  world_.Spawn([&] {
    L4_Word_t old;
    L4_Schedule(worker, TimeWord(Ms(10), L4_TimePeriod(3300)), kKeep, kKeep, kKeep, &old);
    // Renamed, it is no longer the thread that was named as the scheduler.
    const L4_ThreadId_t root = world_.kernel().root();
    EXPECT_EQ(L4_ThreadControl(L4_GlobalId(L4_ThreadNo(root), 2), root, L4_nilthread, L4_nilthread,
                               reinterpret_cast<void*>(kKeep)),
              1u);
  });
  Run();
  EXPECT_EQ(log_, "wwww");
  ThreadInfo info;
  ASSERT_TRUE(world_.kernel().Inspect(worker, &info));
  EXPECT_TRUE(info.halted);
}

TEST_F(ScheduleTest, AQuantumThatIsSpentIsNoPreemptionToDelay) {
  const L4_ThreadId_t worker = world_.Spawn(
      [this] {
        __l4_utcb()->preempt_flags = kDelay;
        Say('w', 12);
      },
      50);
  world_.kernel().RegisterEntry(Kernel::kRootEntry, [&, worker] {
    L4_Word_t old;
    L4_Schedule(worker, TimeWord(Ms(10), L4_TimePeriod(3300)), kKeep, kKeep,
                L4_Word_t{200} << 16 | 50000, &old);
    EXPECT_EQ(L4_Label(L4_Receive(worker)), kPreemptionLabel);
    log_ += '!';
  });
  Run();
  EXPECT_EQ(log_, "wwww!");
}

// ---- Preemption flags ----

TEST_F(ScheduleTest, AHandlerIsToldOfAPreemption) {
  const L4_ThreadId_t handler = world_.Spawn(
      [this] {
        L4_ThreadId_t from;
        const L4_MsgTag_t tag = L4_Wait(&from);
        EXPECT_EQ(L4_Label(tag), kPreemptionLabel);
        log_ += '!';
        L4_Set_MsgTag(L4_Niltag);
        L4_Send(from);
      },
      50);
  const L4_ThreadId_t urgent = world_.Spawn(
      [this] {
        L4_Receive(L4_anythread);
        log_ += 'u';
      },
      150);
  world_.Spawn([&] {
    __l4_utcb()->exception_handler = handler.raw;
    __l4_utcb()->preempt_flags = kSignal;
    L4_LoadMR(0, 0);
    EXPECT_TRUE(L4_IpcSucceeded(L4_Send(urgent)));
    log_ += 'a';
  });
  Run();
  EXPECT_EQ(log_, "u!a");
}

// The kernel's message in its name fails; its own IPC did so in another way before.
TEST_F(ScheduleTest, APreemptionLeavesTheResultsOfAnIpcAlone) {
  L4_ThreadId_t from = {0}, worker = {0};
  L4_Word_t error = 0;
  const L4_ThreadId_t handler = world_.Spawn(
      [&] {
        L4_ThreadId_t told;
        EXPECT_EQ(L4_Label(L4_Wait(&told)), kPreemptionLabel);
        EXPECT_TRUE(L4_IpcSucceeded(L4_Receive_Timeout(L4_nilthread, L4_ZeroTime)));
        L4_AbortReceive_and_stop(worker);
        L4_Start(worker);
      },
      50);
  const L4_ThreadId_t urgent = world_.Spawn([] { L4_Receive(L4_anythread); }, 150);
  worker = world_.Spawn([&] {
    __l4_utcb()->exception_handler = handler.raw;
    __l4_utcb()->preempt_flags = kSignal;
    L4_Set_MsgTag(L4_Niltag);
    const L4_MsgTag_t tag =
        L4_Ipc(urgent, L4_GlobalId(4000, 1), L4_Timeouts(L4_Never, L4_Never), &from);
    EXPECT_TRUE(L4_IpcFailed(tag));
    error = L4_ErrorCode();
  });
  Run();
  EXPECT_EQ(error, L4_IPC_NO_PARTNER << 1 | 1);
}

// A thread that blocks while it delays its preemption has given way.
TEST_F(ScheduleTest, ADelayEndsWithTheThreadsTurn) {
  const L4_ThreadId_t handler = world_.Spawn(
      [this] {
        L4_ThreadId_t from;
        L4_Wait(&from);
        log_ += '!';
      },
      250);
  const L4_ThreadId_t urgent = world_.Spawn(
      [this, handler] {
        __l4_utcb()->exception_handler = handler.raw;
        __l4_utcb()->preempt_flags = kSignal;
        L4_Receive(L4_anythread);
        log_ += 'u';
        L4_SystemClock();
        log_ += 'v';
      },
      150);
  world_.Spawn([this, urgent] {
    L4_Word_t old;
    L4_Schedule(L4_Myself(), kKeep, kKeep, kKeep, L4_Word_t{200} << 16 | 500, &old);
    __l4_utcb()->preempt_flags = kDelay;
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(urgent);
    log_ += 'a';
    L4_Receive_Timeout(L4_Myself(), Ms(5));
    log_ += 'b';
  });
  Run();
  EXPECT_EQ(log_, "auvb");
}

TEST_F(ScheduleTest, WhoIsAloneGoesOnWhateverItsPriority) {
  uint64_t switches[2] = {}, ends[2] = {};
  for (uint8_t priority : {0, 1}) {
    World world;
    world.Spawn([this] { Compute(100'000); }, priority);
    ASSERT_TRUE(world.Run()) << world.problem();
    switches[priority] = world.kernel().ledger().fiber_switches;
    ends[priority] = world.kernel().now_ns();
  }
  EXPECT_EQ(switches[0], switches[1]);
  EXPECT_EQ(ends[0], ends[1]);
}

class DelayTest : public ScheduleTest {
 protected:
  // A thread that asks for delay wakes one of priority `urgency`, computes for `us`, and yields.
  void RunDelayed(uint8_t urgency, uint64_t us, L4_Word_t preemption_control) {
    const L4_ThreadId_t urgent = world_.Spawn(
        [this] {
          L4_Receive(L4_anythread);
          log_ += 'u';
        },
        urgency);
    world_.Spawn([this, urgent, us, preemption_control] {
      L4_Word_t old;
      L4_Schedule(L4_Myself(), kKeep, kKeep, kKeep, preemption_control, &old);
      __l4_utcb()->preempt_flags = kDelay;
      L4_LoadMR(0, 0);
      EXPECT_TRUE(L4_IpcSucceeded(L4_Send(urgent)));
      log_ += (__l4_utcb()->preempt_flags & kPending) != 0 ? '?' : '-';
      Compute(us);
      log_ += 'a';
      __l4_utcb()->preempt_flags = 0;
      L4_Yield();
      log_ += 'b';
    });
    Run();
  }
};

TEST_F(DelayTest, APreemptionIsDelayedUntilTheThreadYields) {
  RunDelayed(150, 100, L4_Word_t{200} << 16 | 500);
  EXPECT_EQ(log_, "?aub");
}

TEST_F(DelayTest, ButNotForLongerThanAllowed) {
  RunDelayed(150, 1000, L4_Word_t{200} << 16 | 500);
  EXPECT_EQ(log_, "?uab");
}

TEST_F(DelayTest, AndNotForAMoreUrgentThreadThanTheSensitivePriority) {
  RunDelayed(201, 100, L4_Word_t{200} << 16 | 500);
  EXPECT_EQ(log_, "u-ab");
}

TEST_F(DelayTest, AndNotWithoutLeave) {
  RunDelayed(150, 100, kKeep);
  EXPECT_EQ(log_, "u-ab");
}

TEST_F(DelayTest, NorForNoTimeAtAll) {
  RunDelayed(150, 100, L4_Word_t{200} << 16);
  EXPECT_EQ(log_, "u-ab") << "it is not told of a preemption that was not delayed";
}

// ---- ThreadSwitch ----

TEST_F(ScheduleTest, ThreadSwitchReachesALessUrgentThread) {
  const L4_ThreadId_t low = world_.Spawn([this] { log_ += 'l'; }, 50);
  world_.Spawn([&] {
    log_ += 'a';
    L4_ThreadSwitch(low);
    log_ += 'b';
  });
  Run();
  EXPECT_EQ(log_, "alb");
}

TEST_F(ScheduleTest, ThreadSwitchDonatesTheRestOfTheSlice) {
  const L4_ThreadId_t low = world_.Spawn([this] { Say('l', 25); }, 50);
  world_.Spawn([&] {
    Compute(2000);
    L4_ThreadSwitch(low);
    log_ += 'a';
  });
  Run();
  // Its own ten milliseconds and eight of the caller's.
  EXPECT_EQ(log_, std::string(18, 'l') + "a" + std::string(7, 'l'));
}

TEST_F(ScheduleTest, WhoGaveItsSliceAwayBeginsANewOne) {
  world_.Spawn([this] {
    for (const L4_Time_t quantum : {L4_Never, Ms(40)}) {
      L4_Word_t old = 0;
      L4_Schedule(L4_Myself(), TimeWord(Ms(10), quantum), kKeep, kKeep, kKeep, &old);
      Compute(2000);
      L4_ThreadSwitch(L4_nilthread);
      L4_Schedule(L4_Myself(), kKeep, kKeep, kKeep, kKeep, &old);
      EXPECT_EQ(old >> 16, L4_TimePeriod(9998).raw);
      // What was not used is not charged.
      EXPECT_EQ(old & 0xffff, quantum == L4_Never ? L4_Never.raw : L4_TimePeriod(37996).raw);
    }
  });
  Run();
}

// facts/l4.md section 5: a send whose receive phase waits for nothing.
TEST_F(ScheduleTest, SoDoesASendThatThenReceivesNothingAtOnce) {
  const L4_ThreadId_t low = world_.Spawn(
      [this] {
        L4_Receive(L4_anythread);
        Say('l', 25);
      },
      50);
  bool asleep = false;
  world_.Spawn([&] { asleep = true; }, 49);
  world_.Spawn([&] {
    while (!asleep) L4_Receive_Timeout(L4_anythread, L4_TimePeriod(10));
    L4_ThreadSwitch(L4_nilthread);
    Compute(2000);
    L4_LoadMR(0, 0);
    L4_ThreadId_t from;
    const L4_MsgTag_t tag = L4_Ipc(low, L4_anythread, L4_Timeouts(L4_Never, L4_ZeroTime), &from);
    EXPECT_TRUE(L4_IpcFailed(tag));
    EXPECT_EQ(L4_ErrorCode(), 3u);  // a timeout of the receive phase; the message is out
    log_ += 'a';
  });
  Run();
  EXPECT_EQ(log_.substr(0, 19), std::string(18, 'l') + "a");
}

TEST_F(ScheduleTest, ToAThreadThatCannotRunItIsAYield) {
  const L4_ThreadId_t waits = world_.Spawn([] { L4_Receive(L4_anythread); }, 150);
  world_.Spawn([&] {
    L4_ThreadSwitch(waits);
    log_ += 'a';
  });
  world_.Spawn([this] { log_ += 'b'; });
  Run();
  EXPECT_EQ(log_, "ba");
}

TEST_F(ScheduleTest, TheClockCountsMicroseconds) {
  world_.Spawn([this] {
    const uint64_t before = L4_SystemClock().raw;
    Compute(1500);
    EXPECT_NEAR(static_cast<double>(L4_SystemClock().raw - before), 1500, 2);
    EXPECT_NEAR(static_cast<double>(world_.kernel().now_ns()) / 1000,
                static_cast<double>(L4_SystemClock().raw), 2);
  });
  Run();
}

}  // namespace
}  // namespace fake_l4
