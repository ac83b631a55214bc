// Strategies on whole kernels: any run is recorded and replayed, every interleaving of a small
// program happens, bugs of ordering show.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/addr.h"
#include "base/hash.h"
#include "base/prng.h"
#include "fake_l4/depth_first.h"
#include "fake_l4/exploration.h"
#include "fake_l4/kernel.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;

// ---- A random program ----

// Threads of two spaces that talk to each other, map, unmap, access memory, yield, and hash what
// they see.
class RandomProgram {
 public:
  explicit RandomProgram(uint64_t seed) : seed_(seed) {}

  // Runs it under a strategy; the hash of all that happened, in the order in which it did.
  uint64_t Run(std::unique_ptr<ScheduleStrategy> strategy, uint32_t processors = 1) {
    World world({.ram_bytes = uint64_t{4} << 20, .processors = processors});
    world_ = &world;
    hash_ = 0;
    for (unsigned i = 0; i < kThreads; i++) {
      ids_[i] = world.kernel().Boot({.entry = [this, i] { Body(i); },
                                     .new_space = i == 3,
                                     .pager = L4_GlobalId(200, 1),
                                     .priority = static_cast<uint8_t>(100 + i % 2),
                                     .id = L4_GlobalId(100 + i, 1),
                                     .processor = i % processors});
    }
    const auto pager = [] {
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 14));
      PagerLoop();
    };
    world.kernel().Boot({.entry = pager, .priority = 200, .id = L4_GlobalId(200, 1)});
    if (strategy != nullptr) world.kernel().SetStrategy(std::move(strategy));
    EXPECT_TRUE(world.Run({.max_switches = 100000})) << world.problem();
    return base::Chain(hash_, world.kernel().now_ns());
  }

 private:
  static constexpr unsigned kThreads = 4;

  void See(uint64_t what) { hash_ = base::Chain(hash_, what); }

  void Body(unsigned self) {
    base::Prng prng(seed_, "program", self);
    for (int step = 0; step < 12; step++) Step(self, prng);
  }

  void Step(unsigned self, base::Prng& prng) {
    const L4_ThreadId_t partner = ids_[(self + 1 + prng.Below(kThreads - 1)) % kThreads];
    const uint64_t page = kRam + prng.Below(4) * 4096;
    See(self);
    switch (prng.Below(6)) {
      case 0:
        L4_LoadMR(0, 0);
        See(L4_IpcFailed(L4_Send_Timeout(partner, L4_TimePeriod(50))));
        break;
      case 1:
        See(L4_IpcFailed(L4_Receive_Timeout(L4_anythread, L4_TimePeriod(80))));
        break;
      case 2: {
        uint64_t word = 0;
        EXPECT_EQ(world_->kernel().cpu().Load(base::Vaddr(page), &word, 8), AccessStatus::kOk);
        See(word);
        break;
      }
      case 3: {
        const uint64_t word = prng.Next();
        EXPECT_EQ(world_->kernel().cpu().Store(base::Vaddr(page), &word, 8), AccessStatus::kOk);
        break;
      }
      case 4:
        L4_Yield();
        break;
      default:
        See(L4_UnmapFpage(Page(page, kW)).raw);
        break;
    }
  }

  const uint64_t seed_;
  World* world_ = nullptr;
  L4_ThreadId_t ids_[kThreads] = {};
  uint64_t hash_ = 0;
};

