// The machine's view: running, waking, crashing, independence of kernels, determinism, counters.
#include "fake_l4/kernel.h"

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/text_sink.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;

TEST(KernelTest, ABootedKernelRunsIdle) {
  Kernel kernel;
  kernel.RegisterEntry(Kernel::kRootEntry, [] {});
  EXPECT_EQ(kernel.RunUntilIdle(), StopReason::kIdle);
  const std::vector<ThreadInfo> threads = kernel.Threads();
  ASSERT_EQ(threads.size(), 2u);
  EXPECT_EQ(threads[0].id, kernel.sigma0());
  EXPECT_EQ(threads[0].state, ThreadState::kReceiving);
  EXPECT_EQ(threads[1].id, kernel.root());
  EXPECT_EQ(threads[1].state, ThreadState::kReturned);
  EXPECT_EQ(Kernel::Current(), nullptr);
  EXPECT_EQ(Kernel::CurrentThread(), L4_nilthread);
}

TEST(KernelTest, RootWithoutCodeIsReported) {
  Kernel kernel;
  EXPECT_EQ(kernel.RunUntilIdle(), StopReason::kIdle);
  EXPECT_NE(kernel.DescribeWaits().find("thread 50.1 (space 1): no code at its ip"),
            std::string::npos)
      << kernel.DescribeWaits();
}

TEST(KernelTest, EntriesMayBePlainFunctionsWithAnArgument) {
  Kernel kernel;
  int seen = 0;
  kernel.RegisterEntry(
      Kernel::kRootEntry, [](void* arg) { *static_cast<int*>(arg) = 5; }, &seen);
  EXPECT_EQ(kernel.RunUntilIdle(), StopReason::kIdle);
  EXPECT_EQ(seen, 5);
}

TEST(KernelTest, TheHostHandsOutWorkAndCollectsResults) {
  World world;
  Kernel& kernel = world.kernel();
  int command = 0, result = 0;
  const L4_ThreadId_t client = world.SpawnInNewSpace([&] {
    for (;;) {
      kernel.WaitForHost();
      result = command * command;
    }
  });
  ASSERT_TRUE(world.Run()) << world.problem();
  const uint64_t calls = kernel.ledger().system_calls;
  for (command = 1; command < 5; command++) {
    EXPECT_TRUE(kernel.HostWake(client));
    ASSERT_TRUE(world.Run()) << world.problem();
    EXPECT_EQ(result, command * command);
  }
  EXPECT_EQ(kernel.ledger().system_calls, calls) << "no kernel operation";
  EXPECT_FALSE(kernel.HostWake(L4_GlobalId(77, 1)));
}

TEST(KernelTest, AWakeBeforeTheWaitIsRemembered) {
  World world;
  int rounds = 0;
  const L4_ThreadId_t t = world.Spawn([&] {
    for (;;) {
      world.kernel().WaitForHost();
      rounds++;
    }
  });
  world.kernel().HostWake(t);
  world.kernel().HostWake(t);  // one is remembered, not two
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(rounds, 1);
}

TEST(KernelTest, ASwitchLimitStopsALivelock) {
  World world;
  const L4_ThreadId_t a = world.Spawn([] {
    for (;;) L4_Yield();
  });
  world.Spawn([] {
    for (;;) L4_Yield();
  });
  RunOptions options;
  options.max_switches = 1000;
  EXPECT_EQ(world.kernel().RunUntilIdle(options), StopReason::kSwitches);
  const uint64_t switches = world.kernel().ledger().fiber_switches;
  EXPECT_GE(switches, 1000u);
  EXPECT_LE(switches, 1001u);
  EXPECT_EQ(world.kernel().RunUntilIdle(options), StopReason::kSwitches);
  ThreadInfo info;
  EXPECT_TRUE(world.kernel().Inspect(a, &info));
  EXPECT_EQ(info.state, ThreadState::kReady);
}

TEST(KernelTest, ACrashEndsTheMachineNotTheProgram) {
  World world;
  world.Spawn([] { Kernel::Crash("pool is corrupt"); });
  world.Spawn([] {
    for (;;) L4_Yield();
  });
  EXPECT_FALSE(world.Run());
  EXPECT_EQ(world.problem(), "pool is corrupt");
  EXPECT_EQ(world.kernel().RunUntilIdle(), StopReason::kCrashed);
  World another;
  another.Spawn([] {});
  EXPECT_TRUE(another.Run()) << another.problem();
}

TEST(KernelTest, ADeadlockIsDescribed) {
  World world;
  L4_ThreadId_t a, b;
  a = world.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(b);
  });
  b = world.Spawn([&] {
    L4_Set_MsgTag(L4_Niltag);
    L4_Send(a);
  });
  ASSERT_TRUE(world.Run()) << world.problem();
  const std::string text = world.kernel().DescribeWaits();
  const std::string name_a = std::to_string(L4_ThreadNo(a)) + ".1";
  const std::string name_b = std::to_string(L4_ThreadNo(b)) + ".1";
  EXPECT_NE(text.find(name_a + " (space 1): sending to " + name_b), std::string::npos) << text;
  EXPECT_NE(text.find(name_b + " (space 1): sending to " + name_a), std::string::npos) << text;
}

