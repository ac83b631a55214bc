// The Mach calls that move contents: vm_read, vm_write, vm_copy.
//
// Data travels as address ranges, never as pages (design D14): a snapshot of the source is made as
// fork makes a child's copy, and put where the data belongs. What a client wrote before the call is
// in it, what is written later is not. SEE facts/mach.md section 3; uvm/map_copy.cc.

#include "base/check.h"
#include "vmserver/mach_words.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

using base::KernReturn;
using base::MapError;
using base::Prot;
using base::Range;
using base::Vaddr;

KernReturn CopyError(MapError error) {
  switch (error) {
    case MapError::kHole:
      return KernReturn::kInvalidAddress;
    case MapError::kProtection:
      return KernReturn::kProtectionFailure;
    case MapError::kNoSpace:
      return KernReturn::kNoSpace;
    case MapError::kIo:
      return KernReturn::kMemoryError;
    default:
      return KernReturn::kResourceShortage;
  }
}

// The pages of [at, at + size), size > 0. kInvalidAddress: the range wraps, ends at the last
// address, or has a hole; kProtectionFailure: a page lacks `needed`; whichever a walk from below
// meets first.
KernReturn CheckRange(Task* task, uint64_t at, uint64_t size, Prot needed, Range* out) {
  const uint64_t mask = MaskOf(task);
  const uint64_t end = (at + size) & mask;
  if (end <= at) return KernReturn::kInvalidAddress;
  uvm::Map& map = task->space->map();
  *out = {Vaddr(base::TruncPage(at)), Vaddr(base::RoundPage(end))};
  // Not to the rounded end, which wraps where the range ends in the last page; that is never
  // mapped.
  for (Vaddr va = out->start; va.value() < end;) {
    uvm::Map::Region region;
    if (!map.FindRegion(va, &region) || region.range.start > va) {
      return KernReturn::kInvalidAddress;
    }
    if (!needed.IsSubsetOf(region.prot)) return KernReturn::kProtectionFailure;
    va = region.range.end;
  }
  return KernReturn::kSuccess;
}

}  // namespace

Answer Server::VmRead(Task* caller, Task* target, const Message& m) {
  const uint64_t mask = MaskOf(target);
  const uint64_t at = m.words[1] & mask;
  const uint64_t size = m.words[2] & mask;
  if (size == 0) return Answer(KernReturn::kSuccess).With(0).With(0);
  Range range;
  KernReturn checked = CheckRange(target, at, size, base::kProtRead, &range);
  if (checked != KernReturn::kSuccess) return checked;
  uvm::Snapshot copy;
  auto copied = uvm_->CopyIn(target->space, range, &copy);
  if (!copied.ok()) return CopyError(copied.error());
  auto placed = caller->space->map().CopyOut(&copy, base::kProtReadWrite);
  if (!placed.ok()) {
    caller->space->map().DropSnapshot(&copy);
    return CopyError(placed.error());
  }
  return Answer(KernReturn::kSuccess)
      .With(placed.value().value() + (at & base::kPageMask))
      .With(size);
}

// Puts a snapshot into [at, at + its size) of the task; drops it when that fails.
Answer Server::CopyOver(Task* task, uint64_t at, uvm::Snapshot* copy) {
  Range range;
  KernReturn done = CheckRange(task, at, copy->size, base::kProtWrite, &range);
  if (done == KernReturn::kSuccess) {
    auto written = uvm_->Overwrite(task->space, range.start, copy);
    if (!written.ok()) done = CopyError(written.error());
  }
  if (done != KernReturn::kSuccess) task->space->map().DropSnapshot(copy);
  return done;
}

Answer Server::VmWrite(Task* caller, Task* target, const Message& m) {
  const uint64_t mask = MaskOf(target);
  const uint64_t at = m.words[1] & mask;
  const uint64_t data = m.words[2] & MaskOf(caller);
  const uint64_t size = m.words[3] & mask;
  if (size == 0) return KernReturn::kSuccess;
  // The data comes with the message, before anybody looks at the call.
  Range range;
  if (CheckRange(caller, data, size, base::kProtRead, &range) != KernReturn::kSuccess) {
    return KernReturn::kSendInvalidMemory;
  }
  if (!base::IsPageAligned(at) || !base::IsPageAligned(data) || !base::IsPageAligned(size)) {
    return KernReturn::kInvalidArgument;
  }
  uvm::Snapshot copy;
  auto copied = uvm_->CopyIn(caller->space, range, &copy);
  if (!copied.ok()) return CopyError(copied.error());
  return CopyOver(target, at, &copy);
}

Answer Server::VmCopy(Task* task, const Message& m) {
  const uint64_t mask = MaskOf(task);
  const uint64_t from = m.words[1] & mask;
  const uint64_t size = m.words[2] & mask;
  const uint64_t to = m.words[3] & mask;
  if (size == 0) return KernReturn::kSuccess;
  Range range;
  KernReturn checked = CheckRange(task, from, size, base::kProtRead, &range);
  if (checked != KernReturn::kSuccess) return checked;
  if (!base::IsPageAligned(from) || !base::IsPageAligned(size) || !base::IsPageAligned(to)) {
    return KernReturn::kInvalidArgument;
  }
  uvm::Snapshot copy;
  auto copied = uvm_->CopyIn(task->space, range, &copy);
  if (!copied.ok()) return CopyError(copied.error());
  return CopyOver(task, to, &copy);
}

}  // namespace vmserver
