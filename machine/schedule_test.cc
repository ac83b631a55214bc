// The whole stack where several tasks share memory, and what wired memory costs.
//
// Litmus tests run under random schedules: what one task publishes, the others see in the order in
// which it was published, also while the page is being replaced by a copy. An old page that stays
// mapped in one sharer after the copy was published shows as a value that runs backwards (the
// effect of Go issue 34988). Bugs put in by hand that they catch: promotion (1B and 2B) that leaves
// the other sharers' translations; a fork of a shared amap that leaves its writers.

#include <gtest/gtest.h>
#include <l4/misc.h>
#include <l4/space.h>
#include <l4/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/hash.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "fake_l4/exploration.h"
#include "fake_l4/kernel.h"
#include "fake_l4/quirks.h"
#include "fake_l4/schedule_strategy.h"
#include "machine/machine.h"
#include "traces/op.h"
#include "uvm/invariants.h"
#include "vmserver/client.h"

namespace machine {
namespace {

using traces::OpKind;

constexpr uint64_t kData = 0x10000;   // the page that gets replaced
constexpr uint64_t kFlags = 0x11000;  // a page that does not
constexpr uint64_t kCounter = kData + 0x100;
constexpr uint64_t kPublished = kFlags + 0x100;
constexpr uint32_t kSharers = 3;
constexpr uint64_t kRounds = 4;

// What the page is before somebody writes to it.
enum class Page : uint8_t {
  kCopyOnWrite,  // an anon of the shared amap that a fourth task owns too (1B)
  kFile,         // a page of a file, privately mapped and shared by inheritance (2B)
  kNothing,      // zeroes (2B)
};

// What a program saw; lives in the test.
struct Log {
  std::string trouble;  // "" when all was in order
  uint64_t reads = 0;
};

uint64_t Load(uint64_t at) {
  uint64_t value = 0;
  fake_l4::AccessStatus status =
      fake_l4::Kernel::Current()->cpu().Load(base::Vaddr(at), &value, sizeof value);
  return status == fake_l4::AccessStatus::kOk ? value : ~uint64_t{0};
}
// What a file holds before anybody counts is larger, and means 0.
uint64_t LoadCount(uint64_t at) {
  uint64_t value = Load(at);
  return value <= kRounds ? value : 0;
}
void Store(uint64_t at, uint64_t value) {
  static_cast<void>(fake_l4::Kernel::Current()->cpu().Store(base::Vaddr(at), &value, sizeof value));
}

// Task 1: counts, and publishes how far it is. After each step but the last a child takes the page
// as it is, so that the next store copies again.
void Writer(void*) {
  for (uint64_t i = 1; i <= kRounds; ++i) {
    Store(kCounter, i);
    Store(kPublished, i);
    if (i < kRounds) vmserver::client::Fork();
  }
}

// Task 2, and all that are threads beside another: never sees less than was published, nor anything
// twice in the wrong order.
void Reader(void* argument) {
  auto* log = static_cast<Log*>(argument);
  fake_l4::Kernel::Current()->WaitForHost();
  uint64_t last = 0;
  for (int i = 0; i < 24; ++i) {
    uint64_t published = Load(kPublished);
    uint64_t first = LoadCount(kCounter);
    uint64_t second = LoadCount(kCounter);
    ++log->reads;
    if (first < published || second < first || first < last) {
      log->trouble = "published " + std::to_string(published) + ", read " + std::to_string(first) +
                     " and " + std::to_string(second) + " after " + std::to_string(last);
      return;
    }
    last = second;
  }
}

// Task 3: has words of its own in the same page.
void Neighbour(void* argument) {
  auto* log = static_cast<Log*>(argument);
  fake_l4::Kernel::Current()->WaitForHost();
  for (uint64_t i = 1; i <= kRounds; ++i) {
    Store(kData + 0x200, i);
    if (Load(kData + 0x200) != i) log->trouble = "its own store " + std::to_string(i) + " is lost";
    ++log->reads;
  }
}

struct Row {
  Page page;
  Schedule schedule;
  const fake_l4::Quirks* quirks = &fake_l4::kManualRules;
  uint32_t processors = 1;
  uint32_t threads = 1;  // of each sharer; further ones read
};

class Litmus {
 public:
  Litmus(const Row& row, uint64_t seed)
      : threads_(row.threads),
        machine_({.ram_bytes = uint64_t{4} << 20,
                  .quirks = *row.quirks,
                  .seed = seed,
                  .schedule = row.schedule,
                  .processors = row.processors,
                  .max_tasks = 12,
                  .arena_bytes = uint64_t{64} << 20}) {
    const Page page = row.page;
    Do({.kind = OpKind::kSpace, .child = 1});
    Map(kFlags, 0);
    Map(kData, page == Page::kFile ? base::HashText("libc.so") | 1 : 0);
    Do({.kind = OpKind::kMinherit,
        .task = 1,
        .at = kData,
        .size = 0x2000,
        .inherit = base::Inherit::kShare});
    Write(kFlags);
    if (page == Page::kCopyOnWrite) Write(kData);
    for (uint32_t task = 2; task <= kSharers; ++task) {
      Do({.kind = OpKind::kFork, .task = 1, .child = task});
    }
    // Of the page that gets replaced, later children have copies.
    Do({.kind = OpKind::kMinherit,
        .task = 1,
        .at = kData,
        .size = 0x1000,
        .inherit = base::Inherit::kCopy});
    if (page == Page::kCopyOnWrite) Do({.kind = OpKind::kFork, .task = 1, .child = 4});
    for (uint32_t task = 1; task <= kSharers; ++task) {
      if (page != Page::kNothing) Do({.kind = OpKind::kRead, .task = task, .at = kData, .size = 8});
      Do({.kind = OpKind::kRead, .task = task, .at = kFlags, .size = 8});
    }
    for (uint32_t task = 1; task <= kSharers; ++task) {
      for (uint32_t more = 1; more < threads_; ++more)
        Do({.kind = OpKind::kThreadCreate, .task = task});
    }
    // Accesses are points too, from now on: other tasks run at the same time.
    machine_.kernel().SetStrategy(std::make_unique<fake_l4::RandomWalk>(
        fake_l4::ExplorationOptions{.seed = seed * 3 + static_cast<uint64_t>(row.schedule)}));
  }