TEST(ExploringKernelTest, AnyRunIsReplayedExactly) {
  for (uint64_t seed = 0; seed < 60; seed++) {
    const ExplorationOptions options{.seed = seed};
    RandomProgram program(seed / 4);
    std::unique_ptr<ExploringStrategy> strategy;
    if (seed % 3 == 0) strategy = std::make_unique<RandomWalk>(options);
    if (seed % 3 == 1) strategy = std::make_unique<Pct>(options, 3, 300);
    if (seed % 3 == 2) strategy = std::make_unique<UniformWalk>(options, StepCounts{});
    const ExploringStrategy* recorder = strategy.get();
    // The strategy ends with the kernel; what it recorded is read by a strategy that outlives both.
    std::string text;
    struct Keep final : ScheduleStrategy {
      Keep(std::unique_ptr<ExploringStrategy> s, std::string* t) : inner(std::move(s)), text(t) {}
      ~Keep() override { *text = inner->decisions().Text(); }
      void Add(Runnable& t, QueueEnd end) override { inner->Add(t, end); }
      void Remove(Runnable& t) override { inner->Remove(t); }
      Runnable* Take() override { return inner->Take(); }
      bool Preempts(const Runnable& a, const Runnable& b) const override {
        return inner->Preempts(a, b);
      }
      bool HandsOver(const Runnable& a, const Runnable& b, HandOver why) override {
        return inner->HandsOver(a, b, why);
      }
      bool Rotates(const Runnable& a) const override { return inner->Rotates(a); }
      PointMask Points() const override { return inner->Points(); }
      bool Switches(SchedulePoint p, const Runnable& a, uint64_t now) override {
        return inner->Switches(p, a, now);
      }
      void Yields(const Runnable& a) override { inner->Yields(a); }
      std::unique_ptr<ExploringStrategy> inner;
      std::string* text;
    };
    ASSERT_NE(recorder, nullptr);
    const uint64_t hash = program.Run(std::make_unique<Keep>(std::move(strategy), &text));
    const DecisionList list = DecisionList::Parse(text).value();
    EXPECT_GT(list.total, 10u);
    std::string again;
    EXPECT_EQ(program.Run(std::make_unique<Keep>(
                  std::make_unique<ReplaySchedule>(ExplorationOptions{}, list), &again)),
              hash);
    EXPECT_EQ(again, text);
  }
}

TEST(ExploringKernelTest, TheEmptyListIsTheDefaultSchedule) {
  for (uint64_t seed = 0; seed < 10; seed++) {
    RandomProgram program(seed);
    EXPECT_EQ(program.Run(std::make_unique<ReplaySchedule>(ExplorationOptions{}, DecisionList{})),
              program.Run(nullptr));
  }
}

TEST(ExploringKernelTest, SchedulesDiffer) {
  RandomProgram program(1);
  std::set<uint64_t> hashes;
  for (uint64_t seed = 0; seed < 20; seed++) {
    hashes.insert(program.Run(std::make_unique<RandomWalk>(ExplorationOptions{.seed = seed})));
  }
  EXPECT_GT(hashes.size(), 15u);
}

// Who calls ThreadSwitch until somebody has done something does not keep him from it.
TEST(ExploringKernelTest, WhoYieldsLetsTheOthersRunUnderAnyStrategy) {
  for (uint64_t seed = 0; seed < 20; seed++) {
    World world({.ram_bytes = uint64_t{4} << 20});
    bool done = false;
    world.kernel().Boot({.entry = [&done] {
      for (int i = 0; i < 1000 && !done; i++) L4_Yield();
      EXPECT_TRUE(done);
    }});
    world.kernel().Boot({.entry = [&done] { done = true; }});
    world.kernel().SetStrategy(std::make_unique<Pct>(ExplorationOptions{.seed = seed}, 1, 10));
    EXPECT_TRUE(world.Run({.max_switches = 10000})) << world.problem();
    EXPECT_TRUE(done) << seed;
  }
}

TEST(ExploringKernelTest, SeveralProcessorsRunUnderAnyStrategyToo) {
  for (uint64_t seed = 0; seed < 20; seed++) {
    RandomProgram program(seed);
    const ExplorationOptions options{.seed = seed};
    EXPECT_EQ(program.Run(nullptr, 3), program.Run(nullptr, 3));
    EXPECT_EQ(program.Run(std::make_unique<RandomWalk>(options), 3),
              program.Run(std::make_unique<RandomWalk>(options), 3));
  }
}

// ---- All interleavings ----

// Two threads with three visible steps each. `step(thread)` is one; between two of them lies a
// system call.
std::set<std::string> AllOrders(const DepthFirstExplorer::Options& options,
                                const std::function<void(Kernel&, std::string*, char)>& body) {
  std::set<std::string> orders;
  DepthFirstExplorer explorer(options);
  Kernel kernel({.ram_bytes = uint64_t{1} << 20});
  for (;;) {
    auto strategy = explorer.Next();
    if (strategy == nullptr) break;
    kernel.Reset();
    kernel.RegisterEntry(Kernel::kRootEntry, [] {});
    EXPECT_EQ(kernel.RunUntilIdle(), StopReason::kIdle);
    std::string order;
    for (const char c : {'a', 'b'}) {
      kernel.Boot({.entry = [&, c] { body(kernel, &order, c); }});
    }
    kernel.SetStrategy(std::move(strategy));
    EXPECT_EQ(kernel.RunUntilIdle(), StopReason::kIdle);
    EXPECT_TRUE(orders.insert(order).second) << order;
  }
  EXPECT_EQ(orders.size(), explorer.schedules());
  return orders;
}

