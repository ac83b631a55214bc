// Clients that send anything at all: calls with operands that mean nothing, messages of every
// length under every label, to pagers that are not theirs and to the server's other threads, in
// others' names, faults that did not happen, floods that nobody waits for, pages of their own
// flushed. The server answers or ignores, its tables stay sound, and two tasks that mind their own
// business keep their memory.

#include <gtest/gtest.h>
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/space.h>
#include <l4/thread.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "fake_l4/kernel.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "vmserver/protocol.h"
#include "vmserver/server.h"

namespace machine {
namespace {

using traces::OpKind;

constexpr uint64_t kPage = 0x10000;
constexpr uint64_t kPages = 6;
constexpr uint32_t kWords = 20;

// What a program does, drawn beforehand.
struct Attack {
  enum class Kind : uint8_t { kMessage, kFlood, kForgedFault, kFlush } kind = Kind::kMessage;
  L4_ThreadId_t to = {0};
  L4_ThreadId_t as = {0};  // nil: in its own name
  uint32_t label = 0;
  uint32_t words = 0;
  bool item = false;
  L4_Word_t mr[kWords] = {};
};

void Load(const Attack& a) {
  const auto words = static_cast<int>(a.words);
  for (int i = 0; i < words; ++i) L4_LoadMR(i + 1, a.mr[i]);
  L4_MsgTag_t tag = L4_MakeMsgTag(a.label, a.words, a.item ? 2 : 0);
  if (a.item) {
    const L4_MapItem_t item = L4_MapItem(L4_FpageAddRights(L4_FpageLog2(kPage, 12), 7), a.mr[0]);
    L4_LoadMRs(words + 1, 2, item.raw);
  }
  if (!L4_IsNilThread(a.as)) {
    L4_Set_Propagation(&tag);
    L4_Set_VirtualSender(a.as);
  }
  L4_Set_MsgTag(tag);
}

void Run(const Attack& a) {
  const L4_ThreadId_t to = L4_IsNilThread(a.to) ? L4_Pager() : a.to;
  switch (a.kind) {
    case Attack::Kind::kMessage:
      Load(a);
      L4_Call_Timeouts(to, L4_TimePeriod(1000), L4_TimePeriod(1000));
      return;
    case Attack::Kind::kFlood:
      for (int i = 0; i < 8; ++i) {
        Load(a);
        L4_Send_Timeout(to, i % 2 == 0 ? L4_ZeroTime : L4_TimePeriod(100));
      }
      return;
    case Attack::Kind::kForgedFault:
      L4_Set_MsgTag(L4_MakeMsgTag(L4_LABEL_PAGEFAULT | (a.label & 7), 2, 0));
      L4_LoadMR(1, a.mr[0]);
      L4_LoadMR(2, a.mr[1]);
      L4_Call_Timeouts(to, L4_TimePeriod(1000), L4_TimePeriod(1000));
      return;
    case Attack::Kind::kFlush:
      L4_FlushFpage(L4_FpageAddRights(L4_FpageLog2(kPage + (a.mr[0] & 0x7000), 12), a.label & 7));
      return;
  }
}

// Attackers 1 and 2 may say what is swapped to.
Machine::Options WithSwap() {
  Machine::Options options;
  options.swap = {{.pages = 64}, {.pages = 32, .on = false}};
  return options;
}

class Siege {
 public:
  explicit Siege(uint64_t seed) : prng_(seed, "hostile_prop_test"), machine_(WithSwap()) {
    for (uint32_t task = 1; task <= 4; ++task) {
      const bool mach = task % 2 == 0;
      EXPECT_TRUE(
          machine_.Apply({.kind = mach ? OpKind::kTask : OpKind::kSpace, .child = task}).ok());
      for (uint64_t page = 0; page < kPages; ++page) EXPECT_TRUE(Reserve(task, page, mach)) << task;
      for (uint64_t page = 0; page < kPages; ++page) EXPECT_TRUE(Write(task, page, 'v'));
    }
  }

