// Several threads of one task: what they share, who comes and goes, and what becomes of a space
// when its threads are in the middle of something.
//
// The tests of threads that run at the same time try some hundred schedules each. Bugs put in by
// hand that they catch: proptests/mutants/vmserver.json, the rows about client_threads.cc.

#include <gtest/gtest.h>
#include <l4/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/errors.h"
#include "base/fault_site.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "fake_l4/exploration.h"
#include "fake_l4/kernel.h"
#include "fake_l4/schedule_strategy.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"

namespace machine {
namespace {

using base::Errno;
using base::kPageSize;
using traces::OpKind;
using traces::ResolvedOp;

constexpr uint64_t kAt = 0x10000;

class ClientThreadsTest : public testing::Test {
 protected:
  ClientThreadsTest() { Boot(1); }

  void Boot(uint32_t processors) {
    machine_ = std::make_unique<Machine>(Machine::Options{.ram_bytes = uint64_t{4} << 20,
                                                          .processors = processors,
                                                          .arena_bytes = uint64_t{64} << 20});
    at_boot_ = ClientsInTheKernel();
    task_ = 0;
    NextTask();
  }
  void NextTask() {
    Must({.kind = OpKind::kSpace, .child = ++task_});
    Map(kAt, 4);
  }
  traces::Outcome Do(const ResolvedOp& op) { return machine_->Apply(op); }
  traces::Outcome Must(const ResolvedOp& op) {
    const traces::Outcome outcome = machine_->Apply(op);
    EXPECT_TRUE(outcome.ok()) << "kind " << static_cast<int>(op.kind) << " code " << outcome.code
                              << machine_->crash().value_or("") << machine_->stuck().value_or("");
    return outcome;
  }
  int32_t Code(const ResolvedOp& op) {
    const traces::Outcome outcome = machine_->Apply(op);
    return outcome.family == traces::Outcome::Family::kErrno ? outcome.code : -1;
  }
  static int32_t Of(Errno error) { return static_cast<int32_t>(error); }
  void Map(uint64_t at, uint64_t pages) {
    Must({.kind = OpKind::kMmap,
          .task = task_,
          .at = at,
          .size = pages * kPageSize,
          .prot = base::kProtReadWrite,
          .flags = traces::kFlagPrivate | traces::kFlagFixed});
  }
  void Create(uint32_t by, uint64_t number) {
    EXPECT_EQ(Must({.kind = OpKind::kThreadCreate, .task = task_, .thread = by}).value, number);
  }
  ResolvedOp End(uint32_t by, uint64_t number) {
    return {.kind = OpKind::kThreadEnd, .task = task_, .thread = by, .value = number};
  }
  ResolvedOp Store(uint32_t thread, uint64_t at, uint64_t value) {
    return {.kind = OpKind::kWrite,
            .task = task_,
            .thread = thread,
            .at = at,
            .size = 8,
            .value = value};
  }
  ResolvedOp Load(uint32_t thread, uint64_t at) {
    return {.kind = OpKind::kRead, .task = task_, .thread = thread, .at = at, .size = 8};
  }
  // Threads of clients, init's included.
  size_t ClientsInTheKernel() {
    return machine_->kernel().Threads().size() - machine_->server().threads().count();
  }
  std::string Broken() {
    if (machine_->crash()) return *machine_->crash();
    if (machine_->stuck()) return *machine_->stuck();
    char text[512];
    base::TextSink out(text, sizeof text);
    if (!machine_->kernel().CheckInvariants(out)) return text;
    if (!machine_->pmap().CheckInvariants(out)) return text;
    if (uvm::FirstViolation(&machine_->uvm(), &out) != nullptr) return text;
    return "";
  }

  // What threads do at the same time, on a new machine for each of many schedules. `setup` is done
  // before, `check` looks at what came of it.
  using Check = std::function<void(const std::vector<Performed>&)>;
  void Explore(const std::function<void()>& setup, const std::vector<Part>& parts,
               const Check& check) {
    constexpr uint64_t kSchedules = 120;
    for (uint64_t seed = 0; seed < kSchedules && !HasFailure(); ++seed) {
      SCOPED_TRACE(seed);
      Boot(1 + seed % 2);
      setup();
      const fake_l4::ExplorationOptions exploration{.seed = seed};
      constexpr uint32_t kDepth = 3;
      constexpr uint64_t kSteps = 120;
      if (seed % 3 == 0) {
        machine_->Explore(std::make_unique<fake_l4::Pct>(exploration, kDepth, kSteps));
      } else {
        machine_->Explore(std::make_unique<fake_l4::RandomWalk>(exploration));
      }
      const std::vector<Performed> all = machine_->ApplyTogether(parts);
      machine_->StopExploring();
      ASSERT_EQ(Broken(), "");
      check(all);
    }
  }
  void CreateAll() {
    for (uint32_t number = 1; number < traces::kMaxThreads; ++number) Create(number - 1, number);
  }

