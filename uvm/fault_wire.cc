// Wiring: pages that may not fault again until they are unwired.

#include "base/check.h"
#include "uvm/fault.h"

namespace uvm {

// LOCKS: none; the map is busy by the caller, so that its entries stay what they are.
Result<void, FaultError> FaultHandler::FaultWire(Map* map,
                                                 Range range) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (Vaddr va = range.start; va < range.end; va = va + base::kPageSize) {
    Attempt attempt;
    attempt.info.origin = map;
    attempt.info.va = va;
    attempt.kind = Kind::kWire;
    Result<void, FaultError> wired = Run(&attempt);
    if (wired.ok()) continue;
    ReaderLock lock(&map->lock());
    for (Vaddr at = range.start; at < va;) {
      MapEntry* entry = map->LookupLocked(at);
      const Vaddr end = entry->end < va ? entry->end : va;
      UnwirePart(map->pmap(), entry, {at, end}, /*whole=*/false);
      at = end;
    }
    return wired.error();
  }
  return {};
}

void FaultHandler::FaultUnwireLocked(Map* map, Range range) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (range.empty()) return;
  for (MapEntry* entry = map->LookupLocked(range.start);
       entry != nullptr && entry->start < range.end; entry = Map::DebugNext(entry)) {
    UnwirePart(map->pmap(), entry, entry->range(), /*whole=*/true);
  }
}

// Finds the pages through the layers, not the translations: those of a wired page may be gone, and
// its count must go all the same (facts/uvm.md 5.B item 15). `whole`: the entry is not wired any
// more; who moves wirings to another page under the amap's lock sees that together with the counts.
void FaultHandler::UnwirePart(Pmap* pmap, MapEntry* entry, Range part,
                              bool whole) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Amap* amap = entry->aref.amap;
  Object* object = entry->object;
  if (amap != nullptr) amap->lock->mutex.Lock();
  if (object != nullptr) object->mu.Lock();
  if (whole) entry->wired_count = 0;
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
