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

// Wires or unwires those parts of the range, which has no hole, that can be: what gives no access
// has no pages to wire, and what is not wired none to unwire.
base::Result<void, MapError> Server::Rewire(Task* task, Range range, uvm::Wiring wiring) {
  uvm::Map& map = task->space->map();
  Vaddr from = range.start;
  for (Vaddr va = range.start; va < range.end;) {
    uvm::Map::Region region;
    CHECK(map.FindRegion(va, &region));
    const Vaddr end = region.range.end < range.end ? region.range.end : range.end;
    const bool counts =
        wiring == uvm::Wiring::kWire ? !uvm::EffectiveProt(region.prot).IsNone() : region.wired;
    if (!counts) {
      TRY(map.Pageable({from, va}, wiring));
      from = end;
    }
    va = end;
  }
  return map.Pageable({from, range.end}, wiring);
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
    const uint64_t wired = base::ToBytes(map.WiredPages());
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
  return KernOf(Rewire(target, range, needed.IsNone() ? uvm::Wiring::kUnwire : uvm::Wiring::kWire));
}

Answer Server::VmWireAll(Task* caller, Task* target, const Message& m) {
  if (RightOf(caller, m.words[1]) != HostRight::kPrivileged) return KernReturn::kInvalidHost;
  constexpr uint64_t kKnown = uvm::Map::kWireCurrent | uvm::Map::kWireFuture;
  const uint64_t flags = m.words[2] & MaskOf(target);
  if ((flags & ~kKnown) != 0) return KernReturn::kInvalidArgument;
  return KernOf(target->space->map().PageableAll(static_cast<uint32_t>(flags), 0));
}

}  // namespace vmserver