  // "" when everything was as it must be.
  std::string Run() {
    Log neighbour;
    std::vector<Log> readers(1 + kSharers * (threads_ - 1));
    machine_.RunProgram(2, Reader, &readers[0]);
    machine_.RunProgram(3, Neighbour, &neighbour);
    for (size_t i = 1; i < readers.size(); ++i) {
      machine_.RunProgram(TaskOf(i), ThreadOf(i), Reader, &readers[i]);
    }
    machine_.kernel().HostWake(machine_.thread_of(2));
    machine_.kernel().HostWake(machine_.thread_of(3));
    for (size_t i = 1; i < readers.size(); ++i) {
      machine_.kernel().HostWake(machine_.thread_of(TaskOf(i), ThreadOf(i)));
    }
    if (!machine_.RunProgram(1, 0, Writer, nullptr)) return "the writer did not end";
    if (machine_.crash()) return *machine_.crash();
    for (const Log& reader : readers) {
      if (reader.reads == 0) return "a reader did not run";
      if (!reader.trouble.empty()) return "reader: " + reader.trouble;
    }
    if (neighbour.reads == 0) return "the neighbour did not run";
    if (!neighbour.trouble.empty()) return "neighbour: " + neighbour.trouble;
    return CheckEnd();
  }

  uint64_t copies() const { return machine_.ledger().copy + machine_.ledger().zero_fill; }

 private:
  // Whose threads the readers are, but for the first.
  static uint32_t TaskOf(size_t reader) { return 1 + static_cast<uint32_t>(reader - 1) % kSharers; }
  static uint32_t ThreadOf(size_t reader) {
    return 1 + static_cast<uint32_t>(reader - 1) / kSharers;
  }

