// What does virtual memory cost a client, through everything: the simulated processor's miss, the
// kernel's message to the server, the core, pmap/l4, the mapping and back? Each row next to its
// aim: a fault that fills a page memset + 330 ns (one mapping, two messages; 430 through an alias),
// one that copies memcpy + 450, taking over 320; exit, wiring within twice and protect within four
// times the times recorded from the real UVM, which had no L4 below it; a fork of 65,536 resident
// pages 400 us, with at most one unmap call for 64 pages. Counted for each item: messages, unmap
// calls and their fpages, pages the kernel mapped and unmapped, pages that lost rights and how many
// of them pmap/l4 looked at one by one, fiber switches, faults, pages zeroed and copied.
// work_test asserts what can be.
//
//   bazel run //machine:machine_benchmark -- --benchmark_filter=fork
//   ... --small    a sixty-fourth of the pages, one repetition: what the ordinary test does
//
// Napkin: the kernel's fault and answer take 104 ns (kernel_benchmark), the core without memset
// about 100, the server's second mapping another 60.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/addr.h"
#include "base/check.h"
#include "base/prot.h"
#include "fake_l4/kernel.h"
#include "machine/machine.h"
#include "pmap_sim/l4_pmap.h"
#include "traces/op.h"
#include "uvm/testing/benchmark_table.h"