TEST(KernelTest, TheObserverSeesEveryDecisionAndTheInvariantsHold) {
  World world;
  uint64_t seen = 0;
  std::string problem;
  world.kernel().SetSwitchObserver([&](const Kernel& kernel) {
    seen++;
    char text[256];
    base::TextSink sink(text, sizeof text);
    if (problem.empty() && !kernel.CheckInvariants(sink)) problem = text;
  });
  const L4_ThreadId_t client = world.SpawnInNewSpace([] {
    for (;;) ReceiveMap(L4_anythread, L4_CompleteAddressSpace);
  });
  world.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 16));
    for (int i = 0; i < 16; i++) {
      SendMap(client, Page(kRam + i * 4096, kRwx), i * 8192);
      L4_Yield();
      L4_UnmapFpage(Page(kRam + i * 4096, kW));
    }
  });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_GT(seen, 30u);
  EXPECT_EQ(problem, "");
}

TEST(KernelTest, RunningOutOfMappingMemoryMapsNothing) {
  World world({.ram_bytes = 64 * 4096, .max_mappings = 10});
  const L4_ThreadId_t t = world.Spawn([] {
    const L4_Fpage_t f = L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 16));
    EXPECT_FALSE(L4_IsNilFpage(f)) << "the message arrives all the same";
  });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(world.Layout(t, kRam, 16), "xxxxxxxxxx......");
  EXPECT_EQ(world.kernel().ledger().map_refusals, 6u);
}

// A busy little world; its end is a text of what can be seen.
std::string BusyWorld(World& world) {
  std::string log;
  const L4_ThreadId_t server = world.Spawn([&] {
    L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 20));
    L4_ThreadId_t from;
    L4_MsgTag_t tag = L4_Wait(&from);
    for (;;) {
      L4_Word_t address = 0;
      L4_StoreMR(1, &address);
      log += std::to_string(L4_ThreadNo(from)) + (L4_IsPageFault(tag) ? "f" : "c");
      const L4_Word_t page = address & ~L4_Word_t{4095};
      const L4_MapItem_t item = L4_MapItem(Page(kRam + (page & 0xff000), kRwx), page);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
      L4_LoadMRs(1, 2, item.raw);
      tag = L4_ReplyWait(from, &from);
    }
  });
  for (unsigned n = 0; n < 4; n++) {
    world.SpawnInNewSpace(
        [&world, n] {
          for (unsigned i = 0; i < 50; i++) {
            const uint64_t va = (i * 7 + n * 13) % 64 * 4096;
            (void)world.kernel().cpu().Store(base::Vaddr(va), &i, sizeof i);
            if (i % 5 == n) L4_FlushFpage(Page(va, kRwx));
            if (i % 9 == n) L4_Receive_Timeout(L4_Myself(), L4_TimePeriod(100 * n + 1));
          }
        },
        server);
  }
  EXPECT_TRUE(world.Run()) << world.problem();
  const Ledger l = world.kernel().ledger();
  log += " " + std::to_string(world.kernel().now_ns()) + " " + std::to_string(l.fiber_switches) +
         " " + std::to_string(l.pages_mapped) + " " + std::to_string(l.pages_unmapped);
  world.kernel().ForEachMapping([&](const Mapping& m) {
    log += " " + std::to_string(static_cast<uint32_t>(m.space)) + ":" +
           std::to_string(m.va.value()) + "=" + std::to_string(m.frame.value()) + "/" +
           std::to_string(m.rights) + std::to_string(m.status);
  });
  return log;
}

std::string BusyWorld() {
  World world;
  return BusyWorld(world);
}

TEST(KernelTest, TheSameWorldTwiceIsTheSame) {
  const std::string first = BusyWorld();
  EXPECT_GT(first.size(), 500u);
  EXPECT_EQ(first, BusyWorld());
}

TEST(KernelTest, AResetKernelIsAsNew) {
  const std::string expected = BusyWorld();
  World world;
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(BusyWorld(world), expected);
    world.Spawn([] { Kernel::Crash("on purpose"); });
    EXPECT_FALSE(world.Run());
    const uint8_t* ram = world.kernel().ram();
    EXPECT_TRUE(
        std::any_of(ram, ram + world.kernel().ram_bytes(), [](uint8_t b) { return b != 0; }));
    world.Reset();
    EXPECT_TRUE(
        std::all_of(ram, ram + world.kernel().ram_bytes(), [](uint8_t b) { return b == 0; }));
    EXPECT_EQ(world.kernel().now_ns(), 0u);
    EXPECT_EQ(world.kernel().mapping_count(), 0u);
    EXPECT_EQ(world.kernel().Threads().size(), 2u);
  }
}

