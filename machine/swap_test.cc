// Memory that is scarce, as clients meet it: nothing shows but time and counters. And swapctl.

#include "uvm/swap.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "base/errors.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "uvm/pdaemon.h"
#include "vmserver/client.h"

namespace machine {
namespace {

using base::Errno;
using base::kPageSize;
using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

constexpr uint64_t kAt = 0x100000;
constexpr uint64_t kFrames = 1024;

// 1,024 frames, and two devices: the first with room for everything that a test stores, the second
// not on at first.
Machine::Options Scarce(uint64_t transfer_us = 0) {
  Machine::Options options;
  options.ram_bytes = kFrames * kPageSize;
  options.swap = {{.pages = 4096, .transfer_us = transfer_us}, {.pages = 64, .on = false}};
  return options;
}

class SwapTest : public testing::Test {
 protected:
  explicit SwapTest(const Machine::Options& options = Scarce()) : machine_(options) {
    Must({.kind = OpKind::kSpace, .child = 1});
  }
  ~SwapTest() override {
    char text[512];
    base::TextSink out(text, sizeof text);
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &out);
    EXPECT_EQ(broken, nullptr) << broken << ": " << text;
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
    EXPECT_EQ(machine_.uvm().pagedaemon().paging().value(), 0u);
  }
  Outcome Do(const ResolvedOp& op) { return machine_.Apply(op); }
  void Must(const ResolvedOp& op) {
    const Outcome seen = Do(op);
    EXPECT_TRUE(seen.ok()) << seen.code << machine_.crash().value_or("")
                           << machine_.stuck().value_or("");
  }
  void Map(uint32_t task, uint64_t pages) {
    Must({.kind = OpKind::kMmap,
          .task = task,
          .at = kAt,
          .size = pages * kPageSize,
          .prot = base::kProtReadWrite,
          .flags = traces::kFlagPrivate | traces::kFlagFixed});
  }
  static ResolvedOp Store(uint32_t task, uint64_t page, uint64_t value) {
    return {.kind = OpKind::kWrite,
            .task = task,
            .at = kAt + page * kPageSize,
            .size = kPageSize,
            .value = value};
  }
  static ResolvedOp Load(uint32_t task, uint64_t page) {
    return {.kind = OpKind::kRead, .task = task, .at = kAt + page * kPageSize, .size = kPageSize};
  }
  // Page p of the task gets bytes that no other page has nearby.
  void Fill(uint32_t task, uint64_t pages, uint64_t salt) {
    for (uint64_t page = 0; page < pages; ++page) Must(Store(task, page, (page + salt) % 251));
  }
  void ExpectFilled(uint32_t task, uint64_t pages, uint64_t salt) {
    for (uint64_t page = 0; page < pages; ++page) {
      const Outcome seen = Do(Load(task, page));
      ASSERT_TRUE(seen.ok()) << "page " << page << " " << seen.code;
      ASSERT_EQ(seen.value, (page + salt) % 251) << "page " << page;
    }
  }
  int32_t Code(const ResolvedOp& op) { return Do(op).code; }
  static int32_t Of(Errno error) { return static_cast<int32_t>(error); }
  const uvm::SwapStore& swap() { return machine_.uvm().swap(); }

