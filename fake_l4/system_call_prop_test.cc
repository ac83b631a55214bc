// Random system calls with random arguments by random threads: whatever they are, every call
// returns, the kernel's invariants hold after each, and the same seed gives the same run.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/misc.h>
#include <l4/schedule.h>
#include <l4/sigma0.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <string>
#include <vector>

#include "base/addr.h"
#include "base/prng.h"
#include "base/text_sink.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr L4_Word_t kRam = 0x1000000;
constexpr uint64_t kEntry = 0x8000;
constexpr int kNumbers = 12;  // thread numbers that calls name
constexpr int kCallsPerThread = 40;
constexpr int kRounds = 40;
void* const kKeepUtcb = reinterpret_cast<void*>(~L4_Word_t{0});

// A small world in which anything may be named by anybody.
class RandomCalls {
 public:
  RandomCalls(uint64_t seed, const Profile& profile)
      : prng_(seed, "system calls"),
        world_({.ram_bytes = 64 * 4096,
                .profile = profile,
                .max_mappings = 200,
                .max_threads = 30,
                .max_spaces = 12}) {
    world_.kernel().RegisterEntry(kEntry, [this] { Main(); });
  }

  // False when something is wrong; problem() tells.
  bool Run() {
    world_.kernel().RegisterEntry(Kernel::kRootEntry, [this] { Pager(); });
    for (int round = 0; round < kRounds && problem_.empty(); round++) {
      const bool new_space = prng_.Below(2) == 0;
      const auto body = [this] { Main(); };
      if (world_.kernel().Threads().size() < 20) {
        new_space ? world_.SpawnInNewSpace(body) : world_.Spawn(body);
      }
      // Whoever is stuck, halted or done begins anew, where somebody of root's space may say so.
      if (!world_.kernel().HostWake(janitor_)) janitor_ = world_.Spawn([this] { Janitor(); }, 200);
      world_.kernel().RaiseInterrupt(static_cast<unsigned>(prng_.Below(4)));
      // Threads that page each other may well go on for ever.
      if (!world_.Run({.max_switches = 400}) && world_.problem().find("still running") != 0) {
        return Fail(world_.problem());
      }
    }
    return problem_.empty();
  }
  const std::string& problem() const { return problem_; }
  // Calls made, and those of each kind that succeeded.
  struct Counts {
    uint64_t calls = 0, ipcs = 0, exchanges = 0, creations = 0, deletions = 0, spaces = 0;
    uint64_t accesses = 0, attributes = 0;
    void Add(const Counts& o) {
      calls += o.calls;
      ipcs += o.ipcs;
      exchanges += o.exchanges;
      creations += o.creations;
      deletions += o.deletions;
      spaces += o.spaces;
      accesses += o.accesses;
      attributes += o.attributes;
    }
  };
  const Counts& counts() const { return counts_; }
  uint64_t Summary() const {
    const Ledger l = world_.kernel().ledger();
    return l.fiber_switches * 1000003 + l.ipc_sends * 10007 + l.pages_mapped * 101 +
           world_.kernel().now_ns();
  }

 private:
  bool Fail(const std::string& text) {
    if (problem_.empty()) problem_ = text;
    return false;
  }

