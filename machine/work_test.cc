// What the whole stack does for one access or one call, counted: messages, pages mapped, unmap
// calls, pages looked at. machine_benchmark prints the same counts beside the time.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "base/addr.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "machine/machine.h"
#include "pmap_sim/l4_pmap.h"
#include "traces/op.h"
#include "uvm/invariants.h"

namespace machine {
namespace {

using traces::OpKind;
using traces::ResolvedOp;

constexpr uint64_t kAt = 0x1000000;
constexpr uint64_t kPage = base::kPageSize;

// What one operation cost.
struct Work {
  uint64_t messages = 0;
  uint64_t switches = 0;  // of fibers: two of them are the host's, at each end of an operation
  uint64_t mapped = 0;
  uint64_t zeroed = 0;
  uint64_t copied = 0;
  uint64_t unmap_calls = 0;
  uint64_t unmap_fpages = 0;
  uint64_t lowered = 0;          // pages that lost rights
  uint64_t lowered_in_runs = 0;  // ... without being looked at one by one
};

class WorkTest : public testing::Test {
 protected:
  WorkTest() : machine_(Machine::Options{}) {
    Do({.kind = OpKind::kSpace, .child = 1});
    Do({.kind = OpKind::kMmap,
        .task = 1,
        .at = kAt,
        .size = kPages * kPage,
        .prot = base::kProtReadWrite,
        .flags = traces::kFlagPrivate | traces::kFlagFixed});
    // The first write gives the mapping its own layer.
    Store(1, 0);
  }
  ~WorkTest() override {
    EXPECT_EQ(machine_.crash().value_or(""), "");
    EXPECT_EQ(machine_.stuck().value_or(""), "");
    char text[512];
    base::TextSink out(text, sizeof text);
    EXPECT_TRUE(machine_.kernel().CheckInvariants(out)) << text;
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
    EXPECT_EQ(uvm::FirstViolation(&machine_.uvm(), &out), nullptr) << text;
  }

  void Do(const ResolvedOp& op) { EXPECT_TRUE(machine_.Apply(op).ok()); }
  void Store(uint32_t task, uint64_t page) {
    Do({.kind = OpKind::kWrite, .task = task, .at = kAt + page * kPage, .size = 1, .value = 'x'});
  }
  void StoreAll(uint32_t task, uint64_t pages) {
    Do({.kind = OpKind::kWrite, .task = task, .at = kAt, .size = pages * kPage, .value = 'x'});
  }

  // All pages, so that runs of one to three of them get frames that follow each other.
  void StoreScattered(uint32_t task) {
    for (uint64_t page = 0; page < kPages; page += 6) Store(task, page);
    for (uint64_t page = 1; page < kPages; ++page) {
      if (page % 6 == 1 || page % 6 == 2 || page % 6 == 4) Store(task, page);
    }
    for (uint64_t page = 3; page < kPages; page += 2) {
      if (page % 6 != 1) Store(task, page);
    }
  }

  Work Now() {
    const Ledger ledger = machine_.ledger();
    const pmap_sim::PmapCounters pmap = machine_.pmap().counters();
    return {.messages = ledger.ipc,
            .switches = ledger.fiber_switches,
            .mapped = ledger.pages_mapped,
            .zeroed = ledger.zero_fill,
            .copied = ledger.copy,
            .unmap_calls = ledger.unmap,
            .unmap_fpages = pmap.fpages_unmapped,
            .lowered = pmap.pages_lowered,
            .lowered_in_runs = pmap.lowered_in_runs};
  }
  Work CostOf(const ResolvedOp& op) {
    const Work a = Now();
    Do(op);
    const Work b = Now();
    return {b.messages - a.messages,
            b.switches - a.switches,
            b.mapped - a.mapped,
            b.zeroed - a.zeroed,
            b.copied - a.copied,
            b.unmap_calls - a.unmap_calls,
            b.unmap_fpages - a.unmap_fpages,
            b.lowered - a.lowered,
            b.lowered_in_runs - a.lowered_in_runs};
  }
  Work CostOfStore(uint32_t task, uint64_t page) {
    return CostOf(
        {.kind = OpKind::kWrite, .task = task, .at = kAt + page * kPage, .size = 1, .value = 'y'});
  }