  std::unique_ptr<Machine> machine_;
  size_t at_boot_ = 0;
  uint32_t task_ = 1;  // that everything is about
};

TEST_F(ClientThreadsTest, WhatOneWritesTheOthersRead) {
  CreateAll();
  for (uint32_t thread = 0; thread < traces::kMaxThreads; ++thread) {
    Must(Store(thread, kAt + 8 * thread, 'a' + thread));
    for (uint32_t other = 0; other < traces::kMaxThreads; ++other) {
      EXPECT_EQ(Must(Load(other, kAt + 8 * thread)).value, 'a' + thread);
    }
  }
  EXPECT_EQ(Broken(), "");
}

TEST_F(ClientThreadsTest, CallsAreTheTasks) {
  Create(0, 1);
  Must(Store(0, kAt, 'a'));
  Must({.kind = OpKind::kMunmap, .task = task_, .thread = 1, .at = kAt, .size = kPageSize});
  EXPECT_EQ(Do(Load(0, kAt)).code, static_cast<int32_t>(base::FaultCode::kSegvMapErr));
  EXPECT_EQ(Do(Load(1, kAt)).code, static_cast<int32_t>(base::FaultCode::kSegvMapErr));
  EXPECT_EQ(Code({.kind = OpKind::kBrk, .task = task_, .thread = 1, .at = kAt}),
            Of(Errno::kEinval));
  Must({.kind = OpKind::kExecBrk, .task = task_, .thread = 1, .at = kAt});
  Must({.kind = OpKind::kBrk, .task = task_, .thread = 0, .at = kAt + 1});
  Must(Store(1, kAt, 'b'));
}

TEST_F(ClientThreadsTest, NumbersAreTheLowestFreeOnes) {
  CreateAll();
  EXPECT_EQ(Code({.kind = OpKind::kThreadCreate, .task = task_, .thread = 2}), Of(Errno::kEagain));
  Must(End(3, 2));
  EXPECT_EQ(Code(End(3, 2)), Of(Errno::kEsrch));
  EXPECT_EQ(Code(End(3, traces::kMaxThreads)), Of(Errno::kEsrch));
  EXPECT_EQ(Code(End(3, ~uint64_t{0})), Of(Errno::kEsrch));
  EXPECT_EQ(Do(Load(2, kAt)).family, traces::Outcome::Family::kNone);
  Must(End(3, 0));
  Create(3, 0);
  Create(0, 2);
  Must(Store(2, kAt, 'x'));
  EXPECT_EQ(Must(Load(0, kAt)).value, uint64_t{'x'});
  EXPECT_EQ(ClientsInTheKernel(), at_boot_ + traces::kMaxThreads);
}

TEST_F(ClientThreadsTest, TheLastOneCannotEndSo) {
  EXPECT_EQ(Code(End(0, 0)), Of(Errno::kEbusy));
  Create(0, 1);
  Must(End(0, 0));
  EXPECT_EQ(Code(End(1, 1)), Of(Errno::kEbusy));
  Must(Store(1, kAt, 'x'));
  Must({.kind = OpKind::kExit, .task = task_, .thread = 1});
  EXPECT_EQ(ClientsInTheKernel(), at_boot_);
  EXPECT_EQ(Broken(), "");
}

TEST_F(ClientThreadsTest, WhoEndsItselfHearsNothing) {
  CreateAll();
  for (uint32_t thread = 0; thread + 1 < traces::kMaxThreads; ++thread) Must(End(thread, thread));
  EXPECT_EQ(ClientsInTheKernel(), at_boot_ + 1);
  Must(Store(traces::kMaxThreads - 1, kAt, 'x'));
}

TEST_F(ClientThreadsTest, ForkCopiesTheCallingThreadAlone) {
  CreateAll();
  Must(Store(3, kAt, 'p'));
  Must({.kind = OpKind::kFork, .task = task_, .thread = 2, .child = 2});
  EXPECT_EQ(ClientsInTheKernel(), at_boot_ + traces::kMaxThreads + 1);
  EXPECT_EQ(Must({.kind = OpKind::kRead, .task = 2, .at = kAt, .size = 8}).value, uint64_t{'p'});
  EXPECT_EQ(Do({.kind = OpKind::kRead, .task = 2, .thread = 1, .at = kAt, .size = 8}).family,
            traces::Outcome::Family::kNone);
  EXPECT_EQ(Must({.kind = OpKind::kThreadCreate, .task = 2}).value, 1u);
}

TEST_F(ClientThreadsTest, ExecLeavesWhoCallsIt) {
  CreateAll();
  Must({.kind = OpKind::kExec, .task = task_, .thread = 2});
  EXPECT_EQ(ClientsInTheKernel(), at_boot_ + 1);
  EXPECT_EQ(Do(Load(0, kAt)).family, traces::Outcome::Family::kNone);
  EXPECT_EQ(Do(Load(2, kAt)).code, static_cast<int32_t>(base::FaultCode::kSegvMapErr));
  Create(2, 0);
  EXPECT_EQ(Broken(), "");
}

// The server's threads are used again, and thread numbers too.
TEST_F(ClientThreadsTest, AnExitEndsAllThreads) {
  uint32_t servers = 0;
  for (uint32_t round = 0; round < 20; ++round) {
    CreateAll();
    for (uint32_t thread = 0; thread < traces::kMaxThreads; ++thread) {
      Must(Store(thread, kAt + thread * kPageSize, 'x'));
    }
    Must({.kind = OpKind::kExit, .task = task_, .thread = round % traces::kMaxThreads});
    EXPECT_EQ(ClientsInTheKernel(), at_boot_);
    EXPECT_EQ(machine_->live_count(), 0u);
    if (round == 0) servers = machine_->server().threads().count();
    EXPECT_EQ(machine_->server().threads().count(), servers);
    ASSERT_EQ(Broken(), "");
    NextTask();
  }
}

TEST_F(ClientThreadsTest, AParentEndsATaskWithItsThreads) {
  Must({.kind = OpKind::kTaskCreate, .task = 1, .child = 2, .flags = traces::kFlagInherit});
  task_ = 2;
  CreateAll();
  Must(Store(2, kAt, 'x'));
  Must({.kind = OpKind::kTaskTerminate, .task = 1, .target = 2});
  EXPECT_EQ(ClientsInTheKernel(), at_boot_ + 1);
  EXPECT_EQ(Broken(), "");
}

TEST_F(ClientThreadsTest, AShortageLeavesNothingBehind) {
  for (int i = 0; i < 4; ++i) {
    Must({.kind = OpKind::kInject, .site = base::FaultSite::kKernelMemory});
    EXPECT_EQ(Code({.kind = OpKind::kThreadCreate, .task = task_}), Of(Errno::kEnomem));
    EXPECT_EQ(ClientsInTheKernel(), at_boot_ + 1);
  }
  Create(0, 1);
  Must(Store(1, kAt, 'x'));
}

// ---- At the same time ----

// Faults on one page and on several, none of which the task has touched.
TEST_F(ClientThreadsTest, AllFaultAtOnce) {
  std::vector<Part> parts;
  for (uint32_t thread = 0; thread < traces::kMaxThreads; ++thread) {
    const uint64_t other = kAt + kPageSize * (1 + thread % 2) + 8 * thread;
    parts.push_back({.label = 1,
                     .thread = thread,
                     .ops = {Store(thread, kAt + 8 * thread, 'a' + thread),
                             Store(thread, other, 'A' + thread), Load(thread, kAt + 8 * thread)}});
  }
  Explore([&] { CreateAll(); }, parts,
          [&](const std::vector<Performed>& all) {
            ASSERT_EQ(all.size(), 3 * parts.size());
            for (const Performed& done : all) EXPECT_TRUE(done.outcome.ok());
            for (uint32_t thread = 0; thread < traces::kMaxThreads; ++thread) {
              const uint64_t other = kAt + kPageSize * (1 + thread % 2) + 8 * thread;
              EXPECT_EQ(Must(Load(0, kAt + 8 * thread)).value, 'a' + thread);
              EXPECT_EQ(Must(Load(1, other)).value, 'A' + thread);
            }
          });
}

// However many of them ask for a page that one of them was just sent, nobody takes it from them for
// that: to the pmap they must not look like one client that a kernel without memory gives nothing.
TEST_F(ClientThreadsTest, WhoFaultsBesideASiblingIsNoShortage) {
  constexpr uint64_t kPages = 3;
  std::vector<Part> parts;
  for (uint32_t thread = 0; thread < traces::kMaxThreads; ++thread) {
    Part part{.label = 1, .thread = thread};
    for (uint64_t i = 0; i < 3 * kPages; ++i) {
      const uint64_t page = thread % 2 == 0 ? i % kPages : kPages - 1 - i % kPages;
      const uint64_t at = kAt + page * kPageSize + 8 * thread;
      part.ops.push_back(i < kPages ? Load(thread, at) : Store(thread, at, i + 1));
    }
    parts.push_back(part);
  }
  uint64_t together = 0;
  Explore([&] { CreateAll(); }, parts,
          [&](const std::vector<Performed>& all) {
            for (const Performed& done : all) EXPECT_TRUE(done.outcome.ok());
            EXPECT_EQ(machine_->pmap().counters().resends, 0u);
            EXPECT_EQ(machine_->pmap().counters().shortages, 0u);
            // Each page costs one fault to read and one to write, if no thread is late for it.
            together += machine_->ledger().page_faults > 2 * kPages ? 1 : 0;
          });
  EXPECT_GT(together, 0u);  // else the schedules show nothing
}

// Each access is done or fails at its address; what is mapped afterwards is zeros but for what was
// stored after that.
TEST_F(ClientThreadsTest, OneUnmapsAndMapsWhatOthersUse) {
  const ResolvedOp unmap = {
      .kind = OpKind::kMunmap, .task = 1, .thread = 0, .at = kAt, .size = 2 * kPageSize};
  const ResolvedOp map = {.kind = OpKind::kMmap,
                          .task = 1,
                          .thread = 0,
                          .at = kAt,
                          .size = 2 * kPageSize,
                          .prot = base::kProtReadWrite,
                          .flags = traces::kFlagPrivate | traces::kFlagFixed};
  std::vector<Part> parts = {{.label = 1, .thread = 0, .ops = {unmap, map}}};
  for (uint32_t thread = 1; thread < traces::kMaxThreads; ++thread) {
    parts.push_back(
        {.label = 1,
         .thread = thread,
         .ops = {Store(thread, kAt + 8 * thread, 1), Store(thread, kAt + kPageSize + 8 * thread, 2),
                 Store(thread, kAt + 8 * thread, 3), Load(thread, kAt + 8 * thread)}});
  }
  uint64_t failed = 0;
  Explore([&] { CreateAll(); }, parts,
          [&](const std::vector<Performed>& all) {
            uint64_t unmapped = 0;
            for (const Performed& done : all) {
              const ResolvedOp& op = parts[done.part].ops[done.index];
              if (op.kind == OpKind::kMmap) unmapped = done.responded;
            }
            for (const Performed& done : all) {
              const ResolvedOp& op = parts[done.part].ops[done.index];
              failed += done.outcome.ok() ? 0 : 1;
              if (done.outcome.ok()) continue;
              EXPECT_EQ(done.outcome.code, static_cast<int32_t>(base::FaultCode::kSegvMapErr));
              EXPECT_EQ(done.outcome.value, op.at);
              EXPECT_LT(done.invoked, unmapped) << "after the range was mapped again";
            }
          });
  EXPECT_GT(failed, 0u);  // else the schedules show nothing
}

TEST_F(ClientThreadsTest, TheTaskExitsWhileItsThreadsAreAtWork) {
  std::vector<Part> parts;
  for (uint32_t thread = 0; thread < traces::kMaxThreads; ++thread) {
    parts.push_back({.label = 1,
                     .thread = thread,
                     .ops = {Store(thread, kAt, 1),
                             {.kind = OpKind::kMprotect,
                              .task = 1,
                              .thread = thread,
                              .at = kAt,
                              .size = kPageSize,
                              .prot = base::kProtReadWrite},
                             Store(thread, kAt + kPageSize * thread, 2)}});
  }
  parts[1].ops.push_back({.kind = OpKind::kExit, .task = 1, .thread = 1});
  parts[2].ops.push_back({.kind = OpKind::kExit, .task = 1, .thread = 2});
  uint64_t cut_short = 0;
  Explore([&] { CreateAll(); }, parts,
          [&](const std::vector<Performed>& all) {
            uint64_t exits = 0;
            for (const Performed& done : all) {
              cut_short += done.cut_short ? 1 : 0;
              const ResolvedOp& op = parts[done.part].ops[done.index];
              exits += op.kind == OpKind::kExit && done.outcome.ok() ? 1 : 0;
            }
            EXPECT_EQ(exits, 1u);
            EXPECT_EQ(machine_->live_count(), 0u);
            EXPECT_EQ(ClientsInTheKernel(), at_boot_);
            EXPECT_EQ(machine_->uvm().DebugAnons().live(), 0u);
            // The server's threads serve the next task.
            NextTask();
            CreateAll();
            for (uint32_t thread = 0; thread < traces::kMaxThreads; ++thread) {
              Must(Store(thread, kAt, 'n'));
            }
          });
  EXPECT_GT(cut_short, 0u);
}

TEST_F(ClientThreadsTest, AThreadIsEndedInTheMiddleOfSomething) {
  const std::vector<Part> parts = {
      {.label = 1, .thread = 0, .ops = {Store(0, kAt, 1), End(0, 1), End(0, 2)}},
      {.label = 1,
       .thread = 1,
       .ops = {Store(1, kAt, 2), Store(1, kAt + kPageSize, 2), Store(1, kAt + 2 * kPageSize, 2)}},
      {.label = 1,
       .thread = 2,
       .ops = {{.kind = OpKind::kMlock, .task = 1, .thread = 2, .at = kAt, .size = kPageSize},
               {.kind = OpKind::kMunlock, .task = 1, .thread = 2, .at = kAt, .size = kPageSize},
               End(2, 2)}},
      {.label = 1, .thread = 3, .ops = {Store(3, kAt + 8, 3), Load(3, kAt + 8)}}};
  uint64_t cut_short = 0;
  Explore([&] { CreateAll(); }, parts,
          [&](const std::vector<Performed>& all) {
            for (const Performed& done : all) {
              cut_short += done.cut_short ? 1 : 0;
              if (done.part == 3) {
                EXPECT_TRUE(done.outcome.ok());
              }
            }
            EXPECT_EQ(ClientsInTheKernel(), at_boot_ + 2);
            Create(3, 1);
            Create(1, 2);
            Must(Store(1, kAt + 16, 'n'));
            EXPECT_EQ(Must(Load(2, kAt + 16)).value, uint64_t{'n'});
            Must({.kind = OpKind::kExit, .task = 1, .thread = 1});
            EXPECT_EQ(machine_->uvm().DebugPages().wired_count().value(), 0u);
          });
  EXPECT_GT(cut_short, 0u);
}

// The child has each word as it was at one moment, and what is written later is the parent's alone.
TEST_F(ClientThreadsTest, AThreadForksWhileOthersWrite) {
  const std::vector<Part> parts = {
      {.label = 1,
       .thread = 0,
       .ops = {{.kind = OpKind::kFork, .task = 1, .thread = 0, .child = 2}}},
      {.label = 1, .thread = 1, .ops = {Store(1, kAt, 1), Store(1, kAt + kPageSize, 1)}},
      {.label = 1, .thread = 2, .ops = {Store(2, kAt, 2), Store(2, kAt + kPageSize, 2)}},
      {.label = 1, .thread = 3, .ops = {Load(3, kAt), Load(3, kAt)}}};
  uint64_t early = 0, late = 0;
  Explore(
      [&] {
        CreateAll();
        Must(Store(0, kAt, 9));
        Must(Store(0, kAt + kPageSize, 9));
      },
      parts,
      [&](const std::vector<Performed>& all) {
        for (const Performed& done : all) EXPECT_TRUE(done.outcome.ok());
        const uint64_t first = Must({.kind = OpKind::kRead, .task = 2, .at = kAt, .size = 8}).value;
        const uint64_t second =
            Must({.kind = OpKind::kRead, .task = 2, .at = kAt + kPageSize, .size = 8}).value;
        // Nobody writes the second page before the first.
        if (first == 9) {
          EXPECT_EQ(second, 9u);
        }
        early += first == 9 ? 1 : 0;
        late += second != 9 ? 1 : 0;
        EXPECT_NE(Must(Load(0, kAt)).value, 9u);
        Must(Store(0, kAt, 7));
        EXPECT_EQ(Must({.kind = OpKind::kRead, .task = 2, .at = kAt, .size = 8}).value, first);
      });
  EXPECT_GT(early, 0u);
  EXPECT_GT(late, 0u);
}

}  // namespace
}  // namespace machine