  Machine machine_;
};

TEST_F(SwapTest, ThriceTheMemoryIsKept) {
  Map(1, 3 * kFrames);
  Fill(1, 3 * kFrames, 0);
  EXPECT_GT(swap().only_on_swap().value(), 2 * kFrames);
  ExpectFilled(1, 3 * kFrames, 0);
  const Ledger ledger = machine_.ledger();
  EXPECT_GT(ledger.pageout, 2 * kFrames);
  EXPECT_GT(ledger.pagein, 2 * kFrames);
  EXPECT_LT(ledger.swap_clusters * 4, ledger.pageout);
}

TEST_F(SwapTest, ExitGivesEverySlotBack) {
  Map(1, 2 * kFrames);
  Fill(1, 2 * kFrames, 0);
  EXPECT_GT(swap().in_use().value(), kFrames);
  Must({.kind = OpKind::kExit, .task = 1});
  EXPECT_EQ(swap().in_use().value(), 0u);
  EXPECT_EQ(swap().only_on_swap().value(), 0u);
}

TEST_F(SwapTest, ForkedPagesOnSwapAreCopiedWhenWrittenTo) {
  Map(1, 2 * kFrames);
  Fill(1, 2 * kFrames, 0);
  Must({.kind = OpKind::kFork, .task = 1, .child = 2});
  for (uint64_t page = 0; page < 2 * kFrames; page += 3) Must(Store(2, page, 255));
  ExpectFilled(1, 2 * kFrames, 0);
  for (uint64_t page = 0; page < 2 * kFrames; ++page) {
    EXPECT_EQ(Do(Load(2, page)).value, page % 3 == 0 ? 255 : page % 251);
  }
}

TEST_F(SwapTest, OutOfMemoryIsForWhoHasSwapFullAndNobodyElse) {
  Must({.kind = OpKind::kFork, .task = 1, .child = 2});
  Map(2, 4);
  Fill(2, 4, 7);
  Map(1, 8 * kFrames);
  uint64_t page = 0;
  Outcome seen;
  do {
    seen = Do(Store(1, page++, 1));
  } while (seen.ok() && page < 8 * kFrames);
  EXPECT_EQ(seen.code, static_cast<int32_t>(base::FaultCode::kKill));
  EXPECT_GT(page, kFrames + 2048);
  Must({.kind = OpKind::kExit, .task = 1});
  ExpectFilled(2, 4, 7);
}

TEST_F(SwapTest, SwapoffBringsEverythingIn) {
  Must({.kind = OpKind::kSwapOn, .task = 1, .device = 1, .priority = 0});
  Must({.kind = OpKind::kSwapCtl, .task = 1, .device = 0, .priority = 1});
  Map(1, kFrames);
  Fill(1, kFrames, 3);
  EXPECT_GT(swap().in_use().value(), 0u);
  Must({.kind = OpKind::kSwapOff, .task = 1, .device = 1});
  EXPECT_EQ(Do({.kind = OpKind::kSwapStats, .task = 1}).value, 1u);
  ExpectFilled(1, kFrames, 3);
}

TEST_F(SwapTest, SwapoffOfWhatDoesNotFitChangesNothing) {
  Map(1, 3 * kFrames);
  Fill(1, 3 * kFrames, 3);
  EXPECT_EQ(Code({.kind = OpKind::kSwapOff, .task = 1, .device = 0}), Of(Errno::kEnomem));
  EXPECT_EQ(Do({.kind = OpKind::kSwapStats, .task = 1}).value, 1u);
  ExpectFilled(1, 3 * kFrames, 3);
}

TEST_F(SwapTest, OnlyTheTasksOfInitSwapOnAndOff) {
  Must({.kind = OpKind::kFork, .task = 1, .child = 2});
  for (const OpKind kind : {OpKind::kSwapOn, OpKind::kSwapOff, OpKind::kSwapCtl}) {
    EXPECT_EQ(Code({.kind = kind, .task = 2, .device = 1}), Of(Errno::kEperm));
    EXPECT_EQ(Code({.kind = kind, .task = 2, .device = 99}), Of(Errno::kEperm));
  }
  EXPECT_EQ(Do({.kind = OpKind::kSwapStats, .task = 2}).value, 1u);
  EXPECT_EQ(Code({.kind = OpKind::kSwapOff, .task = 1, .device = 1}), Of(Errno::kEnxio));
  EXPECT_EQ(Code({.kind = OpKind::kSwapCtl, .task = 1, .device = 1}), Of(Errno::kEnoent));
  EXPECT_EQ(Code({.kind = OpKind::kSwapOn, .task = 1, .device = 0}), Of(Errno::kEbusy));
  EXPECT_EQ(Code({.kind = OpKind::kSwapOn, .task = 1, .device = 2}), Of(Errno::kEnxio));
}

TEST_F(SwapTest, StatisticsNameEachDevice) {
  Must({.kind = OpKind::kSwapOn, .task = 1, .device = 1, .priority = 5});
  struct Seen {
    vmserver::client::Reply first, second, third;
  } seen;
  machine_.RunProgram(
      1,
      [](void* p) {
        auto* s = static_cast<Seen*>(p);
        s->first = vmserver::client::SwapStats(0);
        s->second = vmserver::client::SwapStats(1);
        s->third = vmserver::client::SwapStats(2);
      },
      &seen);
  EXPECT_EQ(seen.first.words[0], 2u);
  EXPECT_EQ(seen.first.words[1], 0u);
  EXPECT_EQ(seen.first.words[2], 0u);
  EXPECT_EQ(seen.first.words[3], 4096u);
  EXPECT_EQ(seen.second.words[1], 1u);
  EXPECT_EQ(seen.second.words[2], 5u);
  EXPECT_EQ(seen.second.words[3], 64u);
  EXPECT_EQ(seen.third.code, 0);
  EXPECT_EQ(seen.third.words[0], 2u);
  EXPECT_EQ(seen.third.words[1], 0u);
}

TEST_F(SwapTest, StatisticsNameTheDeviceThatIsLeft) {
  Must({.kind = OpKind::kSwapOn, .task = 1, .device = 1});
  Must({.kind = OpKind::kSwapOff, .task = 1, .device = 0});
  vmserver::client::Reply only;
  machine_.RunProgram(
      1,
      [](void* p) { *static_cast<vmserver::client::Reply*>(p) = vmserver::client::SwapStats(0); },
      &only);
  EXPECT_EQ(only.words[0], 1u);
  EXPECT_EQ(only.words[1], 1u);
  EXPECT_EQ(only.words[3], 64u);
}

TEST_F(SwapTest, AWriteThatFailsLosesNothing) {
  Map(1, 2 * kFrames);
  for (uint64_t page = 0; page < 2 * kFrames; ++page) {
    if (page >= kFrames / 2)
      Must({.kind = OpKind::kInject, .site = base::FaultSite::kSwapWriteError});
    Must(Store(1, page, page % 251));
  }
  EXPECT_GT(machine_.uvm().pagedaemon().counters().write_errors, 0u);
  ExpectFilled(1, 2 * kFrames, 0);
}

TEST_F(SwapTest, AReadThatFailsIsAnErrorOfThatPageForGood) {
  Map(1, 2 * kFrames);
  Fill(1, 2 * kFrames, 0);
  const uint64_t before = machine_.uvm().counters().swap_in_errors;
  uint64_t lost = 0;
  while (lost < 2 * kFrames && machine_.uvm().counters().swap_in_errors == before) {
    Must({.kind = OpKind::kInject, .site = base::FaultSite::kSwapReadError});
    const Outcome seen = Do(Load(1, lost));
    if (seen.ok()) {
      ++lost;
      continue;
    }
    EXPECT_EQ(seen.code, static_cast<int32_t>(base::FaultCode::kBus));
    EXPECT_EQ(seen.value, kAt + lost * kPageSize);
  }
  ASSERT_LT(lost, 2 * kFrames);
  EXPECT_EQ(machine_.swap_set().pages_spoilt(), 1u);
  for (uint64_t page = 0; page < 2 * kFrames; ++page) {
    const Outcome seen = Do(Load(1, page));
    ASSERT_EQ(seen.ok(), page != lost) << page;
    if (seen.ok()) {
      ASSERT_EQ(seen.value, page % 251);
    }
  }
  EXPECT_FALSE(Do(Store(1, lost, 1)).ok());
  // Other contents in its place are not lost.
  Must({.kind = OpKind::kMunmap, .task = 1, .at = kAt + lost * kPageSize, .size = kPageSize});
  Must({.kind = OpKind::kMmap,
        .task = 1,
        .at = kAt + lost * kPageSize,
        .size = kPageSize,
        .prot = base::kProtReadWrite,
        .flags = traces::kFlagPrivate | traces::kFlagFixed});
  EXPECT_EQ(Do(Load(1, lost)).value, 0u);
}

TEST_F(SwapTest, WhatADeviceThatIsAwayRefusesToReadIsThereWhenItIsBack) {
  Map(1, 2 * kFrames);
  Fill(1, 2 * kFrames, 0);
  uint64_t refused = 0;
  for (uint64_t page = 0; page < 2 * kFrames; ++page) {
    Must({.kind = OpKind::kInject, .site = base::FaultSite::kSwapVanish});
    const Outcome seen = Do(Load(1, page));
    if (seen.ok()) continue;
    ++refused;
    EXPECT_EQ(seen.code, static_cast<int32_t>(base::FaultCode::kBus));
    EXPECT_EQ(Do(Load(1, page)).value, page % 251);
  }
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(machine_.swap_set().pages_spoilt(), 0u);
  EXPECT_EQ(swap().DebugBad().value(), 0u);
  ExpectFilled(1, 2 * kFrames, 0);
}

TEST_F(SwapTest, SwapoffOfADeviceThatIsAwayFailsAndItStaysOn) {
  Map(1, kFrames);
  Fill(1, kFrames, 3);
  ASSERT_GT(swap().only_on_swap().value(), 0u);
  Must({.kind = OpKind::kInject, .site = base::FaultSite::kSwapVanish});
  EXPECT_EQ(Code({.kind = OpKind::kSwapOff, .task = 1, .device = 0}), Of(Errno::kEio));
  EXPECT_EQ(Do({.kind = OpKind::kSwapStats, .task = 1}).value, 1u);
  Must({.kind = OpKind::kSwapOn, .task = 1, .device = 1, .priority = 5});
  ExpectFilled(1, kFrames, 3);
}

// The same where all that lies there is an object's.
TEST_F(SwapTest, SwapoffOfADeviceThatIsAwayFailsForPagesOfObjectsToo) {
  constexpr uint64_t kPages = 2 * kFrames;
  Must({.kind = OpKind::kMemfd, .task = 1, .size = kPages * kPageSize, .file_key = 5});
  Must({.kind = OpKind::kMmap,
        .task = 1,
        .at = kAt,
        .size = kPages * kPageSize,
        .prot = base::kProtReadWrite,
        .flags = traces::kFlagShared | traces::kFlagFixed,
        .file_key = 5,
        .backing = traces::Backing::kMemfd});
  Fill(1, kPages, 3);
  ASSERT_GT(swap().only_on_swap().value(), 0u);
  // What is left fits into memory, so that nothing but the device is short.
  Must({.kind = OpKind::kMemfdTruncate, .task = 1, .size = kFrames / 2 * kPageSize, .file_key = 5});
  Must({.kind = OpKind::kInject, .site = base::FaultSite::kSwapVanish});
  EXPECT_EQ(Code({.kind = OpKind::kSwapOff, .task = 1, .device = 0}), Of(Errno::kEio));
  EXPECT_EQ(Do({.kind = OpKind::kSwapStats, .task = 1}).value, 1u);
  ExpectFilled(1, kFrames / 2, 3);
  Must({.kind = OpKind::kSwapOff, .task = 1, .device = 0});
  ExpectFilled(1, kFrames / 2, 3);
}

class SlowSwapTest : public SwapTest {
 protected:
  SlowSwapTest() : SwapTest(Scarce(2000)) {}
};

TEST_F(SlowSwapTest, OnlyTimeShows) {
  Map(1, 2 * kFrames);
  Fill(1, 2 * kFrames, 0);
  ExpectFilled(1, 2 * kFrames, 0);
  EXPECT_GT(machine_.ledger().virtual_us, 2000u * kFrames);
}

// The same operations, the same world.
TEST(SwapMachineTest, RunsRepeat) {
  Ledger ledgers[2];
  for (Ledger& ledger : ledgers) {
    Machine machine(Scarce(100));
    machine.Apply({.kind = OpKind::kSpace, .child = 1});
    machine.Apply({.kind = OpKind::kMmap,
                   .task = 1,
                   .at = kAt,
                   .size = 2 * kFrames * kPageSize,
                   .prot = base::kProtReadWrite,
                   .flags = traces::kFlagPrivate | traces::kFlagFixed});
    for (uint64_t page = 0; page < 4 * kFrames; ++page) {
      machine.Apply({.kind = OpKind::kWrite,
                     .task = 1,
                     .at = kAt + page * 37 % (2 * kFrames) * kPageSize,
                     .size = 8,
                     .value = page});
    }
    ledger = machine.ledger();
  }
  EXPECT_GT(ledgers[0].pagein, 0u);
  EXPECT_EQ(ledgers[0], ledgers[1]);
}

}  // namespace
}  // namespace machine
