// The Mach personality: vm_*() and task calls, with kern_return_t values.
//
// Ranges are clamped to the map's bounds without complaint, as GNU Mach does, so that a wrapped or
// outlying range is an empty one. SEE facts/mach.md section 3; design.md D11 (the model states the
// same on its own).

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

using base::KernReturn;
using base::MapError;
using base::Prot;
using base::Range;
using base::Vaddr;

KernReturn KernOf(MapError error) {
  switch (error) {
    case MapError::kInvalidArgument:
      return KernReturn::kInvalidArgument;
    case MapError::kOutOfRange:
      return KernReturn::kInvalidAddress;
    case MapError::kNoSpace:
      return KernReturn::kNoSpace;
    case MapError::kNoMemory:
      return KernReturn::kResourceShortage;
    case MapError::kProtection:
      return KernReturn::kProtectionFailure;
    case MapError::kHole:
      return KernReturn::kInvalidAddress;
    case MapError::kBusy:
      return KernReturn::kFailure;
    case MapError::kIo:
      return KernReturn::kMemoryError;
    case MapError::kTryAgain:
    case MapError::kNotFound:
      return KernReturn::kFailure;
    case MapError::kTooBig:
      return KernReturn::kInvalidArgument;
  }
  UNREACHABLE("no such map error");
}

KernReturn KernOf(base::Result<void, MapError> result) {
  return result.ok() ? KernReturn::kSuccess : KernOf(result.error());
}

Range ClampedRange(const uvm::Map& map, uint64_t at, uint64_t size) {
  Vaddr start(base::TruncPage(at));
  Vaddr end(base::RoundPage(at + size));
  if (start < map.min()) start = map.min();
  if (end > map.max()) end = map.max();
  if (start > end) start = end;
  return {start, end};
}

}  // namespace

Answer Server::TaskCreate(Task* task, const Message& m) {
  auto born = Birth(task, Personality::kMach, m.words[1] != 0, task->space->map().max());
  if (!born.ok()) return KernReturn::kResourceShortage;
  return Answer(KernReturn::kSuccess).With(born.value()->id).With(born.value()->thread.raw);
}

Answer Server::TaskTerminate(Task* task) {
  if (task == init_) return KernReturn::kFailure;  // nobody else could make tasks
  EndTask(task);
  Answer nobody(KernReturn::kSuccess);
  nobody.silent = true;
  return nobody;
}

Answer Server::VmAllocate(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  const Vaddr at = Vaddr(m.words[1]).Trunc();
  const bool anywhere = m.words[3] != 0;
  if (m.words[2] == 0) return Answer(KernReturn::kSuccess).With(0);
  const uint64_t size = base::RoundPage(m.words[2]);
  if (size == 0) return KernReturn::kInvalidArgument;
  Range range;
  if (!anywhere &&
      (at < map.min() || !Range::FromSize(at, size, &range) || range.end > map.max())) {
    return KernReturn::kInvalidAddress;
  }
  uvm::Map::EnterOptions options;
  options.at = anywhere ? map.min() : at;
  options.size = size;
  options.where = anywhere ? uvm::Map::Where::kAnywhere : uvm::Map::Where::kFixed;
  options.prot = base::kProtReadWrite;
  auto entered = map.Enter(options);
  if (!entered.ok()) return KernOf(entered.error());
  return Answer(KernReturn::kSuccess).With(entered.value().value());
}

Answer Server::VmDeallocate(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  if (m.words[2] == 0) return KernReturn::kSuccess;
  return KernOf(map.Unmap(ClampedRange(map, m.words[1], m.words[2])));
}

Answer Server::VmProtect(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  const L4_Word_t bits = m.words[4];
  if ((bits & ~L4_Word_t{base::kProtAll.bits()}) != 0) return KernReturn::kInvalidArgument;
  return KernOf(map.Protect(ClampedRange(map, m.words[1], m.words[2]),
                            Prot(static_cast<uint8_t>(bits)),
                            m.words[3] != 0 ? uvm::SetMax::kYes : uvm::SetMax::kNo));
}

Answer Server::VmInherit(Task* task, const Message& m) {
  uvm::Map& map = task->space->map();
  switch (m.words[3]) {
    case static_cast<L4_Word_t>(base::Inherit::kShare):
    case static_cast<L4_Word_t>(base::Inherit::kCopy):
    case static_cast<L4_Word_t>(base::Inherit::kNone):
      return KernOf(map.SetInherit(ClampedRange(map, m.words[1], m.words[2]),
                                   static_cast<base::Inherit>(m.words[3])));
    default:
      return KernReturn::kInvalidArgument;
  }
}

Answer Server::VmRegion(Task* task, const Message& m) {
  uvm::Map::Region region;
  if (!task->space->map().FindRegion(Vaddr(m.words[1]), &region)) return KernReturn::kNoSpace;
  return Answer(KernReturn::kSuccess)
      .With(region.range.start.value())
      .With(region.range.size())
      .With(region.prot.bits())
      .With(region.max_prot.bits())
      .With(static_cast<uint64_t>(region.inherit))
      .With(region.shared ? 1 : 0);
}

}  // namespace vmserver