  void Step() {
    const uint32_t attacker = 1 + static_cast<uint32_t>(prng_.Below(2));
    attack_ = Draw(attacker);
    machine_.RunProgram(
        attacker, [](void* attack) { Run(*static_cast<Attack*>(attack)); }, &attack_);
    ASSERT_EQ(machine_.crash(), std::nullopt) << What();
  }
  void Check() {
    char text[512];
    base::TextSink out(text, sizeof text);
    ASSERT_TRUE(machine_.kernel().CheckInvariants(out)) << text << What();
    ASSERT_TRUE(machine_.pmap().CheckInvariants(out)) << text << What();
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &out);
    ASSERT_EQ(broken, nullptr) << broken << ": " << text << What();
    for (uint32_t task : {3u, 4u}) {
      const uint64_t page = prng_.Below(kPages);
      const traces::Outcome read = machine_.Apply(
          {.kind = OpKind::kRead, .task = task, .at = kPage + page * 0x1000, .size = 1});
      ASSERT_TRUE(read.ok()) << What();
      ASSERT_EQ(read.value, uint64_t{'v'}) << What();
      ASSERT_TRUE(Write(task, page, 'v')) << What();
    }
  }
  uint64_t calls() { return machine_.server().counters().calls; }
  uint64_t rejected() { return machine_.server().counters().rejected; }

 private:
  bool Reserve(uint32_t task, uint64_t page, bool mach) {
    if (mach) {
      return machine_
          .Apply({.kind = OpKind::kVmAllocate,
                  .task = task,
                  .at = kPage + page * 0x1000,
                  .size = 0x1000,
                  .flags = traces::kFlagFixed})
          .ok();
    }
    return machine_
        .Apply({.kind = OpKind::kMmap,
                .task = task,
                .at = kPage + page * 0x1000,
                .size = 0x1000,
                .prot = base::kProtReadWrite,
                .flags = traces::kFlagPrivate | traces::kFlagFixed})
        .ok();
  }
  bool Write(uint32_t task, uint64_t page, uint64_t value) {
    return machine_
        .Apply({.kind = OpKind::kWrite,
                .task = task,
                .at = kPage + page * 0x1000,
                .size = 1,
                .value = value})
        .ok();
  }

