// The in-line IPC and the general one end alike: the same programs run on a kernel without and with
// an observer of switches, which sends everything the general way.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/addr.h"
#include "base/prng.h"
#include "fake_l4/kernel.h"
#include "fake_l4/priority_round_robin.h"
#include "fake_l4/schedule_strategy.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
constexpr int kThreads = 6, kSteps = 150;

L4_Fpage_t PageOf(uint64_t va) {
  return L4_FpageAddRights(L4_FpageLog2(static_cast<L4_Word_t>(va), 12), kRwx);
}

L4_MsgTag_t WaitForEver(L4_ThreadId_t whom, L4_ThreadId_t* from) {
  return L4_Ipc(L4_nilthread, whom, L4_Timeouts(L4_Never, L4_Never), from);
}

void Pager() {
  L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam, 22));
  L4_ThreadId_t from;
  L4_Wait(&from);
  for (;;) {
    L4_Word_t address;
    L4_StoreMR(1, &address);
    const L4_MapItem_t item = L4_MapItem(PageOf(address), address & ~L4_Word_t{4095});
    L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
    L4_LoadMRs(1, 2, item.raw);
    L4_ReplyWait(from, &from);
  }
}

// One kernel with threads that talk to each other at random, some in spaces of their own, and what
// they saw.
struct Talk {
  explicit Talk(uint64_t seed) : prng(seed, "talk") {
    kernel.RegisterEntry(Kernel::kRootEntry, [] {});
    pager = kernel.Boot({.entry = Pager, .priority = 120});
    for (int i = 0; i < kThreads; i++) {
      const auto priority = static_cast<uint8_t>(100 + 10 * prng.Below(3));
      ids[i] = kernel.Boot({.entry = [this, i] { Body(i); },
                            .new_space = i % 2 == 0,
                            .pager = pager,
                            .priority = priority});
    }
  }

  // All draws come from one stream: two runs agree only as long as all that happened agrees.
  void Body(int i) {
    L4_Accept(L4_MapGrantItems(L4_CompleteAddressSpace));
    L4_ThreadId_t from = L4_nilthread;
    for (int step = 0; step < kSteps; step++) {
      const L4_ThreadId_t to =
          prng.Chance(1, 3) && !L4_IsNilThread(from) ? from : ids[prng.Below(kThreads)];
      const uint64_t what = prng.Below(9);
      const L4_Time_t soon = L4_TimePeriod(1 + prng.Below(50));
      Load(i, what == 7);
      L4_MsgTag_t tag = L4_Niltag;
      if (what == 0) tag = L4_Call_Timeouts(to, soon, soon);
      if (what == 1) tag = L4_Send_Timeout(to, prng.Chance(1, 2) ? soon : L4_ZeroTime);
      if (what == 2) tag = L4_Wait_Timeout(soon, &from);
      if (what == 3 || what == 4 || what == 7) tag = L4_ReplyWait(to, &from);
      if (what == 5) tag = L4_Call_Timeouts(to, soon, L4_Never);
      if (what == 6) Touch();
      if (what == 8 && prng.Chance(1, 16))
        tag = WaitForEver(prng.Chance(1, 2) ? L4_anythread : L4_anylocalthread, &from);
      Note(i, what, tag, from);
    }
  }

  // A message of up to three words, sometimes with a page.
  void Load(int i, bool page) {
    const auto words = static_cast<unsigned>(prng.Below(4));
    for (unsigned w = 1; w <= words; w++) {
      L4_LoadMR(static_cast<int>(w), static_cast<L4_Word_t>(i) << 8 | w);
    }
    // Now and then one word more than the item has.
    const unsigned typed = !page ? 0 : prng.Chance(1, 4) ? 3 : 2;
    L4_Set_MsgTag(L4_MakeMsgTag(static_cast<L4_Word_t>(i), words, typed));
    if (!page) return;
    const uint64_t va = kRam + prng.Below(16) * 4096;
    const L4_MapItem_t item = L4_MapItem(PageOf(va), va + 64 * 4096);
    L4_LoadMRs(static_cast<int>(words) + 1, 2, item.raw);
  }

  void Touch() {
    const char c = 'x';
    const base::Vaddr va(kRam + prng.Below(80) * 4096 + 8);
    seen.push_back(static_cast<uint64_t>(kernel.cpu().Store(va, &c, 1)));
    if (prng.Chance(1, 4)) L4_UnmapFpage(PageOf(va.value()));
  }

  void Note(int i, uint64_t what, L4_MsgTag_t tag, L4_ThreadId_t from) {
    L4_Word_t word;
    L4_StoreMR(1, &word);
    const uint64_t error = L4_IpcFailed(tag) ? L4_ErrorCode() : 0;
    for (const uint64_t x : {uint64_t{tag.raw}, uint64_t{from.raw}, uint64_t{word}, error,
                             static_cast<uint64_t>(i) << 8 | what, kernel.now_ns()}) {
      seen.push_back(x);
    }
  }