  static constexpr uint64_t kPages = 2048;
  Machine machine_;
};

TEST_F(WorkTest, AZeroFillFaultIsTwoMessages) {
  const Work work = CostOfStore(1, 1);
  EXPECT_EQ(work.messages, 2u);
  EXPECT_EQ(work.switches, 4u);
  EXPECT_EQ(work.mapped, 1u);
  EXPECT_EQ(work.zeroed, 1u);
  EXPECT_EQ(work.unmap_calls, 0u);
}

// What has to change the map waits for its lock: one more message wakes the worker.
TEST_F(WorkTest, TheFaultThatMakesALayerIsHandedOver) {
  Do({.kind = OpKind::kMmap,
      .task = 1,
      .at = kAt + kPages * kPage,
      .size = kPage,
      .prot = base::kProtReadWrite,
      .flags = traces::kFlagPrivate | traces::kFlagFixed});
  Do({.kind = OpKind::kMinherit, .task = 1, .at = kAt, .size = kPage});
  EXPECT_LE(CostOfStore(1, kPages).messages, 3u);
  Do({.kind = OpKind::kFork, .task = 1, .child = 2});
  EXPECT_EQ(CostOfStore(2, 0).messages, 3u);
}

TEST_F(WorkTest, AStoreThatHitsIsNone) {
  const Work work = CostOfStore(1, 0);
  EXPECT_EQ(work.messages, 0u);
  EXPECT_EQ(work.mapped, 0u);
}

TEST_F(WorkTest, CopyingAndTakingOverAreTwoMessagesEach) {
  StoreAll(1, 8);
  Do({.kind = OpKind::kFork, .task = 1, .child = 2});
  Store(2, 0);  // gives the child its own layer, and
  Store(1, 0);  // ... the parent the old one
  const Work copy = CostOfStore(2, 3);
  EXPECT_EQ(copy.messages, 2u);
  EXPECT_EQ(copy.copied, 1u);
  EXPECT_EQ(copy.mapped, 1u);
  const Work taken = CostOfStore(1, 3);
  EXPECT_EQ(taken.messages, 2u);
  EXPECT_EQ(taken.copied + taken.zeroed + taken.mapped, 0u);
  EXPECT_EQ(taken.unmap_calls, 0u);
}

// Call and answer; the start of the child's thread; and one wake-up of the worker. One unmap call,
// whose fpages grow with the logarithm of the pages.
TEST_F(WorkTest, AForkIsOneUnmapCallAndLooksAtNoPageAlone) {
  // Makes the server threads that every second task uses.
  Do({.kind = OpKind::kFork, .task = 1, .child = 4});
  Do({.kind = OpKind::kExit, .task = 4});
  StoreAll(1, kPages);
  const Work work = CostOf({.kind = OpKind::kFork, .task = 1, .child = 2});
  EXPECT_EQ(work.messages, 4u);
  EXPECT_EQ(work.unmap_calls, 1u);
  EXPECT_LE(work.unmap_fpages, 64u);
  EXPECT_EQ(work.lowered, kPages);
  EXPECT_EQ(work.lowered_in_runs, kPages);
  EXPECT_EQ(work.copied + work.zeroed, 0u);
  // Everything is read-only by then, and a second child is none of its business.
  EXPECT_EQ(CostOf({.kind = OpKind::kFork, .task = 1, .child = 3}).lowered, 0u);
}

// Frames in no order: neighbours' frames follow each other here and there only. Still there are no
// more calls than the fpages fill.
TEST_F(WorkTest, AForkOverScatteredFramesFillsItsCalls) {
  StoreScattered(1);
  const Work work = CostOf({.kind = OpKind::kFork, .task = 1, .child = 2});
  EXPECT_GT(work.unmap_fpages, 2 * 64u);
  EXPECT_EQ(work.unmap_calls, (work.unmap_fpages + 63) / 64);
  EXPECT_EQ(work.lowered, kPages);
}

TEST_F(WorkTest, ProtectingScatteredFramesFillsItsCalls) {
  StoreScattered(1);
  const Work work = CostOf({.kind = OpKind::kMprotect,
                            .task = 1,
                            .at = kAt,
                            .size = kPages * kPage,
                            .prot = base::kProtRead});
  EXPECT_GT(work.unmap_fpages, 2 * 64u);
  EXPECT_EQ(work.unmap_calls, (work.unmap_fpages + 63) / 64);
  EXPECT_EQ(work.lowered, kPages);
}

TEST_F(WorkTest, ProtectingIsOneUnmapCallAndLooksAtNoPageAlone) {
  StoreAll(1, kPages);
  const Work work = CostOf({.kind = OpKind::kMprotect,
                            .task = 1,
                            .at = kAt,
                            .size = kPages * kPage,
                            .prot = base::kProtRead});
  EXPECT_EQ(work.messages, 3u);
  EXPECT_EQ(work.unmap_calls, 1u);
  EXPECT_LE(work.unmap_fpages, 64u);
  EXPECT_EQ(work.lowered_in_runs, kPages);
}

TEST_F(WorkTest, AnExitIsOneUnmapCall) {
  StoreAll(1, kPages);
  EXPECT_LE(CostOf({.kind = OpKind::kExit, .task = 1}).unmap_calls, 1u);
}

TEST_F(WorkTest, WiringWhatIsThereSendsNothing) {
  StoreAll(1, 64);
  const Work work = CostOf({.kind = OpKind::kMlock, .task = 1, .at = kAt, .size = 64 * kPage});
  EXPECT_EQ(work.messages, 3u);
  EXPECT_EQ(work.mapped + work.copied + work.zeroed, 0u);
  EXPECT_EQ(work.unmap_calls, 0u);
}

}  // namespace
}  // namespace machine
