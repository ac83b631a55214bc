// Wiring: mlock, munlock, mlockall (facts/uvm.md 1.1, 2.14).
//
// An entry's wired_count is raised before its pages are faulted in, so that whatever faults
// meanwhile wires as well. The map is busy while that goes on: nobody changes its entries, though
// the lock is free for faults.

#include "base/check.h"
#include "uvm/map.h"
#include "uvm/map_entry.h"

namespace uvm {

MapError MapErrorOf(FaultError error) {
  switch (error) {
    case FaultError::kNoEntry:
    case FaultError::kLayerless:
      return MapError::kHole;
    case FaultError::kProtection:
      return MapError::kProtection;
    case FaultError::kNoMemory:
      return MapError::kNoMemory;
    case FaultError::kIo:
      return MapError::kIo;
    case FaultError::kPastEnd:
      return MapError::kTooBig;
  }
  UNREACHABLE("no such fault error");
}

namespace {

// A wired page must never move, so a copy that could come later is made now.
bool OwesCopyForWiring(const MapEntry& entry) {
  return entry.needs_copy && (entry.max_prot.CanWrite() || entry.object == nullptr);
}

}  // namespace

// NetBSD: uvm_map_entry_unwire().
void Map::UnwireEntryLocked(MapEntry* entry) {
  context_->wiring->FaultUnwireLocked(this, entry->range());
  CHECK(entry->wired_count == 0);
}

// Counts one more wiring of the part of `entry` inside `window` and marks it. False: memory ran
// out.
bool Map::RaiseWiringLocked(MapEntry* entry, Range window) {
  if (entry->wired_count == 0 && OwesCopyForWiring(*entry) &&
      !(FillSparesLocked() && CopyAmapLocked(entry, window, Chunk::kYes))) {
    return false;
  }
  // Only now: the copy may have joined it with a neighbour.
  if (!FillSparesLocked()) return false;
  ClipStartLocked(entry, window.start);
  ClipEndLocked(entry, window.end);
  ++entry->wired_count;
  entry->wire_me = true;
  return true;
}

// Faults in what is marked and was not wired before. On error *failed is the start of the entry
// that could not be wired. LOCKS: none; the map is busy by the caller.
Result<void, FaultError> Map::FaultMarkedIn(Range range,
                                            Vaddr* failed) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (MapEntry* entry = FirstAboveLocked(range.start); entry->start < range.end;
       entry = entry->next) {
    if (!entry->wire_me || entry->wired_count != 1) continue;
    *failed = entry->start;
    TRY(context_->wiring->FaultWire(this, entry->range()));
  }
  return {};
}

// Who faulted on a marked entry got wired translations. The page daemon, which takes no page from
// under its owner's lock, would else take one between the look and the change.
void Map::UnwireTranslationsLocked(const MapEntry& entry) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Amap* amap = entry.aref.amap;
  if (amap != nullptr) amap->lock->mutex.Lock();
  if (entry.object != nullptr) entry.object->mu.Lock();
  PmapSystem* pmap = context_->core->pmap;
  PmapSystem::Mapping mapping;
  for (Vaddr va = entry.start; pmap->PeekNext(pmap_, va, &mapping) && mapping.va < entry.end;
       va = mapping.va + base::kPageSize) {
    pmap->Unwire(pmap_, mapping.va);
  }
  if (entry.object != nullptr) entry.object->mu.Unlock();
  if (amap != nullptr) amap->lock->mutex.Unlock();
}

// Takes the marks of the range away, and with them the wirings they stand for. Below `wired_to` the
// pages were faulted in as well.
void Map::UndoMarkedLocked(Range range, Vaddr wired_to) {
  for (MapEntry* entry = FirstAboveLocked(range.start); entry->start < range.end;
       entry = entry->next) {
    if (!entry->wire_me) continue;
    entry->wire_me = false;
    if (entry->wired_count == 1 && entry->start < wired_to) {
      UnwireEntryLocked(entry);
    } else if (--entry->wired_count == 0) {
      UnwireTranslationsLocked(*entry);
    }
  }
}