  // Root: gives pages of RAM, and lets begin anew who faults elsewhere.
  void Pager() {
    for (;;) {
      L4_ThreadId_t from;
      L4_Accept(L4_UntypedWordsAcceptor);
      const L4_MsgTag_t tag = L4_Wait(&from);
      L4_Word_t address = 0;
      L4_StoreMR(1, &address);
      if (L4_IpcFailed(tag) || !L4_IsPageFault(tag)) continue;
      if (address < kRam || address >= kRam + 64 * 4096) {
        L4_Start(from, 0, kEntry);
        continue;
      }
      L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(address, 12));
      const L4_Word_t page = address & ~L4_Word_t{4095};
      const L4_MapItem_t item = L4_MapItem(Page(page, kRwx), page);
      L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
      L4_LoadMRs(1, 2, item.raw);
      L4_Reply(from);
    }
  }
  void Janitor() {
    for (;;) {
      world_.kernel().WaitForHost();
      for (const L4_Word_t first : {L4_Word_t{1000}, L4_Word_t{65536}}) {
        for (L4_Word_t n = first; n < first + kNumbers + 20; n++) {
          const L4_ThreadId_t t = L4_GlobalId(n, 1);
          if (t != L4_MyGlobalId()) L4_Start(t, 0, kEntry);
        }
      }
    }
  }

  bool Chance(uint64_t percent) { return prng_.Below(100) < percent; }
  L4_ThreadId_t AnyId() {
    const uint64_t kind = prng_.Below(12);
    if (kind == 0) return L4_nilthread;
    if (kind == 1) return L4_anythread;
    if (kind == 2) return L4_anylocalthread;
    if (kind == 3) return L4_ThreadIdOfRaw(static_cast<L4_Word_t>(prng_.Next()));
    if (kind == 4) return L4_GlobalId(prng_.Below(4), 1);
    if (kind == 5) return world_.LocalId(Kernel::CurrentThread());
    if (kind == 6) return L4_MyGlobalId();
    if (kind == 7) return L4_GlobalId(prng_.Below(60), 1);
    return SomeId();
  }
  L4_ThreadId_t SomeId() {
    const std::vector<ThreadInfo> threads = world_.kernel().Threads();
    if (Chance(30)) {
      const L4_Word_t number = 1000 + prng_.Below(kNumbers);
      return L4_GlobalId(number, 1 + prng_.Below(2));
    }
    return threads[prng_.Below(threads.size())].id;
  }
  L4_Fpage_t AnyFpage() {
    const uint64_t kind = prng_.Below(8);
    if (kind == 0) return L4_Nilpage;
    if (kind == 1) return L4_CompleteAddressSpace;
    if (kind == 2) return L4_FpageOfRaw(static_cast<L4_Word_t>(prng_.Next()));
    const L4_Word_t base = kRam + prng_.Below(64) * 4096;
    const L4_Fpage_t f = L4_FpageLog2(base, 10 + prng_.Below(8));
    return L4_FpageAddRights(f, prng_.Below(8));
  }
  void* AnyUtcb() {
    if (Chance(40)) return kKeepUtcb;
    if (Chance(20)) return reinterpret_cast<void*>(static_cast<L4_Word_t>(prng_.Next()));
    const L4_Word_t slot = 0x20000000 + prng_.Below(4) * 1024;
    return reinterpret_cast<void*>(Chance(10) ? slot + 512 : slot);
  }
  L4_Word_t AnyTimeouts() {
    const auto one = [&]() -> L4_Time_t {
      if (Chance(3)) return L4_Never;
      return Chance(50) ? L4_ZeroTime : L4_TimePeriod(1 + prng_.Below(2000));
    };
    const L4_Time_t send = one();
    return L4_Timeouts(send, one());
  }

  void CallIpc() {
    for (int i = 0; i < 64; i++) L4_LoadMR(i, static_cast<L4_Word_t>(prng_.Next()));
    const L4_Word_t u = prng_.Below(4);
    L4_Word_t t = 0;
    if (Chance(60)) {
      const L4_Fpage_t f = AnyFpage();
      const L4_MapItem_t item = L4_MapItem(f, static_cast<L4_Word_t>(prng_.Next()));
      L4_LoadMRs(static_cast<int>(u) + 1, 2, item.raw);
      t = 2;
    }
    L4_Set_MsgTag(Chance(5) ? L4_MsgTagOfRaw(static_cast<L4_Word_t>(prng_.Next()))
                            : L4_MakeMsgTag(0, u, t));
    L4_LoadBR(0, Chance(80) ? L4_CompleteAddressSpace.raw : AnyFpage().raw & ~L4_Word_t{15});
    const L4_ThreadId_t to = Chance(30) ? L4_nilthread : AnyId();
    const L4_ThreadId_t from_spec = AnyId();
    L4_ThreadId_t from;
    const L4_Word_t timeouts = AnyTimeouts();
    counts_.ipcs += L4_IpcSucceeded(L4_Ipc(to, from_spec, timeouts, &from));
  }
  void CallExchange() {
    L4_Word_t out[5];
    L4_ThreadId_t pager;
    const L4_ThreadId_t dest = AnyId();
    L4_Word_t control = prng_.Below(0x400);
    // Mostly let threads live on.
    if (Chance(70)) control &= ~L4_Word_t{L4_EXREGS_HALT};
    const L4_Word_t ip = Chance(50) ? kEntry : prng_.Below(100);
    const L4_ThreadId_t new_pager = Chance(80) ? world_.kernel().root() : SomeId();
    counts_.exchanges +=
        !L4_IsNilThread(L4_ExchangeRegisters(dest, control, 0, ip, 0, 0, new_pager, &out[0],
                                             &out[1], &out[2], &out[3], &out[4], &pager));
  }
  void CallThreadControl() {
    const L4_ThreadId_t dest = L4_GlobalId(1000 + prng_.Below(kNumbers), 1);
    const L4_ThreadId_t me = L4_MyGlobalId(), root = world_.kernel().root();
    L4_Word_t result;
    switch (prng_.Below(5)) {
      case 0:
        counts_.deletions += L4_ThreadControl(dest, L4_nilthread, me, me, kKeepUtcb);
        return;
      case 1:
        result = L4_ThreadControl(dest, dest, me, L4_nilthread, kKeepUtcb);
        break;
      case 2:
        result = L4_ThreadControl(dest, dest, me, root, AnyUtcb());
        break;
      default: {
        const L4_ThreadId_t any = Chance(20) ? AnyId() : dest;
        const L4_ThreadId_t space = AnyId();
        const L4_ThreadId_t scheduler = Chance(50) ? me : AnyId();
        const L4_ThreadId_t pager = Chance(50) ? root : AnyId();
        result = L4_ThreadControl(any, space, scheduler, pager, AnyUtcb());
      }
    }
    counts_.creations += result;
  }
  void CallSpaceControl() {
    L4_Word_t old;
    const L4_Fpage_t kip = Chance(80) ? L4_FpageLog2(0x30000000, 12) : AnyFpage();
    const L4_Fpage_t utcb = Chance(80) ? L4_FpageLog2(0x20000000, 12) : AnyFpage();
    const L4_ThreadId_t space = AnyId();
    const L4_ThreadId_t redirector = Chance(70) ? L4_nilthread : AnyId();
    counts_.spaces += L4_SpaceControl(space, 0, kip, utcb, redirector, &old);
  }
  void CallAccess() {
    Cpu cpu = world_.kernel().cpu();
    uint8_t byte = 1;
    base::Vaddr va(kRam + prng_.Below(70) * 4096);
    if (Chance(10)) va = base::Vaddr(0x20000000 + prng_.Below(4096));
    if (Chance(10)) va = base::Vaddr(0x30000000 + prng_.Below(4096));
    if (Chance(3)) va = base::Vaddr(prng_.Next());
    if (Chance(50)) {
      counts_.accesses += cpu.Load(va, &byte, 1) == AccessStatus::kOk;
    } else {
      counts_.accesses += cpu.Store(va, &byte, 1) == AccessStatus::kOk;
    }
  }
  void CallMemoryControl() {
    const L4_Word_t attributes[4] = {0, 1, static_cast<L4_Word_t>(prng_.Below(9)), 7};
    const L4_Word_t k = prng_.Below(4);
    for (L4_Word_t i = 0; i <= k; i++) L4_LoadMR(static_cast<int>(i), AnyFpage().raw);
    counts_.attributes += L4_MemoryControl(k, attributes);
  }
  void CallUnmap() {
    const L4_Word_t k = prng_.Below(3);
    for (L4_Word_t i = 0; i <= k; i++) L4_LoadMR(static_cast<int>(i), AnyFpage().raw);
    L4_UnmapControl(k | (Chance(50) ? L4_UNMAP_FLUSH : 0));
  }
  void CallSchedule() {
    L4_Word_t old;
    const L4_Word_t keep = ~L4_Word_t{0};
    const L4_ThreadId_t dest = AnyId();
    L4_Schedule(dest, keep, keep, Chance(50) ? keep : prng_.Below(300), keep, &old);
  }

  void CallAny() {
    const uint64_t kind = prng_.Below(100);
    counts_.calls++;
    if (kind < 30) return CallIpc();
    if (kind < 45) return CallExchange();
    if (kind < 60) return CallThreadControl();
    if (kind < 67) return CallSpaceControl();
    if (kind < 80) return CallAccess();
    if (kind < 84) return CallMemoryControl();
    if (kind < 90) return CallUnmap();
    if (kind < 94) return CallSchedule();
    if (kind < 96) return L4_ThreadSwitch(AnyId());
    if (kind < 97) return (void)world_.kernel().cpu().RaiseException(6, 0);
    if (kind < 98) return L4_Set_ExceptionHandler(AnyId());
    if (kind < 99) return L4_Set_Pager(Chance(80) ? world_.kernel().root() : AnyId());
    L4_Sigma0_GetPage(L4_nilthread, AnyFpage());
  }

  void Main() {
    for (int i = 0; i < kCallsPerThread; i++) {
      CallAny();
      char text[512];
      base::TextSink sink(text, sizeof text);
      if (!world_.kernel().CheckInvariants(sink)) Fail(text);
      if (!problem_.empty()) Kernel::Crash(problem_.c_str());
    }
  }

  L4_ThreadId_t janitor_ = {0};
  base::Prng prng_;
  World world_;
  std::string problem_;
  Counts counts_;
};