  Kernel kernel{{.ram_bytes = uint64_t{4} << 20, .scribble_registers = false}};
  base::Prng prng;
  L4_ThreadId_t pager;
  L4_ThreadId_t ids[kThreads];
  std::vector<uint64_t> seen;
};

class FastPathTest : public testing::TestWithParam<uint64_t> {};

TEST_P(FastPathTest, EndsAsTheGeneralWayDoes) {
  Talk fast(GetParam()), general(GetParam());
  uint64_t switches = 0;
  general.kernel.SetSwitchObserver([&switches](const Kernel&) { switches++; });
  // A page that was mapped over in the pager's own space may be lost to it: then a fault repeats
  // for ever.
  const RunOptions options{.max_switches = 20000};
  EXPECT_EQ(fast.kernel.RunUntilIdle(options), general.kernel.RunUntilIdle(options));
  EXPECT_GT(switches, 100u);
  EXPECT_EQ(fast.seen, general.seen);
  EXPECT_EQ(fast.kernel.now_ns(), general.kernel.now_ns());
  const Ledger a = fast.kernel.ledger(), b = general.kernel.ledger();
  EXPECT_GT(a.ipc_sends, 50u);
  EXPECT_EQ(std::memcmp(&a, &b, sizeof a), 0);
}

// A strategy that asks for no points, of another class than the default one, which never lets the
// processor go straight to a partner.
class Queueing final : public ScheduleStrategy {
 public:
  explicit Queueing(uint64_t* asked) : asked_(asked) {}
  void Add(Runnable& t, QueueEnd end) override { inner_.Add(t, end); }
  void Remove(Runnable& t) override { inner_.Remove(t); }
  Runnable* Take() override { return inner_.Take(); }
  bool Preempts(const Runnable& a, const Runnable& b) const override {
    return inner_.Preempts(a, b);
  }
  bool HandsOver(const Runnable&, const Runnable&, HandOver) override {
    ++*asked_;
    return false;
  }
  bool Rotates(const Runnable& a) const override { return inner_.Rotates(a); }

 private:
  PriorityRoundRobin inner_;
  uint64_t* const asked_;
};

TEST_P(FastPathTest, AnotherStrategyIsAskedWhoRuns) {
  uint64_t asked[2] = {};
  Talk plain(GetParam()), observed(GetParam());
  plain.kernel.SetStrategy(std::make_unique<Queueing>(&asked[0]));
  observed.kernel.SetStrategy(std::make_unique<Queueing>(&asked[1]));
  observed.kernel.SetSwitchObserver([](const Kernel&) {});
  const RunOptions options{.max_switches = 20000};
  EXPECT_EQ(plain.kernel.RunUntilIdle(options), observed.kernel.RunUntilIdle(options));
  EXPECT_GT(asked[0], 10u);
  EXPECT_EQ(asked[0], asked[1]);
  EXPECT_EQ(plain.seen, observed.seen);
}

INSTANTIATE_TEST_SUITE_P(Seeds, FastPathTest, testing::Range<uint64_t>(1, 61));

// Closed waits for a thread that goes end, whoever else has waited for it before.
TEST(FastPathTest, AllWhoWaitForAThreadThatGoesAreTold) {
  Kernel kernel({.scribble_registers = false});
  const L4_ThreadId_t gone = L4_GlobalId(5000, 1);
  uint64_t told = 0, woken = 0;
  const auto wait = [&] {
    if (L4_IpcFailed(L4_Receive_Timeout(gone, L4_TimePeriod(10)))) woken++;
    if (L4_IpcFailed(L4_Receive(gone)) && L4_ErrorCode() == (L4_IPC_NO_PARTNER << 1 | 1)) told++;
  };
  kernel.RegisterEntry(Kernel::kRootEntry, [&] {
    void* const keep = reinterpret_cast<void*>(~L4_Word_t{0});
    (void)L4_ThreadControl(gone, L4_Myself(), L4_Myself(), L4_nilthread, keep);
    (void)L4_Receive_Timeout(L4_anythread, L4_TimePeriod(1000));
    (void)L4_ThreadControl(gone, L4_nilthread, L4_nilthread, L4_nilthread, keep);
  });
  for (int i = 0; i < 3; i++) kernel.Boot({.entry = wait, .priority = 50});
  kernel.RunUntilIdle();
  EXPECT_EQ(woken, 3u);
  EXPECT_EQ(told, 3u);
}

}  // namespace
}  // namespace fake_l4
