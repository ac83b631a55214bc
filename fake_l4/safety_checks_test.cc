// Random maps, grants, unmaps and accesses of a few spaces, with everything checked after each.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/sigma0.h>
#include <l4/space.h>

#include <array>
#include <string>
#include <vector>

#include "base/prng.h"
#include "fake_l4/fault_injection.h"
#include "fake_l4/testing/world.h"
#include "gtest/gtest.h"

namespace fake_l4 {
namespace {

constexpr uint64_t kRam = 0x1000000;
constexpr uint64_t kWindow = 0x4000000;
constexpr uint64_t kPages = 16;
constexpr int kSpaces = 4;

// What the thread of a space is to do next.
struct Step {
  enum Kind { kSend, kReceive, kUnmap, kTouch } kind = kUnmap;
  L4_ThreadId_t partner = {0};
  L4_Word_t item[2] = {};
  L4_Fpage_t fpage = {0};
  L4_Word_t control = 0;
  uint64_t va = 0;
  bool store = false;
};

class SafetyProp : public ::testing::TestWithParam<uint64_t> {
 protected:
  SafetyProp()
      : world_({.ram_bytes = uint64_t{4} << 20,
                .processors = 1 + static_cast<uint32_t>(GetParam()) % 3,
                .faults = SomeFaults()}),
        prng_(GetParam(), "safety") {}

  // Refused nodes leave holes; unmaps reach other processors late.
  static FaultPlan SomeFaults() {
    FaultPlan plan;
    plan.seed = GetParam();
    plan.one_in_of(FaultSite::kMappingNode) = 20;
    plan.one_in_of(FaultSite::kUnmapDelayed) = 10;
    plan.one_in_of(FaultSite::kUnmapReordered) = 10;
    return plan;
  }

  void Perform(const Step& step) {
    switch (step.kind) {
      case Step::kSend:
        L4_LoadMRs(1, 2, step.item);
        L4_Set_MsgTag(L4_MakeMsgTag(0, 0, 2));
        L4_Send(step.partner);
        break;
      case Step::kReceive:
        L4_Accept(L4_MapGrantItems(step.fpage));
        L4_Receive(step.partner);
        break;
      case Step::kUnmap:
        L4_LoadMR(0, step.fpage.raw);
        L4_UnmapControl(step.control);
        break;
      case Step::kTouch: {
        uint8_t byte = 0;
        Cpu cpu = world_.kernel().cpu();
        (void)(step.store ? cpu.Store(base::Vaddr(step.va), &byte, 1)
                          : cpu.Load(base::Vaddr(step.va), &byte, 1));
        break;
      }
    }
  }

  void Start() {
    for (int i = 0; i < kSpaces; i++) {
      const auto body = [this, i] {
        // Four times, for the pages that are refused.
        for (uint64_t n = 0; i == 0 && n < 4 * 2 * kPages; n++) {
          L4_Sigma0_GetPage(L4_nilthread, L4_FpageLog2(kRam + n / 4 * 4096, 12));
        }
        for (;;) {
          world_.kernel().WaitForHost();
          Perform(steps_[static_cast<size_t>(i)]);
        }
      };
      threads_.push_back(world_.kernel().Boot(
          {.entry = body,
           .new_space = i != 0,
           .processor = static_cast<uint32_t>(i) % (1 + static_cast<uint32_t>(GetParam()) % 3)}));
    }
    ASSERT_TRUE(world_.Run()) << world_.problem();
  }

  L4_Fpage_t AnyFpage(int space) {
    const uint64_t base = space == 0 ? kRam : kWindow;
    const unsigned log2 = 12 + static_cast<unsigned>(prng_.Below(4));
    const uint64_t va = base + prng_.Below(kPages) * 4096;
    const unsigned rights = static_cast<unsigned>(prng_.Below(8));
    return L4_FpageAddRights(L4_FpageLog2(static_cast<L4_Word_t>(va >> log2 << log2), log2),
                             prng_.Chance(1, 2) ? L4_FullyAccessible : rights);
  }

  void Send(int from, int to) {
    Step& send = steps_[static_cast<size_t>(from)];
    Step& receive = steps_[static_cast<size_t>(to)];
    send.kind = Step::kSend;
    send.partner = threads_[static_cast<size_t>(to)];
    send.item[0] =
        (kWindow + prng_.Below(kPages) * 4096) | (from != 0 && prng_.Chance(1, 4) ? 0xa : 0x8);
    send.item[1] = AnyFpage(from).raw;
    receive.kind = Step::kReceive;
    receive.partner = threads_[static_cast<size_t>(from)];
    receive.fpage = L4_CompleteAddressSpace;
  }

  World world_;
  base::Prng prng_;
  std::vector<L4_ThreadId_t> threads_;
  std::array<Step, kSpaces> steps_;
};

TEST_P(SafetyProp, RandomMapsGrantsAndUnmapsKeepEveryRule) {
  Start();
  for (int op = 0; op < 1500; op++) {
    // Root, which keeps its pages, starts the chains.
    const int actor = prng_.Chance(1, 4) ? 0 : static_cast<int>(prng_.Below(kSpaces));
    Step& step = steps_[static_cast<size_t>(actor)];
    const uint64_t draw = prng_.Below(10);
    if (draw < 6) {
      const int to = 1 + static_cast<int>(prng_.Below(kSpaces - 1));
      if (to == actor) continue;
      Send(actor, to);
      world_.kernel().HostWake(threads_[static_cast<size_t>(to)]);
    } else if (draw < 9) {
      step.kind = Step::kUnmap;
      step.fpage = AnyFpage(actor);
      if (actor == 0) step.fpage = L4_FpageLog2(L4_Address(step.fpage), 12);
      if (actor == 0) L4_Set_Rights(&step.fpage, static_cast<L4_Word_t>(prng_.Below(8)));
      step.control = actor != 0 && prng_.Chance(1, 3) ? L4_UNMAP_FLUSH : 0;
    } else {
      step.kind = Step::kTouch;
      step.va = L4_Address(AnyFpage(actor));
      const Mapping m = world_.kernel().Inspect(
          SpaceId{world_.SpaceOf(threads_[static_cast<size_t>(actor)])}, base::Vaddr(step.va));
      if ((m.rights & kR) == 0) continue;
      step.store = (m.rights & kW) != 0;
    }
    world_.kernel().HostWake(threads_[static_cast<size_t>(actor)]);
    ASSERT_TRUE(world_.Run()) << "operation " << op << ": " << world_.problem();
  }
  EXPECT_GT(world_.kernel().ledger().pages_mapped, 500u);
  EXPECT_GT(world_.kernel().ledger().pages_unmapped, 300u);
  EXPECT_GT(world_.kernel().ledger().faults_injected, 10u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SafetyProp, ::testing::Range(uint64_t{1}, uint64_t{9}));

}  // namespace
}  // namespace fake_l4