  // All sharers agree about the end.
  std::string CheckEnd() {
    for (uint32_t task = 1; task <= kSharers; ++task) {
      struct Seen {
        uint64_t counter, neighbour, published;
      } seen{};
      machine_.RunProgram(
          task,
          [](void* argument) {
            *static_cast<Seen*>(argument) = {Load(kCounter), Load(kData + 0x200), Load(kPublished)};
          },
          &seen);
      if (seen.counter != kRounds || seen.neighbour != kRounds || seen.published != kRounds) {
        return "at the end task " + std::to_string(task) + " reads " +
               std::to_string(seen.counter) + ", " + std::to_string(seen.neighbour) + ", " +
               std::to_string(seen.published);
      }
    }
    char text[512];
    base::TextSink out(text, sizeof text);
    if (!machine_.pmap().CheckInvariants(out)) return text;
    if (uvm::FirstViolation(&machine_.uvm(), &out) != nullptr) return text;
    return "";
  }

  void Do(const traces::ResolvedOp& op) {
    EXPECT_TRUE(machine_.Apply(op).ok()) << static_cast<int>(op.kind);
  }
  void Map(uint64_t at, uint64_t file_key) {
    Do({.kind = OpKind::kMmap,
        .task = 1,
        .at = at,
        .size = 0x1000,
        .prot = base::kProtReadWrite,
        .flags = traces::kFlagPrivate | traces::kFlagFixed,
        .file_key = file_key});
  }
  void Write(uint64_t at) {
    Do({.kind = OpKind::kWrite, .task = 1, .at = at, .size = 1, .value = 0});
  }

