// Wiring: pages that may not fault again until they are unwired.

#include "base/check.h"
#include "uvm/fault.h"

namespace uvm {

// LOCKS: none; the map is busy by the caller.
Result<void, FaultError> FaultHandler::FaultWire(Map* map, Range range) {
  for (Vaddr va = range.start; va < range.end; va = va + base::kPageSize) {
    Attempt attempt;
    attempt.info.origin = map;
    attempt.info.va = va;
    attempt.kind = Kind::kWire;
    Result<void, FaultError> wired = Run(&attempt);
    if (wired.ok()) continue;
    ReaderLock lock(&map->lock());
    UnwireRange(map, {range.start, va});
    return wired.error();
  }
  return {};
}

// LOCKS: the map's.
void FaultHandler::FaultUnwireLocked(Map* map, Range range) { UnwireRange(map, range); }

void FaultHandler::UnwireRange(Map* map, Range range) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (range.empty()) return;
  MapEntry* entry = map->LookupLocked(range.start);
  while (entry != nullptr && entry->start < range.end) {
    UnwireEntry(map->pmap(), entry,
                {entry->start > range.start ? entry->start : range.start,
                 entry->end < range.end ? entry->end : range.end});
    entry = Map::DebugNext(entry);
  }
}

// Finds the pages through the layers: the translation of a wired page may be gone, and its count
// must go all the same (facts/uvm.md 5.B item 15).
void FaultHandler::UnwireEntry(Pmap* pmap, MapEntry* entry,
                               Range part) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Amap* amap = entry->aref.amap;
  Object* object = entry->object;
  if (amap != nullptr) amap->lock->mutex.Lock();
  if (object != nullptr) object->mu.Lock();
  for (Vaddr va = part.start; va < part.end; va = va + base::kPageSize) {
    Anon* anon = amap != nullptr ? amaps_->Lookup(amap, entry->SlotOf(va)) : nullptr;
    Page* page = anon != nullptr     ? anon->page
                 : object != nullptr ? object->Lookup(entry->ObjectIndexOf(va))
                                     : nullptr;
    // An object that was truncated and grown again has pages that nobody wired.
    if (page != nullptr && page->wire_count > 0) pages_->Unwire(page);
    if (core_->pmap->Extract(pmap, va, nullptr)) core_->pmap->Unwire(pmap, va);
  }
  if (object != nullptr) object->mu.Unlock();
  if (amap != nullptr) amap->lock->mutex.Unlock();
}

}  // namespace uvm