TEST(ExploringKernelTest, TwoThreadsOfThreeStepsHaveTwentyOrders) {
  const auto orders = AllOrders({}, [](Kernel&, std::string* order, char c) {
    *order += c;
    L4_SystemClock();
    *order += c;
    L4_SystemClock();
    *order += c;
  });
  EXPECT_EQ(orders.size(), 20u);
}

TEST(ExploringKernelTest, APointOfAnyKindThatTheStrategyWants) {
  const auto body = [](Kernel&, std::string* order, char c) {
    *order += c;
    Kernel::Point(SchedulePoint::kLock);
    *order += c;
  };
  EXPECT_EQ(AllOrders({.exploration = {.points = PointBit(SchedulePoint::kLock)}}, body).size(),
            6u);
  EXPECT_EQ(AllOrders({.exploration = {.points = PointBit(SchedulePoint::kIpc)}}, body),
            (std::set<std::string>{"aabb", "bbaa"}));
}

// A counter in memory that two threads increment, each by a load and a store.
TEST(ExploringKernelTest, ALostUpdateThroughMemory) {
  int lost = 0, runs = 0;
  DepthFirstExplorer explorer({.exploration = {.points = PointBit(SchedulePoint::kAccess)}});
  while (auto strategy = explorer.Next()) {
    World world;
    ASSERT_TRUE(world.Run());
    // A page in root's space, before the exploration starts.
    const L4_ThreadId_t first =
        world.Spawn([] { L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 12)); });
    ASSERT_TRUE(world.Run());
    for (int i = 0; i < 2; i++) {
      world.SpawnWith(first, [&world] {
        uint64_t word = 0;
        EXPECT_EQ(world.kernel().cpu().Load(base::Vaddr(kRam), &word, 8), AccessStatus::kOk);
        word++;
        EXPECT_EQ(world.kernel().cpu().Store(base::Vaddr(kRam), &word, 8), AccessStatus::kOk);
      });
    }
    world.kernel().SetStrategy(std::move(strategy));
    ASSERT_TRUE(world.Run());
    uint64_t word = 0;
    ASSERT_TRUE(world.kernel().DebugRead(kRootSpace, base::Vaddr(kRam), &word, 8));
    lost += word == 1;
    runs++;
  }
  // Steps of each thread: up to the load, the store, the end. Orders of load and store: six, of
  // which two lose nothing.
  EXPECT_EQ(runs, 20);
  EXPECT_GT(lost, 0);
  EXPECT_LT(lost, runs);
}

TEST(ExploringKernelTest, ADeadlockThatTheDefaultScheduleDoesNotHave) {
  // Each of two threads receives from whoever sends first, then from the other: right only if they
  // are asked in turn.
  int deadlocks = 0;
  DepthFirstExplorer explorer({});
  while (auto strategy = explorer.Next()) {
    World world;
    ASSERT_TRUE(world.Run());
    const L4_ThreadId_t a = L4_GlobalId(100, 1), b = L4_GlobalId(101, 1);
    const L4_ThreadId_t c = L4_GlobalId(102, 1);
    Kernel& kernel = world.kernel();
    kernel.Boot({.entry =
                     [b, c] {
                       L4_ThreadId_t from;
                       L4_Wait(&from);
                       if (L4_GlobalIdOf(from) == c) L4_Receive(c);  // a wrong guess
                       L4_Receive(b);
                     },
                 .id = a});
    for (const L4_ThreadId_t id : {b, c}) {
      kernel.Boot({.entry =
                       [a] {
                         L4_LoadMR(0, 0);
                         L4_Send(a);
                       },
                   .id = id});
    }
    kernel.SetStrategy(std::move(strategy));
    deadlocks += kernel.RunUntilIdle() == StopReason::kDeadlock;
  }
  EXPECT_GT(deadlocks, 0);
  EXPECT_GT(explorer.schedules(), 1u);
}

}  // namespace
}  // namespace fake_l4