  const uint32_t threads_;  // of each sharer
  Machine machine_;
};

class PromotionLitmusTest : public testing::TestWithParam<Row> {};

TEST_P(PromotionLitmusTest, NobodySeesTheOldPageAfterTheNewOne) {
  constexpr uint64_t kSeeds = 300;
  uint64_t copies = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Litmus litmus(GetParam(), seed);
    ASSERT_EQ(litmus.Run(), "") << "seed " << seed;
    copies += litmus.copies();
  }
  EXPECT_GE(copies, kSeeds * kRounds);
}

INSTANTIATE_TEST_SUITE_P(
    Pages, PromotionLitmusTest,
    testing::Values(
        Row{Page::kCopyOnWrite, Schedule::kRandom}, Row{Page::kCopyOnWrite, Schedule::kPct},
        Row{Page::kFile, Schedule::kRandom}, Row{Page::kFile, Schedule::kPct},
        Row{Page::kNothing, Schedule::kRandom},
        Row{Page::kCopyOnWrite, Schedule::kRandom, &fake_l4::kPistachioNewMdb},
        Row{Page::kFile, Schedule::kRandom, &fake_l4::kPistachioOldMdb},
        Row{.page = Page::kCopyOnWrite, .schedule = Schedule::kRandom, .threads = 2},
        Row{.page = Page::kCopyOnWrite, .schedule = Schedule::kPct, .processors = 2},
        Row{.page = Page::kFile, .schedule = Schedule::kRandom, .processors = 2, .threads = 2},
        Row{.page = Page::kNothing, .schedule = Schedule::kRandom, .processors = 2, .threads = 2}));

// ---- Wired memory ----

class WiredTest : public testing::TestWithParam<const fake_l4::Quirks*> {};

// Whatever becomes of its translation, a wired page comes back by a refill: no fault of UVM's, no
// copy, nothing read from the file.
TEST_P(WiredTest, AWiredPageNeverCostsAFaultOrAReadFromItsFile) {
  Machine machine({.ram_bytes = uint64_t{4} << 20, .quirks = *GetParam()});
  auto apply = [&machine](const traces::ResolvedOp& op) {
    EXPECT_TRUE(machine.Apply(op).ok()) << static_cast<int>(op.kind);
  };
  apply({.kind = OpKind::kSpace, .child = 1});
  const uint64_t file = base::HashText("libc.so") | 1;
  const struct {
    uint64_t at;
    uint64_t file_key;
    uint32_t sharing;
  } maps[] = {{0x10000, 0, traces::kFlagPrivate},
              {0x20000, file, traces::kFlagPrivate},
              {0x30000, file, traces::kFlagShared}};
  for (const auto& map : maps) {
    apply({.kind = OpKind::kMmap,
           .task = 1,
           .at = map.at,
           .size = 0x4000,
           .prot = base::kProtReadWrite,
           .flags = map.sharing | traces::kFlagFixed,
           .file_key = map.file_key});
    apply({.kind = OpKind::kMlock, .task = 1, .at = map.at, .size = 0x4000});
  }
  apply({.kind = OpKind::kRead, .task = 1, .at = 0x30000, .size = 0x4000});
  const Ledger before = machine.ledger();
  for (uint64_t round = 1; round <= 8; ++round) {
    machine.RunProgram(
        1, [](void*) { L4_FlushFpage(L4_FpageAddRights(L4_CompleteAddressSpace, 7)); }, nullptr);
    for (const auto& map : maps) {
      apply({.kind = OpKind::kRead, .task = 1, .at = map.at, .size = 0x4000});
      apply({.kind = OpKind::kWrite,
             .task = 1,
             .at = map.at + (round % 4) * 0x1000,
             .size = 8,
             .value = 'w'});
    }
  }
  const Ledger after = machine.ledger();
  EXPECT_EQ(after.fault_1a + after.fault_1b + after.fault_2a + after.fault_2b,
            before.fault_1a + before.fault_1b + before.fault_2a + before.fault_2b);
  EXPECT_EQ(after.fault_errors, before.fault_errors);
  EXPECT_EQ(after.pager_get, before.pager_get);
  EXPECT_EQ(after.copy + after.zero_fill, before.copy + before.zero_fill);
  EXPECT_GE(after.refill - before.refill, 8u * 3);
  EXPECT_EQ(machine.crash().value_or(""), "");
}

// pmap(9) never raises rights, wired or not, and UVM gives more by faults (facts/uvm.md 3.2,
// pmap_protect): a store after the rights are back costs one, which changes the translation and
// nothing else. It is in the ledger.
TEST_P(WiredTest, RightsThatWereTakenAndGivenBackCostAFaultForEachPage) {
  Machine machine({.ram_bytes = uint64_t{4} << 20, .quirks = *GetParam()});
  auto apply = [&machine](const traces::ResolvedOp& op) {
    EXPECT_TRUE(machine.Apply(op).ok()) << static_cast<int>(op.kind);
  };
  constexpr uint64_t kAt = 0x10000, kSize = 0x4000, kPages = 4;
  apply({.kind = OpKind::kSpace, .child = 1});
  apply({.kind = OpKind::kMmap,
         .task = 1,
         .at = kAt,
         .size = kSize,
         .prot = base::kProtReadWrite,
         .flags = traces::kFlagPrivate | traces::kFlagFixed});
  apply({.kind = OpKind::kMlock, .task = 1, .at = kAt, .size = kSize});
  apply({.kind = OpKind::kWrite, .task = 1, .at = kAt, .size = kSize, .value = 'a'});
  const Ledger before = machine.ledger();
  EXPECT_EQ(before.extra_faults, 0u);
  for (const base::Prot prot : {base::kProtRead, base::kProtReadWrite}) {
    apply({.kind = OpKind::kMprotect, .task = 1, .at = kAt, .size = kSize, .prot = prot});
    apply({.kind = OpKind::kRead, .task = 1, .at = kAt, .size = kSize});
    EXPECT_EQ(machine.ledger().extra_faults, 0u);
  }
  for (int round = 0; round < 2; ++round) {
    apply({.kind = OpKind::kWrite, .task = 1, .at = kAt, .size = kSize, .value = 'b'});
    EXPECT_EQ(machine.ledger().extra_faults, kPages);
  }
  const Ledger after = machine.ledger();
  EXPECT_EQ(after.copy + after.zero_fill, before.copy + before.zero_fill);
  EXPECT_EQ(after.pager_get, before.pager_get);
  EXPECT_EQ(after.fault_errors, before.fault_errors);
  EXPECT_EQ(machine.crash().value_or(""), "");
}

INSTANTIATE_TEST_SUITE_P(Kernels, WiredTest,
                         testing::Values(&fake_l4::kManualRules, &fake_l4::kPistachioNewMdb,
                                         &fake_l4::kPistachioOldMdb));

}  // namespace
}  // namespace machine
