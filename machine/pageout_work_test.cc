// What page-outs and page-ins cost, counted: transfers, messages, unmap calls, copies, faults, and
// the sizes of clusters. The test prints the table of docs/internals/pdaemon.md and holds what must
// be so, whatever the numbers: no page is copied, one read a page-in, a message pair a fault, clean
// pages go for nothing.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "base/addr.h"
#include "base/prng.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "machine/machine.h"
#include "machine/swap_set.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "uvm/pdaemon.h"
#include "uvm/swap.h"
#include "uvm/swap_device.h"
#include "uvm/uvm.h"

namespace machine {
namespace {

using traces::OpKind;
using traces::ResolvedOp;
using Kind = SwapSpec::Kind;

constexpr uint64_t kAt = 0x10000000;
constexpr uint64_t kFrames = 1024;
constexpr uint64_t kPages = 3 * kFrames;

// What a piece of work cost.
struct Work {
  Ledger ledger;
  uvm::SwapCounters swap;
  uint64_t rounds = 0;  // of the page daemon
  uint64_t scanned = 0;

  Work operator-(const Work& before) const {
    Work cost = *this;
    const auto less = [](uint64_t* now, uint64_t then) { *now -= then; };
    less(&cost.ledger.ipc, before.ledger.ipc);
    less(&cost.ledger.unmap, before.ledger.unmap);
    less(&cost.ledger.pages_mapped, before.ledger.pages_mapped);
    less(&cost.ledger.pages_unmapped, before.ledger.pages_unmapped);
    less(&cost.ledger.page_faults, before.ledger.page_faults);
    less(&cost.ledger.copy, before.ledger.copy);
    less(&cost.ledger.zero_fill, before.ledger.zero_fill);
    less(&cost.ledger.pageout, before.ledger.pageout);
    less(&cost.ledger.pagein, before.ledger.pagein);
    less(&cost.ledger.swap_clusters, before.ledger.swap_clusters);
    less(&cost.ledger.reclaimed, before.ledger.reclaimed);
    less(&cost.ledger.frame_waits, before.ledger.frame_waits);
    less(&cost.swap.page_ins, before.swap.page_ins);
    less(&cost.swap.page_outs, before.swap.page_outs);
    for (uint32_t i = 0; i <= uvm::kSwapClusterPages; ++i)
      less(&cost.swap.clusters[i], before.swap.clusters[i]);
    less(&cost.rounds, before.rounds);
    less(&cost.scanned, before.scanned);
    return cost;
  }
  uint64_t full_clusters() const { return swap.clusters[uvm::kSwapClusterPages]; }
};

void PrintHeader(const char* device) {
  std::printf("\n%s\n%-44s %6s %6s %6s %6s %6s %6s %6s %7s %6s %6s %6s\n", device, "work", "faults",
              "msgs", "unmaps", "copies", "out", "writes", "full", "in=read", "clean", "rounds",
              "seen");
}

void PrintRow(const char* name, const Work& work) {
  const Ledger& l = work.ledger;
  std::printf(
      "%-44s %6lu %6lu %6lu %6lu %6lu %6lu %6lu %7lu %6lu %6lu %6lu\n", name,
      static_cast<unsigned long>(l.page_faults), static_cast<unsigned long>(l.ipc),
      static_cast<unsigned long>(l.unmap), static_cast<unsigned long>(l.copy),
      static_cast<unsigned long>(work.swap.page_outs), static_cast<unsigned long>(l.swap_clusters),
      static_cast<unsigned long>(work.full_clusters()),
      static_cast<unsigned long>(work.swap.page_ins), static_cast<unsigned long>(l.reclaimed),
      static_cast<unsigned long>(work.rounds), static_cast<unsigned long>(work.scanned));
}

class PageoutWorkTest : public testing::TestWithParam<Kind> {
 protected:
  PageoutWorkTest() : machine_(Scarce(GetParam())) {
    Do({.kind = OpKind::kSpace, .child = 1});
    Do({.kind = OpKind::kMmap,
        .task = 1,
        .at = kAt,
        .size = kPages * base::kPageSize,
        .prot = base::kProtReadWrite,
        .flags = traces::kFlagPrivate | traces::kFlagFixed});
  }
  ~PageoutWorkTest() override {
    EXPECT_EQ(machine_.crash().value_or(""), "");
    EXPECT_EQ(machine_.stuck().value_or(""), "");
    char text[512];
    base::TextSink out(text, sizeof text);
    EXPECT_EQ(uvm::FirstViolation(&machine_.uvm(), &out), nullptr) << text;
  }