Result<void, MapError> Map::WireMarkedLocked(Range range) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  SetBusyLocked();
  lock_.WriteUnlock();
  Vaddr failed = range.end;
  Result<void, FaultError> faulted = FaultMarkedIn(range, &failed);
  LockForChange();
  Unbusy();
  if (!faulted.ok()) {
    context_->core->probes.Hit(Probe::kWiringUndone);
    UndoMarkedLocked(range, failed);
    return MapErrorOf(faulted.error());
  }
  for (MapEntry* entry = FirstAboveLocked(range.start); entry->start < range.end;
       entry = entry->next) {
    entry->wire_me = false;
  }
  return {};
}

// ---- mlock, munlock ----

Result<void, MapError> Map::WireLocked(Range range) {
  MapEntry* first = LookupLocked(range.start);
  if (first == nullptr) return MapError::kHole;
  if (!IsMappedLocked(range)) return MapError::kInvalidArgument;
  for (MapEntry* entry = first; entry->start < range.end; entry = entry->next) {
    if (entry->prot.IsNone() || entry->submap != nullptr) return MapError::kInvalidArgument;
  }
  for (MapEntry* entry = first; entry->start < range.end; entry = entry->next) {
    if (RaiseWiringLocked(entry, range)) continue;
    UndoMarkedLocked(range, range.start);
    return MapError::kNoMemory;
  }
  return WireMarkedLocked(range);
}

Result<void, MapError> Map::UnwireLocked(Range range) {
  MapEntry* first = LookupLocked(range.start);
  if (first == nullptr) return MapError::kHole;
  if (!IsMappedLocked(range)) return MapError::kInvalidArgument;
  for (MapEntry* entry = first; entry->start < range.end; entry = entry->next) {
    if (entry->wired_count == 0) return MapError::kInvalidArgument;
  }
  if (!FillSparesLocked()) return MapError::kNoMemory;
  for (MapEntry* entry = ClipRangeLocked(range); entry->start < range.end; entry = entry->next) {
    UnwireEntryLocked(entry);
  }
  return {};
}

Result<void, MapError> Map::Pageable(Range range, Wiring wiring) {
  if (range.empty()) return {};
  Change change(this, "Map::Pageable");
  if (range.start < min() || range.start >= max()) return MapError::kHole;
  if (range.end > max()) return MapError::kInvalidArgument;
  return wiring == Wiring::kUnwire ? UnwireLocked(range) : WireLocked(range);
}

// ---- mlockall, munlockall ----

Result<void, MapError> Map::PageableAll(uint32_t flags, uint64_t limit) {
  Change change(this, "Map::PageableAll");
  const Range all = {min(), max()};
  if (flags == 0) {
    for (MapEntry* entry = header_.next; !AtEnd(entry); entry = entry->next) {
      if (entry->wired_count != 0) UnwireEntryLocked(entry);
    }
    wires_future_ = false;
    return {};
  }
  if ((flags & kWireFuture) != 0) wires_future_ = true;
  if ((flags & kWireCurrent) == 0) return {};
  uint64_t more = 0;
  for (MapEntry* entry = header_.next; !AtEnd(entry); entry = entry->next) {
    if (entry->wired_count == 0 && !entry->prot.IsNone()) more += entry->end - entry->start;
  }
  if (!context_->pages->MayWire(base::ToPages(more))) return MapError::kNoMemory;
  if (limit != 0 && more + base::ToBytes(WiredPages()) > limit) {
    context_->core->probes.Hit(Probe::kWiringRefused);
    return MapError::kNoMemory;
  }
  for (MapEntry* entry = header_.next; !AtEnd(entry); entry = entry->next) {
    if (entry->prot.IsNone() || entry->submap != nullptr) continue;
    if (RaiseWiringLocked(entry, entry->range())) continue;
    UndoMarkedLocked(all, all.start);
    return MapError::kNoMemory;
  }
  return WireMarkedLocked(all);
}

void Map::ClearWiresFuture() {
  Change change(this, "Map::ClearWiresFuture");
  wires_future_ = false;
}

}  // namespace uvm