class SystemCallPropTest : public ::testing::TestWithParam<const Profile*> {};

TEST_P(SystemCallPropTest, InvariantsHoldAfterEveryCall) {
  RandomCalls::Counts total;
  for (uint64_t seed = 1; seed <= 2; seed++) {
    RandomCalls calls(seed, *GetParam());
    ASSERT_TRUE(calls.Run()) << "seed " << seed << ": " << calls.problem();
    total.Add(calls.counts());
  }
  // Enough of everything gets through for the rest to mean something.
  EXPECT_GT(total.calls, 1000u);
  EXPECT_GT(total.ipcs, 5u);
  EXPECT_GT(total.exchanges, 20u);
  EXPECT_GT(total.creations, 10u);
  EXPECT_GT(total.deletions, 10u);
  EXPECT_GT(total.spaces, 10u);
  EXPECT_GT(total.accesses, 20u);
  EXPECT_GT(total.attributes, 10u);
}

TEST_P(SystemCallPropTest, TheSameSeedGivesTheSameRun) {
  for (uint64_t seed = 100; seed < 101; seed++) {
    RandomCalls first(seed, *GetParam()), second(seed, *GetParam());
    ASSERT_TRUE(first.Run()) << first.problem();
    ASSERT_TRUE(second.Run()) << second.problem();
    EXPECT_EQ(first.Summary(), second.Summary());
  }
}

INSTANTIATE_TEST_SUITE_P(Profiles, SystemCallPropTest, ::testing::ValuesIn(kAllProfiles),
                         [](const auto& info) {
                           std::string name = info.param->name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace fake_l4