namespace machine {
namespace {

using traces::OpKind;
using traces::ResolvedOp;
using uvm::testing::Meter;

bool small = false;

uint64_t Scaled(uint64_t count) { return small ? std::max<uint64_t>(count / 64, 16) : count; }

constexpr uint64_t kResident = 65536;
constexpr uint64_t kAt = 0x1000000;

Machine* NewMachine(const char* kernel, uint64_t megabytes) {
  Machine::Options options;
  options.quirks = *FindQuirks(kernel);
  options.ram_bytes = (small ? uint64_t{64} : megabytes) << 20;
  return new Machine(options);
}

// What the rows work on. Never deleted: nobody asks what an exit of the whole machine takes.
Machine*& CurrentMachine() {
  static Machine* machine = NewMachine("manual", 768);
  return machine;
}
Machine& TheMachine() { return *CurrentMachine(); }

uvm::testing::Counts ReadMachine() {
  const Ledger ledger = TheMachine().ledger();
  const pmap_sim::PmapCounters pmap = TheMachine().pmap().counters();
  return {{"ipc", ledger.ipc},
          {"unmap_calls", ledger.unmap},
          {"unmap_fpages", pmap.fpages_unmapped},
          {"lowered", pmap.pages_lowered},
          {"one_by_one", pmap.pages_lowered - pmap.lowered_in_runs},
          {"mapped", ledger.pages_mapped},
          {"unmapped", ledger.pages_unmapped},
          {"aliases", ledger.aliases},
          {"switches", ledger.fiber_switches},
          {"faults", ledger.page_faults},
          {"refills", ledger.refill},
          {"zeroed", ledger.zero_fill},
          {"copied", ledger.copy}};
}

// Every task gets a label of its own.
uint32_t next_label = 1;

void Do(const ResolvedOp& op) {
  const traces::Outcome outcome = TheMachine().Apply(op);
  CHECK(outcome.ok());
}

uint32_t Birth(OpKind kind, uint32_t parent) {
  const uint32_t label = next_label++;
  Do({.kind = kind, .task = parent, .child = label});
  return label;
}

void Map(uint32_t task, uint64_t at, uint64_t pages) {
  Do({.kind = OpKind::kMmap,
      .task = task,
      .at = at,
      .size = pages * base::kPageSize,
      .prot = base::kProtReadWrite,
      .flags = traces::kFlagPrivate | traces::kFlagFixed});
}

void Exit(uint32_t task) { Do({.kind = OpKind::kExit, .task = task}); }

struct Stores {
  uint64_t at;
  uint64_t pages;
  uint64_t stride;      // pages
  uint64_t modulo = 0;  // pages; 0: none
  uint64_t done = 0;
};

// A program that writes one byte to each page.
void StoreEachPage(void* argument) {
  auto* stores = static_cast<Stores*>(argument);
  fake_l4::Cpu cpu = fake_l4::Kernel::Current()->cpu();
  const unsigned char byte = 1;
  for (uint64_t i = 0; i < stores->pages; ++i) {
    const uint64_t page = i * stores->stride;
    const base::Vaddr va(stores->at +
                         (stores->modulo == 0 ? page : page % stores->modulo) * base::kPageSize);
    if (cpu.Store(va, &byte, 1) != fake_l4::AccessStatus::kOk) return;
    ++stores->done;
  }
}

void Write(uint32_t task, uint64_t at, uint64_t pages, uint64_t stride = 1) {
  Stores stores{at, pages, stride};
  CHECK(TheMachine().RunProgram(task, StoreEachPage, &stores) && stores.done == pages);
}

// Leaves free frames in no order, as long use does.
void Shuffle() {
  const uint64_t pages = Scaled(kResident);
  const uint32_t task = Birth(OpKind::kSpace, 0);
  Map(task, kAt, pages);
  Stores stores{kAt, pages, 40503, pages};  // odd: every page once
  CHECK(TheMachine().RunProgram(task, StoreEachPage, &stores) && stores.done == pages);
  Exit(task);
}

// A task with `pages` pages of its own, all written to.
uint32_t NewResident(uint64_t pages) {
  const uint32_t task = Birth(OpKind::kSpace, 0);
  Map(task, kAt, pages);
  Write(task, kAt, pages);
  return task;
}

// ---- The rows.

void ZeroFill(Meter& meter) {
  const uint64_t pages = Scaled(kResident);
  const uint32_t task = Birth(OpKind::kSpace, 0);
  Map(task, kAt, pages);
  meter.Start();
  Write(task, kAt, pages);
  meter.Stop(pages);
  Exit(task);
}

// On a kernel that cannot tell one mapping of a page from another, where all go through aliases.
void ZeroFillThroughAlias(Meter& meter) {
  static Machine* const machine = NewMachine("pistachio-new-mdb", 512);
  Machine* const usual = std::exchange(CurrentMachine(), machine);
  ZeroFill(meter);
  CHECK(machine->ledger().direct == 0);
  CurrentMachine() = usual;
}

// One life of a parent and its child, of which one part is measured.
enum class Part { kFork, kCopies, kTakeOver, kExitChild, kExitParent };

void Family(Meter& meter, Part part) {
  const uint64_t pages = Scaled(kResident);
  const auto timed = [&](Part which, uint64_t items, auto&& work) {
    if (which == part) meter.Start();
    work();
    if (which == part) meter.Stop(items);
  };
  const uint32_t parent = NewResident(pages);
  uint32_t child = 0;
  timed(Part::kFork, 1, [&] { child = Birth(OpKind::kFork, parent); });
  Write(child, kAt, 1);
  timed(Part::kCopies, pages - 1, [&] { Write(child, kAt + base::kPageSize, pages - 1); });
  timed(Part::kTakeOver, pages, [&] { Write(parent, kAt, pages); });
  timed(Part::kExitChild, 1, [&] { Exit(child); });
  timed(Part::kExitParent, 1, [&] { Exit(parent); });
}

void ProtectAll(Meter& meter) {
  const uint64_t pages = Scaled(kResident);
  const uint32_t task = NewResident(pages);
  meter.Start();
  Do({.kind = OpKind::kMprotect,
      .task = task,
      .at = kAt,
      .size = pages * base::kPageSize,
      .prot = base::kProtRead});
  meter.Stop(1);
  Exit(task);
}

// Pages that are there. `unwire`: the way back.
void Wire(Meter& meter, bool unwire) {
  const uint64_t pages = Scaled(4096);
  const uint32_t task = NewResident(pages);
  const auto timed = [&](OpKind kind, bool is_measured) {
    if (is_measured) meter.Start();
    Do({.kind = kind, .task = task, .at = kAt, .size = pages * base::kPageSize});
    if (is_measured) meter.Stop(pages);
  };
  timed(OpKind::kMlock, !unwire);
  timed(OpKind::kMunlock, unwire);
  Exit(task);
}

void ExitResident(Meter& meter) {
  const uint32_t task = NewResident(Scaled(kResident));
  meter.Start();
  Exit(task);
  meter.Stop(1);
}

void ForkManyEntries(Meter& meter) {
  constexpr uint64_t kStride = 12;  // pages
  const uint64_t entries = small ? 50 : 1000;
  const uint32_t parent = Birth(OpKind::kSpace, 0);
  for (uint64_t i = 0; i < entries; ++i) Map(parent, kAt + i * kStride * base::kPageSize, 4);
  Write(parent, kAt, entries, kStride);
  meter.Start();
  const uint32_t child = Birth(OpKind::kFork, parent);
  meter.Stop(1);
  Exit(child);
  Exit(parent);
}

void MapUnmap(Meter& meter) {
  const uint64_t pairs = Scaled(10000);
  const uint32_t task = Birth(OpKind::kSpace, 0);
  meter.Start();
  for (uint64_t i = 0; i < pairs; ++i) {
    Map(task, kAt, 4);
    Do({.kind = OpKind::kMunmap, .task = task, .at = kAt, .size = 4 * base::kPageSize});
  }
  meter.Stop(pairs);
  Exit(task);
}

using uvm::testing::Aim;

void Register(const std::string& name, const Aim& aim, const std::function<void(Meter&)>& row) {
  uvm::testing::AddRow(name, aim, ReadMachine, row);
}

int Main(int argc, char** argv) {
  small = uvm::testing::IsSmall(argc, argv);
  uvm::testing::AddPeers(0, 0);
  Register("zero-fill write fault", {330, uvm::testing::kMemsetPeer}, ZeroFill);
  Register("zero-fill write fault through an alias", {430, uvm::testing::kMemsetPeer},
           ZeroFillThroughAlias);
  Register("copy-on-write fault in child", {450, uvm::testing::kMemcpyPeer},
           [](Meter& m) { Family(m, Part::kCopies); });
  Register("write fault that takes the page over", {320, ""},
           [](Meter& m) { Family(m, Part::kTakeOver); });
  Register("fork, 65536 resident pages", {400000, ""}, [](Meter& m) { Family(m, Part::kFork); });
  Register("exit of child with 65536 private pages", {2 * 4834400.0, ""},
           [](Meter& m) { Family(m, Part::kExitChild); });
  Register("exit of its parent, 65536 pages taken over", {2 * 6744600.0, ""},
           [](Meter& m) { Family(m, Part::kExitParent); });
  Register("exit, 65536 resident private pages", {2 * 6744600.0, ""}, ExitResident);
  Register("protect RO over 65536 resident pages", {4 * 127500.0, ""}, ProtectAll);
  Register("wire 4096 resident pages, a page", {2 * 108.9, ""}, [](Meter& m) { Wire(m, false); });
  Register("unwire 4096 pages, a page", {2 * 26.6, ""}, [](Meter& m) { Wire(m, true); });
  Register("fork, 1000 entries x 1 resident page", {}, ForkManyEntries);
  Register("mmap and munmap of 4 pages, two calls", {}, MapUnmap);
  // Last: frames stay in no order for all that follow.
  Register("fork, 65536 pages, free frames lay in no order", {400000, ""}, [](Meter& m) {
    Shuffle();
    Family(m, Part::kFork);
  });
  Register("protect RO, 65536 pages, free frames in no order", {4 * 127500.0, ""}, [](Meter& m) {
    Shuffle();
    ProtectAll(m);
  });
  return uvm::testing::RunTable(argc, argv, "aim");
}

}  // namespace
}  // namespace machine

int main(int argc, char** argv) { return machine::Main(argc, argv); }