TEST(KernelTest, KernelsOnSeveralHostThreadsDoNotDisturbEachOther) {
  const std::string expected = BusyWorld();
  std::string got[3];
  std::vector<std::thread> threads;
  for (std::string& g : got) {
    threads.emplace_back([&g] {
      for (int i = 0; i < 3; i++) g = BusyWorld();
    });
  }
  for (std::thread& t : threads) t.join();
  for (const std::string& g : got) EXPECT_EQ(g, expected);
}

TEST(KernelTest, TwoKernelsMayTakeTurnsOnOneHostThread) {
  World a, b;
  std::string log;
  const L4_ThreadId_t ta = a.Spawn([&] {
    for (;;) {
      a.kernel().WaitForHost();
      log += 'a';
    }
  });
  const L4_ThreadId_t tb = b.Spawn([&] {
    for (;;) {
      b.kernel().WaitForHost();
      log += 'b';
    }
  });
  for (int i = 0; i < 3; i++) {
    a.kernel().HostWake(ta);
    b.kernel().HostWake(tb);
    ASSERT_TRUE(a.Run());
    ASSERT_TRUE(b.Run());
  }
  EXPECT_EQ(log, "ababab");
}

// Two clients change one variable, each only while it has the server's token: under TSan (and only
// there does this test say anything) messages alone must be order enough.
TEST(KernelTest, MessagesOrderMemoryWhereTurnsDoNot) {
  Kernel kernel({.ram_bytes = 1 << 20, .switch_order = SwitchOrder::kRaces});
  kernel.RegisterEntry(Kernel::kRootEntry, [] {});
  int guarded = 0;
  const L4_ThreadId_t token = kernel.Boot({.entry = [] {
    L4_ThreadId_t holder;
    for (;;) {
      L4_Wait(&holder);
      L4_Set_MsgTag(L4_Niltag);
      L4_Call(holder);  // gives the token and waits for its return
    }
  }});
  for (int i = 0; i < 2; i++) {
    kernel.Boot({.entry = [&] {
      for (int k = 0; k < 50; k++) {
        L4_Set_MsgTag(L4_Niltag);
        L4_Call(token);
        guarded++;
        L4_Yield();
        guarded++;
        L4_Set_MsgTag(L4_Niltag);
        L4_Send(token);
      }
    }});
  }
  EXPECT_EQ(kernel.RunUntilIdle(), StopReason::kIdle);
  EXPECT_EQ(guarded, 200);
}

// Runs the most recently added thread first and never hands over: another order of the same
// program.
class LastInFirstOut final : public ScheduleStrategy {
 public:
  void Add(Runnable& t, QueueEnd) override {
    t.queued = true;
    stack_.push_back(&t);
  }
  void Remove(Runnable& t) override {
    t.queued = false;
    std::erase(stack_, &t);
  }
  Runnable* Take() override {
    if (stack_.empty()) return nullptr;
    Runnable* t = stack_.back();
    Remove(*t);
    return t;
  }
  bool Preempts(const Runnable&, const Runnable&) const override { return false; }
  bool HandsOver(const Runnable&, const Runnable&, HandOver) override { return false; }
  bool Rotates(const Runnable&) const override { return false; }

 private:
  std::vector<Runnable*> stack_;
};

TEST(KernelTest, TheStrategyDecidesTheOrder) {
  const auto order = [](bool lifo) {
    World world;
    if (lifo) world.kernel().SetStrategy(std::make_unique<LastInFirstOut>());
    std::string log;
    for (char c : {'a', 'b', 'c'}) world.Spawn([&log, c] { log += c; });
    EXPECT_TRUE(world.Run()) << world.problem();
    return log;
  };
  EXPECT_EQ(order(false), "abc");
  EXPECT_EQ(order(true), "cba");
}

TEST(KernelTest, AStackIsReusedWhenItsThreadIsGone) {
  World world;
  world.Spawn([] {
    const L4_ThreadId_t t = L4_GlobalId(500, 1);
    void* const keep = reinterpret_cast<void*>(~L4_Word_t{0});
    for (int i = 0; i < 2000; i++) {
      EXPECT_EQ(L4_ThreadControl(t, t, L4_Myself(), L4_nilthread, keep), 1u);
      L4_Word_t old;
      L4_SpaceControl(t, 0, L4_FpageLog2(0x20000, 12), L4_FpageLog2(0x10000, 12), L4_nilthread,
                      &old);
      EXPECT_EQ(L4_ThreadControl(t, t, L4_Myself(), L4_Myself(), reinterpret_cast<void*>(0x10000)),
                1u);
      L4_Start(t, 0, 0x99000);
      L4_Yield();
      EXPECT_EQ(L4_ThreadControl(t, L4_nilthread, L4_nilthread, L4_nilthread, keep), 1u);
    }
  });
  int started = 0;
  world.kernel().RegisterEntry(0x99000, [&] { started++; });
  ASSERT_TRUE(world.Run()) << world.problem();
  EXPECT_EQ(started, 2000);
  EXPECT_EQ(world.kernel().ledger().spaces_created, 2002u);
}

}  // namespace
}  // namespace fake_l4
