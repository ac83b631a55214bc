// Giving memory back without unmapping it: madvise(MADV_FREE) and Linux's MADV_DONTNEED.

#include "base/check.h"
#include "uvm/map.h"

namespace uvm {
namespace {

// The part of `range` that `entry` covers. REQUIRES: they overlap.
Range Overlap(const MapEntry& entry, Range range) {
  return {entry.start > range.start ? entry.start : range.start,
          entry.end < range.end ? entry.end : range.end};
}

}  // namespace

Result<void, MapError> Map::FreePages(Range range) {
  Change change(this, "Map::FreePages");
  if (!IsMappedLocked(range)) return MapError::kHole;
  AmapStore* amaps = context_->amaps;
  PmapSystem* pmap = context_->core->pmap;
  for (MapEntry* entry = FirstAboveLocked(range.start);
       entry != nullptr && entry->start < range.end; entry = Tree::Next(entry)) {
    Amap* amap = entry->aref.amap;
    if (amap == nullptr || !entry->copy_on_write || entry->shared) continue;
    MutexLock amap_lock(&amap->lock->mutex);
    // With several referers nobody here can tell whose contents these are; keeping them is always
    // right.
    if (amap->refs != 1) continue;
    Range part = Overlap(*entry, range);
    for (Vaddr va = part.start; va < part.end; va = va + base::kPageSize) {
      uint32_t slot = entry->SlotOf(va);
      Anon* anon = amaps->Lookup(amap, slot);
      if (anon == nullptr || anon->refs != 1 || anon->page->IsBusy()) continue;
      pmap->Remove(pmap_, {va, va + base::kPageSize});
      context_->anons->Release(amaps->Remove(amap, slot));
    }
  }
  pmap->Update(pmap_);
  return {};
}

Result<void, MapError> Map::DiscardEntryLocked(MapEntry* entry, Range part) {
  if (entry->aref.amap == nullptr || !entry->copy_on_write || entry->shared) return {};
  // Copy-on-write relatives keep their view: the entry must own its slots before it empties them.
  if (entry->needs_copy && !CopyAmapLocked(entry, part.start, Chunk::kNo))
    return MapError::kNoMemory;
  MutexLock amap_lock(&entry->aref.amap->lock->mutex);
  context_->core->pmap->Remove(pmap_, part);
  context_->core->pmap->Update(pmap_);
  context_->amaps->ReleaseRange({entry->aref.amap, entry->SlotOf(part.start)}, part.pages());
  return {};
}

Result<void, MapError> Map::Discard(Range range) {
  Change change(this, "Map::Discard");
  bool hole = !IsMappedLocked(range);
  for (MapEntry* entry = FirstAboveLocked(range.start);
       entry != nullptr && entry->start < range.end; entry = Tree::Next(entry)) {
    TRY(DiscardEntryLocked(entry, Overlap(*entry, range)));
  }
  if (hole) return MapError::kHole;
  return {};
}

}  // namespace uvm
