// The Mach calls that wire memory: vm_wire, vm_wire_all. SEE facts/mach.md section 3.

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

enum class HostRight : uint8_t { kNone, kPlain, kPrivileged };

HostRight RightOf(const Task* caller, uint64_t name) {
  if (name == kHostName) return HostRight::kPlain;
  return name == kHostPrivName && caller->privileged ? HostRight::kPrivileged : HostRight::kNone;
}

}  // namespace

// kNoMemory also where too much of the machine's memory is wired already.
base::Result<void, MapError> Server::Wire(Task* task, Range range) {
  if (!uvm_->frames().MayWire(range.pages())) return MapError::kNoMemory;
  return task->space->map().Pageable(range, uvm::Wiring::kWire);
}

// The wired parts of the range, which has no hole.
base::Result<void, MapError> Server::Unwire(Task* task, Range range) {
  uvm::Map& map = task->space->map();
  for (Vaddr va = range.start; va < range.end;) {
    uvm::Map::Region region;
    CHECK(map.FindRegion(va, &region));
    const Vaddr end = region.range.end < range.end ? region.range.end : range.end;
    if (region.wired) TRY(map.Pageable({va, end}, uvm::Wiring::kUnwire));
    va = end;
  }
  return {};
}

Answer Server::Enter(Task* task, const uvm::Map::EnterOptions& options) {
  uvm::Map& map = task->space->map();
  auto entered = map.Enter(options);
  if (!entered.ok()) return KernOf(entered.error());
  const Vaddr at = entered.value();
  if (map.wires_future() && !options.prot.IsNone()) {
    const Range range = {at, at + options.size};
    auto wired = Wire(task, range);
    if (!wired.ok()) {
      auto unmapped = map.Unmap(range);
      return unmapped.ok() ? KernReturn::kResourceShortage : KernOf(unmapped.error());
    }
  }
  return Answer(KernReturn::kSuccess).With(at.value());
}

// What is wired counts by the regions that were asked for, whatever their translations; what has no
// rights does not count until it has some again (facts/mach.md 3, vm_protect).
uint64_t Server::WiredBytes(uvm::Map* map) {
  uint64_t bytes = 0;
  uvm::Map::Region region;
  for (Vaddr va = map->min(); map->FindRegion(va, &region); va = region.range.end) {
    if (region.wired && !region.prot.IsNone()) bytes += region.range.size();
  }
  return bytes;
}

Answer Server::VmWire(Task* caller, Task* target, const Message& m) {
  const uint64_t mask = MaskOf(target);
  const HostRight right = RightOf(caller, m.words[1]);
  if (right == HostRight::kNone) return KernReturn::kInvalidHost;
  const uint64_t access = m.words[4] & mask;
  if ((access & ~uint64_t{base::kProtAll.bits()}) != 0) return KernReturn::kInvalidArgument;
  uvm::Map& map = target->space->map();
  const uint64_t size = m.words[3] & mask;
  if (right == HostRight::kPlain) {
    const uint64_t wired = WiredBytes(&map);
    if (size > kUnprivilegedWireBytes || wired + size > kUnprivilegedWireBytes) {
      return KernReturn::kNoAccess;
    }
  }
  const Range range = ClampedRange(target, m.words[2], size);
  const Prot needed(static_cast<uint8_t>(access));
  Vaddr va = range.start;
  do {
    uvm::Map::Region region;
    if (!map.FindRegion(va, &region) || region.range.start > va) return KernReturn::kNoSpace;
    if (!range.empty() && !needed.IsSubsetOf(region.prot)) return KernReturn::kNoSpace;
    va = region.range.end;
  } while (va < range.end);
  return KernOf(needed.IsNone() ? Unwire(target, range) : Wire(target, range));
}

Answer Server::VmWireAll(Task* caller, Task* target, const Message& m) {
  if (RightOf(caller, m.words[1]) != HostRight::kPrivileged) return KernReturn::kInvalidHost;
  constexpr uint64_t kKnown = uvm::Map::kWireCurrent | uvm::Map::kWireFuture;
  const uint64_t flags = m.words[2] & MaskOf(target);
  if ((flags & ~kKnown) != 0) return KernReturn::kInvalidArgument;
  return KernOf(target->space->map().PageableAll(static_cast<uint32_t>(flags), 0));
}

}  // namespace vmserver
