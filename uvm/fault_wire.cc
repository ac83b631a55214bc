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
// Both layers are locked: NetBSD's uvm_map_lock_entry(), uvm_map_unlock_entry().
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

// Entries of `map` that have `page`, which is an object's, wired. Reads other maps without their
// locks, as NextSharer does and for the same reasons.
uint32_t FaultHandler::WiredEntriesOf(const Map& map,
                                      const Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  uint32_t entries = 0;
  for (MapEntry* entry = map.DebugFirst(); entry != nullptr; entry = Map::DebugNext(entry)) {
    if (entry->object != page->object || entry->wired_count == 0) continue;
    const PageIndex first = entry->ObjectIndexOf(entry->start);
    if (page->index < first || page->index >= first + entry->pages()) continue;
    const Vaddr va = entry->start + base::ToBytes(page->index - first);
    const Amap* amap = entry->aref.amap;
    if (amap != nullptr && amaps_->Lookup(amap, entry->SlotOf(va)) != nullptr) continue;
    // What is being wired right now is counted by who wires it.
    if (!entry->wire_me || entry->wired_count > 1) ++entries;
  }
  return entries;
}

// A wired page is never written out: what swap has of it is worth nothing. LOCKS: the owner's.
void FaultHandler::DropSlotOf(Page* page) {
  if (page->object != nullptr) {
    page->object->pager()->DropSlot(page->object, page->index);
  } else {
    page->dirty = Dirty::kDirty;
    anons_->DropSlot(page->anon);
  }
}

// Where an object was cut under wired entries and has grown again, its new pages are wired for all
// of these entries as soon as one of them asks: the count of one must not go with the wiring of
// another. LOCKS: the object's.
void FaultHandler::CatchUpWirings(Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (__builtin_expect(!page->object->lost_wirings, 1)) return;
  uint32_t entries = kernel_map_ != nullptr ? WiredEntriesOf(*kernel_map_, page) : 0;
  for (Space* space = spaces_->front(); space != nullptr; space = spaces_->Next(space)) {
    entries += WiredEntriesOf(space->map(), page);
  }
  while (page->wire_count < entries) pages_->Wire(page);
}

}  // namespace uvm
