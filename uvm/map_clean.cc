// Memory that can be given back, written back or fetched ahead without changing what is mapped:
// msync(2), madvise(2) and Linux's MADV_DONTNEED.

#include "base/check.h"
#include "uvm/map.h"
#include "uvm/map_entry.h"

namespace uvm {
namespace {

MapError MapErrorOf(PagerError error) {
  switch (error) {
    case PagerError::kNoMemory:
      return MapError::kNoMemory;
    case PagerError::kPastEnd:
      return MapError::kTooBig;
    case PagerError::kBusy:
      return MapError::kBusy;
    case PagerError::kIo:
    case PagerError::kAgain:
    case PagerError::kRestart:
      return MapError::kIo;
  }
  UNREACHABLE("no such pager error");
}

}  // namespace

// ---- Clean ----

Result<void, MapError> Map::CheckCleanLocked(Range range, uint32_t pgo_flags) {
  auto wired = [&](const MapEntry* entry) {
    return (pgo_flags & kPgoFree) != 0 && entry->wired_count != 0;
  };
  MapEntry* first = LookupLocked(range.start);
  if (first == nullptr) return MapError::kHole;
  if (wired(first)) return MapError::kBusy;
  if (!IsMappedLocked(range)) return MapError::kHole;
  for (MapEntry* entry = first; entry->start < range.end; entry = entry->next) {
    if (entry->submap != nullptr) return MapError::kInvalidArgument;
    if (wired(entry)) return MapError::kBusy;
  }
  return {};
}

// Anonymous pages have no backing to be written to: they can be forgotten or become less worth
// keeping.
void Map::CleanAmap(MapEntry* entry, Range part, uint32_t pgo_flags) {
  Amap* amap = entry->aref.amap;
  if (amap == nullptr || (pgo_flags & (kPgoFree | kPgoDeactivate)) == 0) return;
  AmapStore* amaps = context_->amaps;
  PmapSystem* pmap = context_->core->pmap;
  MutexLock lock(&amap->lock->mutex);
  // With several referers nobody here can tell whose contents these are; keeping them is always
  // right. With kPgoCleanIt only what can be had again is to go (msync(MS_INVALIDATE)).
  const bool forget = (pgo_flags & (kPgoFree | kPgoCleanIt)) == kPgoFree && amap->refs == 1;
  bool removed = false;
  amaps->ForEachAnon(
      {amap, entry->SlotOf(part.start)}, part.pages(), [&](uint32_t slot, Anon* anon) {
        Page* page = anon->page;
        // What is on swap costs no memory, and keeps its contents (facts/uvm.md 5.B').
        if (page == nullptr || page->IsBusy() || page->wire_count != 0) return;
        if (!forget) {
          if (page->loan_count == 0) context_->pages->Deactivate(page);
          return;
        }
        // Where the page lives on, with others or a borrower; freeing it takes its translations
        // away otherwise.
        if (anon->refs > 1 || page->loan_count != 0) {
          Vaddr va = entry->start + (uint64_t{slot - entry->aref.slot} << base::kPageShift);
          pmap->Remove(pmap_, {va, va + base::kPageSize});
          removed = true;
        }
        context_->anons->Release(amaps->Remove(amap, slot));
      });
  if (removed) pmap->Update(pmap_);
}

Result<void, MapError> Map::CleanObject(MapEntry* entry, Range part,
                                        uint32_t pgo_flags) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Object* object = entry->object;
  if (object == nullptr) return {};
  PageIndex first = entry->ObjectIndexOf(part.start);
  object->mu.Lock();
  Result<void, PagerError> put =
      object->pager()->Put(object, first, first + part.pages(), pgo_flags | kPgoCleanIt);
  if (put.ok()) return {};
  return MapErrorOf(put.error());
}

Result<void, MapError> Map::Clean(Range range, uint32_t pgo_flags) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  {
    Change change(this, "Map::Clean");
    range = Clamp(range);
    if (range.empty()) return {};
    TRY(CheckCleanLocked(range, pgo_flags));
    SetBusyLocked();
  }
  // Being busy keeps the entries as they are while pagers are at work.
  Result<void, MapError> result;
  for (MapEntry* entry = FirstAboveLocked(range.start); entry->start < range.end;
       entry = entry->next) {
    Range part = Overlap(*entry, range);
    CleanAmap(entry, part, pgo_flags);
    Result<void, MapError> cleaned = CleanObject(entry, part, pgo_flags);
    if (result.ok()) result = cleaned;
  }
  Unbusy();
  return result;
}

// ---- WillNeed ----

void Map::WillNeed(Range range) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  range = Clamp(range);
  while (range.start < range.end) {
    Object* object = nullptr;
    PageIndex first;
    Range part = range;
    {
      ReaderLock lock(&lock_);
      MapEntry* entry = FirstAboveLocked(range.start);
      if (entry->start >= range.end || AtEnd(entry)) return;
      part = Overlap(*entry, range);
      // Nobody stores what anonymous objects and devices hold.
      if (entry->aref.amap == nullptr && entry->object != nullptr &&
          entry->object->pager()->kind() == Pager::Kind::kStored) {
        object = entry->object;
        first = entry->ObjectIndexOf(part.start);
        context_->objects->Reference(object);
      }
    }
    range.start = part.end;
    if (object == nullptr) continue;
    for (uint64_t done = 0; done < part.pages().value(); done += kMaxGetPages) {
      Page* pages[kMaxGetPages] = {};
      uint64_t left = part.pages().value() - done;
      GetRequest request;
      request.first = first + PageCount(done);
      request.count = static_cast<uint32_t>(left < kMaxGetPages ? left : kMaxGetPages);
      request.pages = pages;
      object->mu.Lock();
      // Without kPgoSyncIo nothing comes back but the will to fetch; beyond the end not even that.
      if (!object->pager()->Get(object, &request).ok()) break;
    }
    context_->objects->Release(object);
  }
}

// ---- Linux MADV_DONTNEED ----

Result<void, MapError> Map::DiscardEntryLocked(MapEntry* entry, Range part) {
  if (entry->aref.amap == nullptr || !entry->copy_on_write || entry->shared) return {};
  // Copy-on-write relatives keep their view: the entry must own its slots before it empties them.
  if (entry->needs_copy && !CopyAmapLocked(entry, part, Chunk::kNo)) return MapError::kNoMemory;
  MutexLock amap_lock(&entry->aref.amap->lock->mutex);
  context_->core->pmap->Remove(pmap_, part);
  context_->core->pmap->Update(pmap_);
  context_->amaps->ReleaseRange({entry->aref.amap, entry->SlotOf(part.start)}, part.pages());
  return {};
}

Result<void, MapError> Map::Discard(Range range) {
  Change change(this, "Map::Discard");
  range = Clamp(range);
  if (range.empty()) return {};
  bool hole = !IsMappedLocked(range);
  for (MapEntry* entry = FirstAboveLocked(range.start); entry->start < range.end;
       entry = entry->next) {
    if (entry->wired_count > 0) return MapError::kBusy;
  }
  for (MapEntry* entry = FirstAboveLocked(range.start); entry->start < range.end;
       entry = entry->next) {
    TRY(DiscardEntryLocked(entry, Overlap(*entry, range)));
  }
  if (hole) return MapError::kHole;
  return {};
}

}  // namespace uvm