  static Machine::Options Scarce(Kind kind) {
    Machine::Options options;
    options.ram_bytes = kFrames * base::kPageSize;
    options.swap = {{.kind = kind, .pages = 2 * kPages}};
    return options;
  }
  void Do(const ResolvedOp& op) { ASSERT_TRUE(machine_.Apply(op).ok()); }
  void Store(uint32_t task, uint64_t page) {
    Do({.kind = OpKind::kWrite,
        .task = task,
        .at = kAt + page * base::kPageSize,
        .size = base::kPageSize,
        .value = page % 251});
  }
  void Load(uint32_t task, uint64_t page) {
    const traces::Outcome seen = machine_.Apply({.kind = OpKind::kRead,
                                                 .task = task,
                                                 .at = kAt + page * base::kPageSize,
                                                 .size = base::kPageSize});
    ASSERT_TRUE(seen.ok());
    ASSERT_EQ(seen.value, page % 251);
  }
  Work Now() {
    const uvm::DaemonCounters& daemon = machine_.uvm().pagedaemon().counters();
    return {machine_.ledger(), machine_.uvm().swap().counters(), daemon.rounds, daemon.scanned};
  }
  template <typename What>
  Work CostOf(const char* name, What what) {
    const Work before = Now();
    what();
    const Work cost = Now() - before;
    PrintRow(name, cost);
    return cost;
  }
  // What holds of every piece of work in which nothing is copied on write.
  void ExpectThrifty(const Work& work) {
    EXPECT_EQ(work.ledger.copy, 0u) << "paging copies no page";
    EXPECT_EQ(work.ledger.pagein, work.swap.page_ins) << "each read is needed";
    EXPECT_LE(work.ledger.page_faults, kPages + kPages / 16) << "a fault a page, and few again";
    const uint64_t writes = work.ledger.swap_clusters;
    EXPECT_LE(writes - work.full_clusters(), work.rounds) << "one short cluster a round";
    EXPECT_GE(work.swap.page_outs, writes * (uvm::kSwapClusterPages - 2));
    const uint64_t freed = work.swap.page_outs + work.ledger.reclaimed;
    EXPECT_LE(work.ledger.unmap * 2, freed * 7)
        << "three unmap calls a page that goes, and few more";
    // A fault and its answer, and one to the worker that waits for the read; four for each transfer
    // that a driver does; a few for each round.
    const uint64_t transfers = GetParam() == Kind::kDriver ? writes + work.swap.page_ins : 0;
    EXPECT_LE(work.ledger.ipc, 3 * work.ledger.page_faults + 4 * transfers + 8 * work.rounds);
  }

  Machine machine_;
};

TEST_P(PageoutWorkTest, IsCounted) {
  PrintHeader(GetParam() == Kind::kMemory ? "memory"
              : GetParam() == Kind::kFile ? "file"
                                          : "driver");
  const Work filled = CostOf("3,072 pages stored to, 1,024 frames", [&] {
    for (uint64_t page = 0; page < kPages; ++page) Store(1, page);
  });
  ExpectThrifty(filled);
  EXPECT_EQ(filled.ledger.zero_fill, kPages);
  EXPECT_EQ(filled.ledger.page_faults, kPages);
  EXPECT_EQ(filled.swap.page_ins, 0u);
  EXPECT_GE(filled.swap.page_outs, kPages - kFrames);
  EXPECT_LE(filled.swap.page_outs, kPages);

  const Work first = CostOf("all loaded in order: the dirty ones go out", [&] {
    for (uint64_t page = 0; page < kPages; ++page) Load(1, page);
  });
  ExpectThrifty(first);
  EXPECT_GE(first.swap.page_ins, kPages - kFrames);
  EXPECT_LE(first.swap.page_outs, kFrames) << "a page that is clean is not written again";

  const Work second = CostOf("the same again: all clean", [&] {
    for (uint64_t page = 0; page < kPages; ++page) Load(1, page);
  });
  ExpectThrifty(second);
  EXPECT_EQ(second.swap.page_outs, 0u);
  EXPECT_GE(second.ledger.reclaimed, kPages - kFrames);

  const Work random = CostOf("3,072 loads at random: all clean", [&] {
    base::Prng prng(1, "pageout_work");
    for (uint64_t i = 0; i < kPages; ++i) Load(1, prng.Below(kPages));
  });
  ExpectThrifty(random);
  EXPECT_EQ(random.swap.page_outs, 0u);

  const Work stored = CostOf("all stored to in order: in, and out again", [&] {
    for (uint64_t page = 0; page < kPages; ++page) Store(1, page);
  });
  ExpectThrifty(stored);
  EXPECT_GE(stored.swap.page_ins, kPages - kFrames);
  EXPECT_LE(stored.swap.page_outs, kPages);

  Do({.kind = OpKind::kFork, .task = 1, .child = 2});
  const Work copied = CostOf("all stored to by a forked child: in, copied, out", [&] {
    for (uint64_t page = 0; page < kPages; ++page) Store(2, page);
  });
  EXPECT_EQ(copied.ledger.copy, kPages) << "each once, for its writer";
  EXPECT_EQ(copied.ledger.pagein, copied.swap.page_ins);

  const uint64_t before = machine_.uvm().swap().counters().page_ins;
  const Work ended = CostOf("both exit", [&] {
    Do({.kind = OpKind::kExit, .task = 2});
    Do({.kind = OpKind::kExit, .task = 1});
  });
  EXPECT_EQ(machine_.uvm().swap().counters().page_ins, before) << "nothing is read to be freed";
  EXPECT_EQ(ended.swap.page_outs, 0u);
  EXPECT_EQ(machine_.uvm().swap().in_use().value(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, PageoutWorkTest, testing::Values(Kind::kMemory, Kind::kDriver),
                         [](const auto& row) {
                           return std::string(row.param == Kind::kMemory ? "Memory" : "Driver");
                         });

}  // namespace
}  // namespace machine
