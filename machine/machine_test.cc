#include "machine/machine.h"

#include <gtest/gtest.h>
#include <l4/thread.h>

#include <set>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/errors.h"
#include "base/fault_site.h"
#include "base/hash.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "fake_l4/kernel.h"
#include "fake_l4/profile.h"
#include "traces/op.h"
#include "uvm/invariants.h"

namespace machine {
namespace {

using base::Errno;
using base::FaultCode;
using base::KernReturn;
using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;

// A machine with one-line operations.
class World {
 public:
  World() : World(Machine::Options()) {}
  explicit World(const Machine::Options& options) : machine_(options) {}
  // Whatever happened, the tables of all layers must agree and nobody may have crashed.
  ~World() { ExpectSound(); }

  void ExpectSound() {
    EXPECT_EQ(machine_.crash().value_or(""), "");
    EXPECT_EQ(machine_.stuck().value_or(""), "");
    if (machine_.crash().has_value()) return;
    char text[512];
    base::TextSink out(text, sizeof text);
    EXPECT_TRUE(machine_.kernel().CheckInvariants(out)) << text;
    EXPECT_TRUE(machine_.pmap().CheckInvariants(out)) << text;
    const char* broken = uvm::FirstViolation(&machine_.uvm(), &out);
    EXPECT_EQ(broken, nullptr) << broken << ": " << text;
    EXPECT_TRUE(ClientsHoldNoMoreThanTheTable()) << "rights beyond the pmap's table";
  }

  Outcome Do(const ResolvedOp& op) { return machine_.Apply(op); }
  Outcome Born(OpKind kind, uint32_t child, uint32_t parent = 0, uint32_t flags = 0,
               uint64_t max = 0) {
    return Do({.kind = kind, .task = parent, .child = child, .size = max, .flags = flags});
  }
  Outcome Space(uint32_t child) { return Born(OpKind::kSpace, child); }
  Outcome Fork(uint32_t parent, uint32_t child) { return Born(OpKind::kFork, child, parent); }
  Outcome Range(OpKind kind, uint32_t task, uint64_t at, uint64_t size,
                base::Prot prot = base::kProtNone, uint32_t flags = 0) {
    return Do({.kind = kind, .task = task, .at = at, .size = size, .prot = prot, .flags = flags});
  }
  Outcome MapAnon(uint32_t task, uint64_t at, uint64_t pages,
                  uint32_t flags = traces::kFlagPrivate | traces::kFlagFixed) {
    return Range(OpKind::kMmap, task, at, pages << 12, base::kProtReadWrite, flags);
  }
  Outcome Write(uint32_t task, uint64_t at, char tag, uint64_t size = 1) {
    return Do({.kind = OpKind::kWrite,
               .task = task,
               .at = at,
               .size = size,
               .value = static_cast<unsigned char>(tag)});
  }
  Outcome Read(uint32_t task, uint64_t at, uint64_t size = 1) {
    return Do({.kind = OpKind::kRead, .task = task, .at = at, .size = size});
  }
  Machine& machine() { return machine_; }

 private:
  bool ClientsHoldNoMoreThanTheTable() {
    const bool implied = machine_.kernel().profile().ExecuteImpliedByRead();
    bool good = true;
    for (uint32_t label : machine_.live_labels()) {
      const uvm::Pmap* pmap = machine_.space_of(label)->pmap();
      machine_.kernel().ForEachPage(
          machine_.l4_space_of(label), [&](const fake_l4::Mapping& mapping) {
            uvm::PmapSystem::Mapping entry;
            bool found = machine_.pmap().PeekNext(pmap, mapping.va, &entry) &&
                         entry.va == mapping.va && entry.pa == mapping.frame;
            L4_Word_t rights = mapping.rights;
            if (implied) rights &= ~L4_Word_t{fake_l4::kX};
            good = good && found && (rights & ~pmap_sim::ToL4Rights(entry.prot)) == 0;
          });
    }
    return good;
  }