  L4_Word_t AnyWord() {
    switch (prng_.Below(12)) {
      case 0:
      case 1:
        return prng_.Below(9);
      case 2:
      case 3:
        return kPage + prng_.Below(16) * 0x1000;
      case 4:
        return (1 + prng_.Below(8)) * 0x1000;
      case 5:
        return kPage + prng_.Below(0x10000);
      case 6:
        return L4_Word_t{1} << prng_.Below(64);
      case 7:
        return ~L4_Word_t{0} - prng_.Below(3) * 0x1000;
      case 8:
        return prng_.Chance(1, 2) ? vmserver::kHostName : vmserver::kHostPrivName;
      case 9:
        return machine_.task_of(1 + static_cast<uint32_t>(prng_.Below(4)));
      case 10:
        return L4_Word_t{0x1000} | 2 | (prng_.Below(64) << 24) | (prng_.Chance(1, 2) ? 0x10 : 0);
      default:
        return prng_.Next();
    }
  }
  // Labels of calls, the length that most of them have, and numbers near them. Not those that bring
  // a task to life or end one: the machine would not know of it.
  void DrawLabel(Attack* a) {
    struct Row {
      uint32_t label, words;
    };
    constexpr Row kRows[] = {{vmserver::kBsdMmap, 6},          {vmserver::kBsdMmap, 6},
                             {vmserver::kBsdMmap, 6},          {vmserver::kBsdMunmap, 2},
                             {vmserver::kBsdMprotect, 3},      {vmserver::kBsdMinherit, 3},
                             {vmserver::kBsdMadvise, 3},       {vmserver::kBsdMremap, 5},
                             {vmserver::kBsdMremap, 5},        {vmserver::kBsdBrk, 1},
                             {vmserver::kBsdExec, 0},          {vmserver::kBsdExecBrk, 1},
                             {vmserver::kBsdLinuxDontneed, 2}, {vmserver::kBsdMlock, 2},
                             {vmserver::kBsdMunlock, 2},       {vmserver::kBsdMlockall, 1},
                             {vmserver::kBsdMunlockall, 0},    {vmserver::kBsdMincore, 2},
                             {vmserver::kBsdMsync, 3},         {vmserver::kMachVmAllocate, 4},
                             {vmserver::kMachVmDeallocate, 3}, {vmserver::kMachVmProtect, 5},
                             {vmserver::kMachVmInherit, 4},    {vmserver::kMachVmRead, 3},
                             {vmserver::kMachVmWrite, 4},      {vmserver::kMachVmCopy, 4},
                             {vmserver::kMachVmRegion, 2},     {vmserver::kMachVmMap, 12},
                             {vmserver::kMachVmMap, 12},       {vmserver::kMachVmWire, 5},
                             {vmserver::kMachVmWireAll, 3},    {vmserver::kMachVmMsync, 4},
                             {vmserver::kSpaceCreate, 3},      {vmserver::kBsdSwapOn, 2},
                             {vmserver::kBsdSwapOff, 1},       {vmserver::kBsdSwapCtl, 2},
                             {vmserver::kBsdSwapStats, 1},     {vmserver::kMemoryControl, 3}};
    const Row& row = kRows[prng_.Below(sizeof kRows / sizeof kRows[0])];
    a->label = row.label;
    a->words = row.words;
    if (prng_.Chance(1, 8)) a->words = static_cast<uint32_t>(prng_.Below(kWords));
    if (prng_.Chance(1, 16)) a->label = static_cast<uint32_t>(prng_.Below(5000));
    const bool lives = a->label == vmserver::kBsdFork || a->label == vmserver::kBsdExit ||
                       a->label == vmserver::kMachTaskCreate ||
                       a->label == vmserver::kMachTaskTerminate;
    if (lives) a->label = 1;
  }
  L4_ThreadId_t AnyServerThread() {
    const vmserver::Threads& threads = machine_.server().threads();
    return threads.DebugAt(static_cast<uint32_t>(prng_.Below(threads.count())))->thread;
  }
  Attack Draw(uint32_t attacker) {
    Attack a;
    a.kind = static_cast<Attack::Kind>(prng_.Chance(3, 4) ? 0 : prng_.Below(4));
    DrawLabel(&a);
    for (L4_Word_t& word : a.mr) word = AnyWord();
    // Most Mach calls name the caller itself.
    if (a.label >= 2000 && prng_.Chance(3, 4)) a.mr[0] = 0;
    if (prng_.Chance(1, 20)) a.to = AnyServerThread();
    if (prng_.Chance(1, 20)) {
      a.as = prng_.Chance(1, 2) ? machine_.thread_of(attacker) : AnyServerThread();
    }
    a.item = prng_.Chance(1, 30);
    return a;
  }
  std::string What() const {
    std::string text = "; the last attack: label " + std::to_string(attack_.label) + " kind " +
                       std::to_string(static_cast<int>(attack_.kind));
    for (uint32_t i = 0; i < attack_.words; ++i) text += " " + std::to_string(attack_.mr[i]);
    return text;
  }

  base::Prng prng_;
  Machine machine_;
  Attack attack_;
};

TEST(HostilePropTest, NobodyElseNotices) {
  constexpr uint64_t kSeeds = 40, kSteps = 250;
  uint64_t calls = 0;
  uint64_t rejected = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Siege siege(seed);
    for (uint64_t step = 0; step < kSteps; ++step) {
      siege.Step();
      if (step % 8 == 0) siege.Check();
      ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << " step " << step;
    }
    siege.Check();
    calls += siege.calls();
    rejected += siege.rejected();
  }
  EXPECT_GT(calls, 4000u);
  EXPECT_GT(rejected, 400u);
}

}  // namespace
}  // namespace machine