  Machine machine_;
};

Outcome Ok(Outcome::Family family, uint64_t value = 0) {
  Outcome outcome;
  outcome.family = family;
  outcome.value = value;
  return outcome;
}
Outcome OkErrno(uint64_t value = 0) { return Ok(Outcome::Family::kErrno, value); }
Outcome OkKern(uint64_t value = 0) { return Ok(Outcome::Family::kKern, value); }
Outcome OkAccess(uint64_t value = 0) { return Ok(Outcome::Family::kFault, value); }
Outcome Fails(Errno code) {
  Outcome outcome = OkErrno();
  outcome.code = static_cast<int32_t>(code);
  return outcome;
}
Outcome Fails(KernReturn code) {
  Outcome outcome = OkKern();
  outcome.code = static_cast<int32_t>(code);
  return outcome;
}
Outcome Fails(FaultCode code, uint64_t va) {
  Outcome outcome = OkAccess(va);
  outcome.code = static_cast<int32_t>(code);
  return outcome;
}

TEST(MachineTest, BootsAndIsIdle) {
  World w;
  EXPECT_TRUE(w.machine().live_labels().empty());
  // A ledger tells what a run cost; what boot cost is none of its business.
  EXPECT_GT(w.machine().kernel().ledger().ipc_sends, 0u);
  EXPECT_EQ(w.machine().ledger(), Ledger{});
}

// Hardware that cannot refuse to execute what may be read: a fetch from any readable page succeeds,
// all else is as ever. There is no such profile whose addresses suffice, so this one is made up.
fake_l4::Profile WithoutExecuteRight() {
  fake_l4::Profile p = fake_l4::kAmd64Nx;
  p.separable_rights = fake_l4::kIa32.separable_rights;
  p.fault_read = fake_l4::kIa32.fault_read;
  p.fault_fetch = fake_l4::kIa32.fault_fetch;
  p.status_read = fake_l4::kIa32.status_read;
  p.status_write = fake_l4::kIa32.status_write;
  return p;
}

TEST(MachineTest, ClientsRunOnAnyHardware) {
  for (const fake_l4::Profile& profile :
       {fake_l4::kAmd64Nx, fake_l4::kAmd64NoReference, WithoutExecuteRight()}) {
    Machine::Options options;
    options.profile = profile;
    World w(options);
    const bool implied = profile.ExecuteImpliedByRead();
    w.Space(1);
    EXPECT_EQ(w.MapAnon(1, 0x10000, 2), OkErrno(0x10000));
    EXPECT_EQ(w.Write(1, 0x10000, 'A'), OkAccess());
    EXPECT_EQ(w.Range(OpKind::kFetch, 1, 0x10000, 0),
              implied ? OkAccess() : Fails(FaultCode::kSegvAccErr, 0x10000));
    EXPECT_EQ(w.Fork(1, 2), OkErrno());
    EXPECT_EQ(w.Write(1, 0x10000, 'B'), OkAccess());
    EXPECT_EQ(w.Read(2, 0x10000), OkAccess('A'));
    EXPECT_EQ(w.Range(OpKind::kMprotect, 1, 0x10000, 0x1000, base::kProtRead), OkErrno());
    EXPECT_EQ(w.Write(1, 0x10000, 'C'), Fails(FaultCode::kSegvAccErr, 0x10000));
    EXPECT_EQ(w.Range(OpKind::kMprotect, 1, 0x10000, 0x1000, base::kProtNone), OkErrno());
    EXPECT_EQ(w.Range(OpKind::kFetch, 1, 0x10000, 0), Fails(FaultCode::kSegvAccErr, 0x10000));
  }
}

TEST(MachineTest, OnlyHardwareWithRoomForClientsIsOffered) {
  EXPECT_EQ(ProfileNames(), (std::vector<std::string>{"amd64-nx", "amd64-no-reference"}));
  EXPECT_EQ(FindProfile("amd64-no-reference"), &fake_l4::kAmd64NoReference);
  EXPECT_EQ(FindProfile("ia32"), nullptr);
  EXPECT_EQ(FindProfile("vax"), nullptr);
}

TEST(MachineTest, ZeroFillThenReadBack) {
  World w;
  EXPECT_EQ(w.Space(1), OkErrno());
  EXPECT_EQ(w.MapAnon(1, 0x10000, 4), OkErrno(0x10000));
  EXPECT_EQ(w.Read(1, 0x10000, 0x4000), OkAccess(0));
  EXPECT_EQ(w.Write(1, 0x11000, 'B'), OkAccess());
  EXPECT_EQ(w.Read(1, 0x11000), OkAccess('B'));
  EXPECT_EQ(w.Read(1, 0x11001), OkAccess(0));
}

TEST(MachineTest, AccessesThatFailSaySoAndWhere) {
  World w;
  w.Space(1);
  w.MapAnon(1, 0x10000, 2);
  EXPECT_EQ(w.Read(1, 0x20000), Fails(FaultCode::kSegvMapErr, 0x20000));
  EXPECT_EQ(w.Read(1, 0), Fails(FaultCode::kSegvMapErr, 0));
  EXPECT_EQ(w.Write(1, 0x11ff0, 'x', 0x20), Fails(FaultCode::kSegvMapErr, 0x12000));
  EXPECT_EQ(w.Read(1, 0x11ff0, 0x10), OkAccess('x'));
  EXPECT_EQ(w.Range(OpKind::kMprotect, 1, 0x10000, 0x1000, base::kProtRead), OkErrno());
  EXPECT_EQ(w.Write(1, 0x10000, 'x'), Fails(FaultCode::kSegvAccErr, 0x10000));
  EXPECT_EQ(w.Range(OpKind::kFetch, 1, 0x10000, 0), Fails(FaultCode::kSegvAccErr, 0x10000));
  EXPECT_EQ(w.Read(1, 0x7fffffffff80, 0x100), Fails(FaultCode::kSegvMapErr, 0x7fffffffff80));
  EXPECT_EQ(w.Read(1, 0x800000000000), Fails(FaultCode::kSegvMapErr, 0x800000000000));
}

TEST(MachineTest, EachFaultIsCountedOnce) {
  World w;
  w.Space(1);
  w.MapAnon(1, 0x100000, 1);
  const vmserver::ServerCounters& counters = w.machine().server().counters();
  const auto faults_of = [&](auto access) {
    const vmserver::ServerCounters before = counters;
    access();
    return std::make_pair(counters.faults - before.faults,
                          counters.faults_failed - before.faults_failed);
  };
  using Pair = std::pair<uint64_t, uint64_t>;
  EXPECT_EQ(faults_of([&] { w.Write(1, 0x100000, 'a'); }), Pair(1, 0));
  EXPECT_EQ(faults_of([&] { w.Read(1, 0x100000); }), Pair(0, 0));
  EXPECT_EQ(faults_of([&] { w.Read(1, 0x200000); }), Pair(1, 1));
}

TEST(MachineTest, ForkedChildNeverSeesParentsLaterWrites) {
  World w;
  w.Space(1);
  w.MapAnon(1, 0x10000, 2);
  w.Write(1, 0x10000, 'A');
  w.Write(1, 0x11000, 'B');
  EXPECT_EQ(w.Fork(1, 2), OkErrno());
  EXPECT_EQ(w.Read(2, 0x10000), OkAccess('A'));
  EXPECT_EQ(w.Write(1, 0x10000, 'x'), OkAccess());
  EXPECT_EQ(w.Write(2, 0x11000, 'y'), OkAccess());
  EXPECT_EQ(w.Read(2, 0x10000), OkAccess('A'));
  EXPECT_EQ(w.Read(1, 0x11000), OkAccess('B'));
  EXPECT_EQ(w.Range(OpKind::kExit, 2, 0, 0), OkErrno());
  EXPECT_EQ(w.Read(1, 0x10000), OkAccess('x'));
  EXPECT_EQ(w.Read(2, 0x10000), Outcome());
  EXPECT_EQ(w.machine().live_labels(), std::vector<uint32_t>{1});
}

TEST(MachineTest, SharedAnonymousMemoryIsOneMemory) {
  World w;
  w.Space(1);
  w.MapAnon(1, 0x10000, 2, traces::kFlagShared | traces::kFlagFixed);
  EXPECT_EQ(w.Fork(1, 2), OkErrno());
  w.Write(2, 0x10000, 'c');
  EXPECT_EQ(w.Read(1, 0x10000), OkAccess('c'));
  w.Write(1, 0x11000, 'p');
  EXPECT_EQ(w.Read(2, 0x11000), OkAccess('p'));
}

TEST(MachineTest, FilesReadTheSameEverywhereAndKeepSharedWrites) {
  World w;
  w.Space(1);
  w.Space(2);
  const uint64_t key = base::HashText("libc.so") | 1;
  auto map = [&](uint32_t task, uint64_t at, uint32_t sharing) {
    return w.Do({.kind = OpKind::kMmap,
                 .task = task,
                 .at = at,
                 .size = 0x2000,
                 .prot = base::kProtReadWrite,
                 .flags = sharing | traces::kFlagFixed,
                 .file_key = key,
                 .offset = 0x3000});
  };
  EXPECT_EQ(map(1, 0x10000, traces::kFlagPrivate), OkErrno(0x10000));
  EXPECT_EQ(map(2, 0x20000, traces::kFlagShared), OkErrno(0x20000));
  Outcome before = w.Read(1, 0x10000, 0x2000);
  EXPECT_TRUE(before.ok());
  EXPECT_EQ(w.Read(2, 0x20000, 0x2000), before);
  w.Write(2, 0x20010, 'S');
  EXPECT_EQ(w.Read(1, 0x10010), OkAccess('S'));
  w.Write(1, 0x10010, 'P');
  EXPECT_EQ(w.Read(2, 0x20010), OkAccess('S'));
  w.Range(OpKind::kExit, 2, 0, 0);
  w.Space(3);
  EXPECT_EQ(map(3, 0x30000, traces::kFlagPrivate), OkErrno(0x30000));
  EXPECT_EQ(w.Read(3, 0x30010), OkAccess('S'));
}

TEST(MachineTest, BsdErrorsAreErrnoValues) {
  World w;
  w.Space(1);
  EXPECT_EQ(w.MapAnon(1, 0x10800, 1), Fails(Errno::kEinval));
  EXPECT_EQ(w.MapAnon(1, 0xfffffffffffff000, 2), Fails(Errno::kEoverflow));
  EXPECT_EQ(w.MapAnon(1, 0x7fffffffe000, 2), Fails(Errno::kEfbig));
  EXPECT_EQ(w.MapAnon(1, 0, 1), Fails(Errno::kEinval));
  EXPECT_EQ(w.Range(OpKind::kMunmap, 1, 0, 0x1000), Fails(Errno::kEinval));
  EXPECT_EQ(w.Range(OpKind::kBrk, 1, 0x10000, 0), Fails(Errno::kEinval));
  EXPECT_EQ(w.Range(OpKind::kExecBrk, 1, 0x10000, 0), OkErrno());
  EXPECT_EQ(w.Range(OpKind::kBrk, 1, 0x10010, 0), OkErrno());
  EXPECT_EQ(w.Write(1, 0x10fff, 'h'), OkAccess());
  EXPECT_EQ(w.Range(OpKind::kBrk, 1, 0x10000, 0), OkErrno());
  EXPECT_EQ(w.Read(1, 0x10fff), Fails(FaultCode::kSegvMapErr, 0x10fff));
  EXPECT_EQ(w.Do({.kind = OpKind::kMadvise,
                  .task = 1,
                  .at = 0x10000,
                  .size = 0x1000,
                  .advice = base::Advice::kDontNeed}),
            Fails(Errno::kEfault));
  EXPECT_EQ(w.Born(OpKind::kSpace, 2, 0, 0, 0x1234), Fails(Errno::kEinval));
}

TEST(MachineTest, TheHeapIsInheritedByForkAndForgottenByExec) {
  World w;
  w.Space(1);
  auto brk = [&](uint32_t task, uint64_t at) { return w.Range(OpKind::kBrk, task, at, 0); };
  EXPECT_EQ(brk(1, 0x100000), Fails(Errno::kEinval));
  EXPECT_EQ(w.Range(OpKind::kExecBrk, 1, 0x100000, 0), OkErrno());
  EXPECT_EQ(brk(1, 0x102800), OkErrno());
  EXPECT_EQ(w.Write(1, 0x102fff, 'h'), OkAccess());  // the heap's last page is whole
  EXPECT_EQ(w.Fork(1, 2), OkErrno());
  EXPECT_EQ(brk(2, 0x101000), OkErrno());
  EXPECT_EQ(w.Read(2, 0x102fff), Fails(FaultCode::kSegvMapErr, 0x102fff));
  EXPECT_EQ(w.Read(1, 0x102fff), OkAccess('h'));
  EXPECT_EQ(brk(1, 0xff000), Fails(Errno::kEinval));
  EXPECT_EQ(brk(1, traces::kDefaultMapMax + 0x1000), Fails(Errno::kEnomem));
  EXPECT_EQ(brk(1, ~uint64_t{0}), Fails(Errno::kEnomem));  // rounds up to 0
  EXPECT_EQ(brk(1, 0x103001), OkErrno());
  EXPECT_EQ(w.Write(1, 0x103fff, 'i'), OkAccess());
  EXPECT_EQ(w.Range(OpKind::kExec, 1, 0, 0), OkErrno());
  EXPECT_EQ(brk(1, 0x103001), Fails(Errno::kEinval));
}

TEST(MachineTest, AFixedFileMappingKeepsTheOffsetInThePage) {
  World w;
  w.Space(1);
  auto map = [&](uint64_t at, uint64_t offset, base::Prot prot, const char* file = "a") {
    return w.Do({.kind = OpKind::kMmap,
                 .task = 1,
                 .at = at,
                 .size = 0x10,
                 .prot = prot,
                 .flags = traces::kFlagPrivate | traces::kFlagFixed,
                 .file_key = base::HashText(file) | 1,
                 .offset = offset});
  };
  EXPECT_EQ(map(0x10000, 0x5000, base::kProtRead), OkErrno(0x10000));
  // Writing implies reading at this edge.
  EXPECT_EQ(map(0x20123, 0x5123, base::kProtWrite), OkErrno(0x20123));
  EXPECT_EQ(map(0x30000, 0x6000, base::kProtRead), OkErrno(0x30000));
  EXPECT_EQ(map(0x40000, 0x5000, base::kProtRead, "b"), OkErrno(0x40000));
  EXPECT_EQ(map(0x20123, 0x5122, base::kProtRead), Fails(Errno::kEinval));
  // Beyond the last offset; the file's reference must be given back (ValidObjectRefs, at the end).
  EXPECT_EQ(map(0x50000, ~uint64_t{0xfff}, base::kProtRead), Fails(Errno::kEinval));
  Outcome page = w.Read(1, 0x10000, 0x1000);
  EXPECT_TRUE(page.ok());
  EXPECT_EQ(w.Read(1, 0x20000, 0x1000), page);
  EXPECT_NE(w.Read(1, 0x30000, 0x1000), page);
  EXPECT_NE(w.Read(1, 0x40000, 0x1000), page);
}

TEST(MachineTest, RangesThatWrapAreRefusedOrEmpty) {
  World w;
  w.Space(1);
  w.MapAnon(1, 0x20000, 1);
  const uint64_t wrap = ~uint64_t{0} - 0xffff;  // ends 64 KiB before it starts
  EXPECT_EQ(w.Range(OpKind::kMprotect, 1, 0x20000, wrap), Fails(Errno::kEinval));
  EXPECT_EQ(w.Range(OpKind::kMunmap, 1, 0x20000, wrap), Fails(Errno::kEinval));
  EXPECT_EQ(w.MapAnon(1, 0, 0, traces::kFlagPrivate), OkErrno(traces::kMapMin));
  EXPECT_EQ(w.Range(OpKind::kMmap, 1, 0, ~uint64_t{0}, base::kProtRead, traces::kFlagPrivate),
            Fails(Errno::kEnomem));
  EXPECT_EQ(w.Range(OpKind::kLinuxDontneed, 1, 0x20001, 1), Fails(Errno::kEinval));
  EXPECT_EQ(w.Do({.kind = OpKind::kMadvise,
                  .task = 1,
                  .at = 0x20000,
                  .size = 0x2000,
                  .advice = base::Advice::kFree}),
            Fails(Errno::kEfault));
  EXPECT_EQ(w.Born(OpKind::kTask, 2), OkKern());
  EXPECT_EQ(w.Range(OpKind::kVmAllocate, 2, 0x10345, 0x1000), OkKern(0x10000));
  EXPECT_EQ(w.Range(OpKind::kVmDeallocate, 2, 0x10345, 0), OkKern());
  EXPECT_EQ(w.Range(OpKind::kVmDeallocate, 2, 0x10345, wrap), OkKern());
  EXPECT_EQ(w.Write(2, 0x10345, 'm'), OkAccess());
}

TEST(MachineTest, RegionsSayWhetherTheyAreShared) {
  World w;
  w.Space(1);
  w.MapAnon(1, 0x10000, 1);
  w.MapAnon(1, 0x20000, 1, traces::kFlagShared | traces::kFlagFixed);
  EXPECT_FALSE(w.Range(OpKind::kVmRegion, 1, 0x10000, 0).region.shared);
  EXPECT_TRUE(w.Range(OpKind::kVmRegion, 1, 0x20000, 0).region.shared);
}

TEST(MachineTest, MmapFindsRoomWhereItIsFree) {
  World w;
  w.Space(1);
  Outcome first = w.MapAnon(1, 0, 3, traces::kFlagPrivate);
  ASSERT_TRUE(first.ok());
  EXPECT_GE(first.value, traces::kMapMin);
  Outcome hint = w.MapAnon(1, 0x500000, 3, traces::kFlagPrivate | traces::kFlagTryFixed);
  EXPECT_EQ(hint, OkErrno(0x500000));
  Outcome elsewhere = w.MapAnon(1, 0x501000, 3, traces::kFlagPrivate | traces::kFlagTryFixed);
  ASSERT_TRUE(elsewhere.ok());
  EXPECT_NE(elsewhere.value, 0x501000u);
  EXPECT_EQ(w.Do({.kind = OpKind::kMremap,
                  .task = 1,
                  .at = 0x500000,
                  .to = 0x900000,
                  .size = 0x3000,
                  .new_size = 0x5000,
                  .flags = traces::kFlagFixed}),
            OkErrno(0x900000));
  EXPECT_EQ(w.Write(1, 0x904fff, 'e'), OkAccess());
  EXPECT_EQ(w.Read(1, 0x500000), Fails(FaultCode::kSegvMapErr, 0x500000));
}

TEST(MachineTest, MachTasksSpeakKernReturns) {
  World w;
  EXPECT_EQ(w.Born(OpKind::kTask, 1), OkKern());
  EXPECT_EQ(w.Range(OpKind::kVmAllocate, 1, 0x10000, 0x2000), OkKern(0x10000));
  EXPECT_EQ(w.Range(OpKind::kVmAllocate, 1, 0x11000, 0x2000), Fails(KernReturn::kNoSpace));
  EXPECT_EQ(w.Write(1, 0x10000, 'm'), OkAccess());
  EXPECT_EQ(w.Read(1, 0x12000), Fails(FaultCode::kMachInvalidAddress, 0x12000));
  EXPECT_EQ(w.Range(OpKind::kVmProtect, 1, 0x10000, 0x1000, base::kProtRead, traces::kFlagSetMax),
            OkKern());
  EXPECT_EQ(w.Range(OpKind::kVmProtect, 1, 0x10000, 0x2000, base::kProtReadWrite),
            Fails(KernReturn::kProtectionFailure));
  EXPECT_EQ(w.Write(1, 0x10000, 'n'), Fails(FaultCode::kMachProtection, 0x10000));
  Outcome region = w.Range(OpKind::kVmRegion, 1, 0x5000, 0);
  EXPECT_TRUE(region.ok());
  EXPECT_EQ(region.value, 0x10000u);
  EXPECT_EQ(region.size, 0x1000u);
  EXPECT_EQ(region.region.prot, base::kProtRead);
  EXPECT_EQ(region.region.max_prot, base::kProtRead);
  EXPECT_EQ(w.Born(OpKind::kTaskCreate, 2, 1, traces::kFlagInherit), OkKern());
  EXPECT_EQ(w.Read(2, 0x10000), OkAccess('m'));
  EXPECT_EQ(w.Born(OpKind::kTaskCreate, 3, 1), OkKern());
  EXPECT_EQ(w.Read(3, 0x10000), Fails(FaultCode::kMachInvalidAddress, 0x10000));
  EXPECT_EQ(w.Range(OpKind::kTaskTerminate, 1, 0, 0), OkKern());
  EXPECT_EQ(w.Read(2, 0x10000), OkAccess('m'));
}

TEST(MachineTest, LabelsThatNameNothingAreSkipped) {
  World w;
  EXPECT_EQ(w.Read(7, 0x1000), Outcome());
  EXPECT_EQ(w.Fork(7, 8), Outcome());
  w.Space(1);
  EXPECT_EQ(w.Space(1), Outcome());
  EXPECT_EQ(w.Fork(1, 1), Outcome());
}

TEST(MachineTest, TaskLimitIsAnErrorNotAnEnd) {
  Machine::Options options;
  options.max_tasks = 3;
  World w(options);
  w.Space(1);
  w.Space(2);
  EXPECT_EQ(w.Fork(1, 3), OkErrno());
  EXPECT_EQ(w.Fork(1, 4), Fails(Errno::kEagain));
  EXPECT_EQ(w.Born(OpKind::kTask, 4), Fails(KernReturn::kResourceShortage));
  w.Range(OpKind::kExit, 2, 0, 0);
  EXPECT_EQ(w.Fork(1, 4), OkErrno());
}

TEST(MachineTest, ThreadsOfDeadTasksServeAgain) {
  World w;
  w.Space(1);
  w.Fork(1, 2);
  w.Range(OpKind::kExit, 2, 0, 0);
  uint32_t threads = w.machine().server().threads().count();
  for (uint32_t child = 3; child < 100; ++child) {
    EXPECT_EQ(w.Fork(1, child), OkErrno());
    w.Range(OpKind::kExit, child, 0, 0);
  }
  EXPECT_EQ(w.machine().server().threads().count(), threads);
}

// The task that was not born is not counted, or the limit would be met instead, and the kernel has
// forgotten its thread.
TEST(MachineTest, AForkWithoutMemoryLeavesNoTask) {
  Machine::Options options;
  options.max_tasks = 2;
  options.ram_bytes = 1 << 20;
  options.arena_bytes = 4 << 20;
  World w(options);
  w.Space(1);
  w.Fork(1, 2);  // leaves records and threads behind, so that only UVM can run out
  w.Range(OpKind::kExit, 2, 0, 0);
  const size_t threads = w.machine().kernel().Threads().size();
  while (w.MapAnon(1, 0, 1, traces::kFlagShared).ok()) continue;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(w.Fork(1, 3), Fails(Errno::kEnomem));
  EXPECT_EQ(w.machine().kernel().Threads().size(), threads);
}

TEST(MachineTest, MemoryThatRunsOutKillsOnlyTheOneThatAsked) {
  Machine::Options options;
  options.ram_bytes = 1 << 20;
  World w(options);
  w.Space(1);
  w.Space(2);
  w.MapAnon(1, 0x100000, 1024);
  w.MapAnon(2, 0x100000, 1);
  w.Write(2, 0x100000, 'z');
  Outcome big = w.Write(1, 0x100000, 'x', 1024 << 12);
  EXPECT_EQ(big.code, static_cast<int32_t>(FaultCode::kKill));
  EXPECT_EQ(w.Read(2, 0x100000), OkAccess('z'));
  w.Range(OpKind::kExit, 1, 0, 0);
  w.Space(3);
  w.MapAnon(3, 0x100000, 128);
  EXPECT_EQ(w.Write(3, 0x100000, 'y', 128 << 12), OkAccess());
}

// A mix that touches every path; the same in every run.
Ledger RunMix(World* w) {
  w->Space(1);
  w->MapAnon(1, 0x10000, 64);
  for (uint32_t child = 2; child < 12; ++child) {
    w->Write(1, 0x10000, static_cast<char>('A' + child), 48 << 12);
    w->Fork(1, child);
    w->Write(child, 0x20000, 'c', 16 << 12);
    w->Range(OpKind::kMprotect, child, 0x10000, 0x8000, base::kProtRead);
    w->Range(OpKind::kMunmap, child, 0x20000, 0x8000);
    w->Read(child, 0x10000, 0x10000);
    if (child % 2 == 0) w->Range(OpKind::kExit, child, 0, 0);
  }
  return w->machine().ledger();
}

TEST(MachineTest, TheSameOperationsCostTheSame) {
  World a;
  World b;  // two machines at once in one process
  Ledger first = RunMix(&a);
  Ledger second = RunMix(&b);
  std::string text;
  first.ForEach([&text](const char* name, uint64_t value) {
    text += std::string(name) + "=" + std::to_string(value) + " ";
  });
  EXPECT_EQ(first, second) << text;
  EXPECT_GT(first.fault_1b, 0u) << text;
  EXPECT_GT(first.zero_fill, 0u) << text;
  EXPECT_EQ(first.fork, 10u) << text;
}

// ---- Injected faults ----

Outcome Inject(World* w, base::FaultSite site, uint64_t skip = 0) {
  return w->Do({.kind = OpKind::kInject, .site = site, .skip = skip});
}

TEST(MachineTest, AnInjectionThatDoesNotHappenIsForgotten) {
  World w;
  EXPECT_EQ(Inject(&w, base::FaultSite::kMappingNode, 1), OkErrno());
  w.Space(1);  // maps nothing
  w.MapAnon(1, 0x10000, 4);
  EXPECT_EQ(w.Write(1, 0x10000, 'a', 1), OkAccess());
  EXPECT_EQ(w.machine().ledger().faults_injected, 0u);
  Inject(&w, base::FaultSite::kMappingNode);
  EXPECT_EQ(w.Write(1, 0x11000, 'a', 1), OkAccess());
  EXPECT_EQ(w.machine().ledger().faults_injected, 1u);
}

TEST(MachineTest, AMappingThatWasRefusedIsMadeAtTheNextFault) {
  World w;
  w.Space(1);
  for (uint64_t i = 0; i < 2; ++i) w.MapAnon(1, 0x10000 + (i << 20), 1);
  Inject(&w, base::FaultSite::kMappingNode);  // the page, straight from home
  EXPECT_EQ(w.Write(1, 0x10000, 'a', 4096), OkAccess());
  EXPECT_EQ(w.machine().ledger().faults_injected, 1u);
  EXPECT_EQ(w.machine().pmap().counters().resends, 1u);
  EXPECT_EQ(w.Write(1, 0x110000, 'b', 4096), OkAccess());
  w.Fork(1, 2);
  for (uint64_t skip = 0; skip < 2; ++skip) {  // the server's alias, the client's page
    Inject(&w, base::FaultSite::kMappingNode, skip);
    EXPECT_TRUE(w.Read(2, 0x10000 + (skip << 20)).ok());
    EXPECT_EQ(w.machine().ledger().faults_injected, skip + 2);
    EXPECT_EQ(w.machine().pmap().counters().resends, skip + 2);
  }
}

TEST(MachineTest, AKernelOutOfMappingMemoryFailsTheAccess) {
  World w;
  w.Space(1);
  w.MapAnon(1, 0x10000, 16);
  for (uint64_t i = 0; i < 100; ++i) Inject(&w, base::FaultSite::kMappingNode, i);
  EXPECT_EQ(w.Write(1, 0x10000, 'a', 1), Fails(FaultCode::kKill, 0x10000));
  // And not for ever.
  EXPECT_EQ(w.Write(1, 0x10000, 'b', 1), OkAccess());
}

TEST(MachineTest, ABirthWithoutKernelMemoryLeavesNothing) {
  World w;
  w.Space(1);
  w.MapAnon(1, 0x10000, 4);
  // No pager (its worker is kept); a pager, but no client; nobody but the client is missing.
  uint64_t failures = 0;
  for (uint64_t skip : {0u, 1u, 0u}) {
    Inject(&w, base::FaultSite::kKernelMemory, skip);
    EXPECT_EQ(w.Fork(1, 2), Fails(Errno::kEnomem)) << skip;
    EXPECT_EQ(w.machine().ledger().faults_injected, ++failures);
    w.ExpectSound();
  }
  EXPECT_EQ(w.Fork(1, 2), OkErrno());
}

// Something on a simulated thread of the server's own space that runs once, at once.
void RunInRootSpace(Machine* machine, void (*body)()) { machine->kernel().Boot({.entry = body}); }

TEST(MachineTest, AFailedCheckEndsTheMachineNotTheProgram) {
  Machine machine({});
  ASSERT_TRUE(machine.Apply({.kind = OpKind::kSpace, .child = 1}).ok());
  RunInRootSpace(&machine, [] { vm_panic("here.cc", 1, "two and two are five"); });
  EXPECT_EQ(machine.Apply({.kind = OpKind::kExec, .task = 1}), Outcome());
  EXPECT_EQ(machine.crash(), "here.cc:1: CHECK failed: two and two are five");
  EXPECT_EQ(machine.Apply({.kind = OpKind::kExec, .task = 1}), Outcome());
}

// The simulation's threads have stacks of the host's; on another kernel they would use these.
TEST(MachineTest, EveryServerThreadHasAStackOfItsOwn) {
  Machine machine({});
  ASSERT_TRUE(machine.Apply({.kind = OpKind::kSpace, .child = 1}).ok());
  ASSERT_TRUE(machine.Apply({.kind = OpKind::kSpace, .child = 2}).ok());
  const vmserver::Threads& threads = machine.server().threads();
  std::set<uint64_t> stacks;
  uint32_t started = 0;
  for (uint32_t i = 0; i < threads.count(); ++i) {
    fake_l4::ThreadInfo info{};
    ASSERT_TRUE(machine.kernel().Inspect(threads.DebugAt(i)->thread, &info));
    if (threads.DebugAt(i)->thread == machine.kernel().root()) continue;
    ++started;
    EXPECT_NE(info.sp, 0u) << i;
    EXPECT_EQ(info.sp % base::kPageSize, 0u) << i;
    stacks.insert(info.sp);
  }
  EXPECT_GE(started, 3u);
  EXPECT_EQ(stacks.size(), started);
}

TEST(MachineTest, AnOperationThatNeverEndsIsReported) {
  Machine machine({});
  ASSERT_TRUE(machine.Apply({.kind = OpKind::kSpace, .child = 1}).ok());
  static L4_ThreadId_t pager;
  const vmserver::Threads& threads = machine.server().threads();
  for (uint32_t i = 0; i < threads.count(); ++i) {
    if (threads.DebugAt(i)->task != nullptr) pager = threads.DebugAt(i)->thread;
  }
  RunInRootSpace(&machine, [] { L4_AbortIpc_and_stop(pager, nullptr, nullptr, nullptr); });
  EXPECT_EQ(machine.Apply({.kind = OpKind::kExec, .task = 1}), Outcome());
  ASSERT_TRUE(machine.stuck().has_value());
  EXPECT_NE(machine.stuck()->find("deadlock"), std::string::npos) << *machine.stuck();
  EXPECT_EQ(machine.crash(), std::nullopt);
}

}  // namespace
}  // namespace machine
