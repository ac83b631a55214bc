// Making and removing mappings, and keeping neighbours in one entry.

#include "base/check.h"
#include "uvm/map.h"
#include "uvm/map_entry.h"

namespace uvm {
namespace {

// Whether the entry has its amap from the start: anonymous memory that owes no copy.
bool WantsAmap(const MapEntry& entry) {
  return !entry.needs_copy && !entry.bare && (entry.copy_on_write || entry.object == nullptr);
}

}  // namespace

// ---- Merging (facts/uvm.md 2.3) ----

// True when `high` could be the continuation of `low` as far as attributes go. `copying`: one of
// them owes a copy that is just being made.
bool Map::Mergeable(const MapEntry& low, const MapEntry& high, bool copying) {
  return low.end == high.start && low.object == high.object &&
         (low.object == nullptr || low.offset + (low.end - low.start) == high.offset) &&
         low.copy_on_write == high.copy_on_write &&
         (copying || low.needs_copy == high.needs_copy) && low.shared == high.shared &&
         low.prot == high.prot && low.max_prot == high.max_prot && low.inherit == high.inherit &&
         low.advice == high.advice && low.wired_count == 0 && high.wired_count == 0 &&
         !low.no_merge && !high.no_merge && low.bare == high.bare && low.submap == nullptr &&
         high.submap == nullptr;
}

void Map::SwallowLocked(MapEntry* entry, MapEntry* neighbour) {
  bool below = neighbour->end == entry->start;
  uint64_t bytes = neighbour->end - neighbour->start;
  UnlinkLocked(neighbour);
  if (below) {
    entry->start = neighbour->start;
    entry->offset = neighbour->offset;
    RefreshGapLocked(entry->prev);
  } else {
    entry->end = neighbour->end;
    RefreshGapLocked(entry);
  }
  size_ += bytes;
  // Not the last reference: `entry` has one to the same object.
  if (neighbour->object != nullptr) context_->objects->Release(neighbour->object);
  context_->entries->Delete(neighbour);
  ++context_->core->counters.merge;
}

// Joins `entry` with its successor if amaps allow: at most one of the two may have one, and it is
// extended. Else they stay two.
void Map::JoinNextLocked(MapEntry* entry) {
  MapEntry* next = entry->next;
  if (entry->aref.amap != nullptr && next->aref.amap != nullptr) return;  // never joined
  AmapStore* amaps = context_->amaps;
  if (entry->aref.amap != nullptr) {
    if (!amaps->Extend(&entry->aref, entry->pages(), next->pages(), ExtendTo::kForward).ok())
      return;
  } else if (next->aref.amap != nullptr) {
    if (!amaps->Extend(&next->aref, next->pages(), entry->pages(), ExtendTo::kBackward).ok())
      return;
    entry->aref = next->aref;
  }
  SwallowLocked(entry, next);
}

bool Map::MergeFreshLocked(const MapEntry& fresh, MapEntry* prev) {
  if (fresh.no_merge) return false;
  MapEntry* next = prev->next;
  AmapStore* amaps = context_->amaps;
  bool merged = false;
  if (!AtEnd(prev) && Mergeable(*prev, fresh, false)) {
    Result<void, MapError> extended;
    if (prev->aref.amap != nullptr)
      extended = amaps->Extend(&prev->aref, prev->pages(), fresh.pages(), ExtendTo::kForward);
    if (extended.ok()) {
      prev->end = fresh.end;
      size_ += fresh.end - fresh.start;
      RefreshGapLocked(prev);
      merged = true;
    } else if (extended.error() != MapError::kBusy) {
      return false;
    }
  }
  if (!AtEnd(next) && Mergeable(merged ? *prev : fresh, *next, false)) {
    if (merged) {
      // The hole may have been the only thing between two halves of one region.
      JoinNextLocked(prev);
    } else if (next->aref.amap == nullptr ||
               amaps->Extend(&next->aref, next->pages(), fresh.pages(), ExtendTo::kBackward).ok()) {
      next->start = fresh.start;
      next->offset = fresh.offset;
      size_ += fresh.end - fresh.start;
      RefreshGapLocked(prev);
      merged = true;
    }
  }
  if (!merged) return false;
  if (fresh.object != nullptr) context_->objects->Release(fresh.object);
  ++context_->core->counters.merge;
  return true;
}

void Map::TryMergeLocked(MapEntry* entry) {
  auto plain = [this](const MapEntry& low, const MapEntry& high) {
    return !AtEnd(&low) && !AtEnd(&high) && low.aref.amap == nullptr && high.aref.amap == nullptr &&
           Mergeable(low, high, false);
  };
  if (plain(*entry->prev, *entry)) SwallowLocked(entry, entry->prev);
  if (plain(*entry, *entry->next)) SwallowLocked(entry, entry->next);
}

bool Map::TryMergeCopyingLocked(MapEntry* entry) {
  CHECK(entry->needs_copy && entry->aref.amap == nullptr);
  AmapStore* amaps = context_->amaps;
  auto extendable = [this](const MapEntry& neighbour) {
    return !AtEnd(&neighbour) && neighbour.aref.amap != nullptr && !neighbour.needs_copy;
  };
  // One neighbour at most: two amaps are never joined. The upper one first, as NetBSD does.
  MapEntry* next = entry->next;
  if (extendable(*next) && Mergeable(*entry, *next, true) &&
      amaps->Extend(&next->aref, next->pages(), entry->pages(), ExtendTo::kBackward).ok()) {
    entry->aref = next->aref;
    entry->needs_copy = false;
    SwallowLocked(entry, next);
    return true;
  }
  MapEntry* prev = entry->prev;
  if (extendable(*prev) && Mergeable(*prev, *entry, true) &&
      amaps->Extend(&prev->aref, prev->pages(), entry->pages(), ExtendTo::kForward).ok()) {
    entry->aref = prev->aref;
    entry->needs_copy = false;
    SwallowLocked(entry, prev);
  }
  return !entry->needs_copy;
}

// ---- Enter ----

Result<void, MapError> Map::CheckEnter(const EnterOptions& options) const {
  if (options.size == 0 || !base::IsPageAligned(options.size) ||
      !base::IsPageAligned(options.offset)) {
    return MapError::kInvalidArgument;
  }
  if (options.align != 0 && (options.flags & kEnterColorMatch) == 0 &&
      (options.align & (options.align - 1)) != 0) {
    return MapError::kInvalidArgument;
  }
  if ((options.flags & kEnterBeyondMax) == 0 && !options.prot.IsSubsetOf(options.max_prot))
    return MapError::kProtection;
  if (options.where == Where::kAnywhere) return {};
  if (!options.at.IsAligned()) return MapError::kInvalidArgument;
  if (options.where == Where::kHint || options.where == Where::kNear) return {};
  Range fixed;
  if (!Range::FromSize(options.at, options.size, &fixed) || fixed.start < min() ||
      fixed.end > max()) {
    return MapError::kOutOfRange;
  }
  return {};
}

// *prev is the entry below the place.
bool Map::PlaceLocked(const EnterOptions& options, Vaddr* out, MapEntry** prev) const {
  FindOptions find;
  find.hint = options.at;
  find.size = options.size;
  switch (options.where) {
    case Where::kFixedReplace:
      *out = options.at;
      return true;
    case Where::kFixed:
      find.fixed = true;
      return FindSpaceLocked(find, out, prev);
    case Where::kHint:
      find.fixed = true;
      if (options.align <= base::kPageSize || (options.at.value() & (options.align - 1)) == 0) {
        if (FindSpaceLocked(find, out, prev)) return true;
      }
      find.fixed = false;
      find.hint = DefaultHint();
      break;
    case Where::kAnywhere:
      find.hint = DefaultHint();
      break;
    case Where::kNear:
      break;
  }
  find.object = options.object;
  find.offset = options.offset;
  find.align = options.align;
  find.flags = options.flags;
  return FindSpaceLocked(find, out, prev);
}

// Puts `entry`, a spare that was filled in, after `prev`, by itself or as part of a neighbour. Its
// amap is made as late as possible: merging makes do with a neighbour's.
Result<void, MapError> Map::InsertLocked(const EnterOptions& options, MapEntry* entry,
                                         MapEntry* prev) {
  if (MergeFreshLocked(*entry, prev)) {
    if (entry->aref.amap != nullptr) context_->amaps->Release(entry->aref, entry->pages());
    ReturnSpareLocked(entry);
    return {};
  }
  if (WantsAmap(*entry) && entry->aref.amap == nullptr) {
    PageCount pad((options.flags & kEnterAmapPad) != 0 ? kAmapChunkSlots : 0);
    entry->aref.amap = context_->amaps->Allocate(entry->pages(), pad);
    if (entry->aref.amap == nullptr) {
      ReturnSpareLocked(entry);
      return MapError::kNoMemory;
    }
  }
  LinkAfterLocked(prev, entry);
  DCHECK(AtEnd(prev) || prev->aref.amap != nullptr || !Mergeable(*prev, *entry, false));
  DCHECK(AtEnd(entry->next) || entry->next->aref.amap != nullptr || entry->aref.amap != nullptr ||
         (!AtEnd(prev) && Mergeable(*prev, *entry, false)) ||
         !Mergeable(*entry, *entry->next, false));
  return {};
}

Result<Vaddr, MapError> Map::EnterLocked(const EnterOptions& options, DeadList* dead) {
  Vaddr at;
  MapEntry* prev = nullptr;
  while (!PlaceLocked(options, &at, &prev)) {
    bool may_come = (options.flags & kEnterWaitVa) != 0 && options.size <= max() - min();
    if (!may_come) return MapError::kNoSpace;
    WaitForSpaceLocked();
  }
  if (options.object != nullptr && options.offset + options.size < options.offset)
    return MapError::kTooBig;
  if (!FillSparesLocked()) return MapError::kNoMemory;
  MapEntry* entry = TakeSpareLocked();
  entry->start = at;
  entry->end = at + options.size;
  entry->object = options.object;
  entry->offset = options.object != nullptr ? options.offset : 0;
  entry->bare = (options.flags & kEnterBare) != 0;
  entry->no_merge = (options.flags & kEnterNoMerge) != 0;
  entry->copy_on_write = options.sharing == Sharing::kPrivate && !entry->bare;
  entry->needs_copy = entry->copy_on_write && (options.flags & kEnterOverlay) == 0;
  entry->shared = options.sharing == Sharing::kShared;
  entry->prot = options.prot;
  entry->max_prot = options.max_prot;
  entry->inherit = options.inherit;
  entry->advice = options.advice;
  if (options.where == Where::kFixedReplace) {
    // Once the old mappings are gone nothing may fail any more.
    if (WantsAmap(*entry)) {
      entry->aref.amap = context_->amaps->Allocate(entry->pages());
      if (entry->aref.amap == nullptr) {
        ReturnSpareLocked(entry);
        return MapError::kNoMemory;
      }
    }
    // What stays before the new mapping stays the same entry.
    if (FindEntryLocked(at, &prev)) ClipEndLocked(prev, at);
    RemoveLocked(entry->range(), dead, options.flags);
    bool taken = FindEntryLocked(at, &prev);
    CHECK(!taken);
  }
  TRY(InsertLocked(options, entry, prev));
  return at;
}

Result<Vaddr, MapError> Map::Enter(const EnterOptions& options) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  TRY(CheckEnter(options));
  DeadList dead;
  if ((options.flags & kEnterTryLock) == 0) {
    LockForChange();
  } else if (!TryLockForChange()) {
    return MapError::kTryAgain;
  }
  Result<Vaddr, MapError> entered = MapError::kNoMemory;
  {
    Change change(this, "Map::Enter", Change::AlreadyLocked());
    entered = EnterLocked(options, &dead);
  }
  Detach(&dead);
  return entered;
}

Result<Vaddr, MapError> Map::Reserve(const EnterOptions& options) {
  EnterOptions blank;
  blank.at = options.at;
  blank.size = options.size;
  blank.where = options.where;
  blank.align = options.align;
  blank.flags = options.flags | kEnterBare | kEnterNoMerge;
  blank.prot = blank.max_prot = base::kProtAll;
  blank.inherit = Inherit::kNone;
  blank.advice = Advice::kRandom;
  return Enter(blank);
}

bool Map::ReplaceLocked(Range range, DeadList* chain) {
  MapEntry* blank = LookupLocked(range.start);
  if (blank == nullptr || blank->range() != range || !blank->bare || blank->submap != nullptr)
    return false;
  UnlinkLocked(blank);
  context_->entries->Delete(blank);
  while (MapEntry* entry = chain->PopFront()) {
    CHECK(range.Contains(entry->range()));
    LinkLocked(entry);
  }
  return true;
}

Result<void, MapError> Map::Submap(Range range, Map* submap) {
  Change change(this, "Map::Submap");
  MapEntry* blank = LookupLocked(range.start);
  if (blank == nullptr || blank->range() != range || !blank->bare || blank->submap != nullptr)
    return MapError::kInvalidArgument;
  blank->submap = submap;
  return {};
}

// ---- Removal (facts/uvm.md 2.4) ----

void Map::CopyLayersFrom(const MapEntry& from, MapEntry* to, Shared shared) {
  to->object = from.object;
  to->offset = from.offset;
  to->aref = from.aref;
  if (from.object != nullptr) context_->objects->Reference(from.object);
  if (from.aref.amap != nullptr) context_->amaps->Reference(from.aref, from.pages(), shared);
}

void Map::ReleaseEntry(MapEntry* entry) {
  CHECK(entry->wired_count == 0);
  if (entry->aref.amap != nullptr) context_->amaps->Release(entry->aref, entry->pages());
  if (entry->object != nullptr) context_->objects->Release(entry->object);
  context_->entries->Delete(entry);
}

void Map::Detach(DeadList* dead) {
  while (MapEntry* entry = dead->PopFront()) ReleaseEntry(entry);
}

void Map::RemoveLocked(Range range, MapEntry* first, DeadList* dead, uint32_t flags) {
  PmapSystem* pmap = context_->core->pmap;
  const bool mapped = (flags & kEnterVaOnly) == 0;
  MapEntry* entry = ClipRangeLocked(range, first);
  if (AtEnd(entry)) return;
  while (entry->start < range.end && !AtEnd(entry)) {
    MapEntry* next = entry->next;
    if (entry->wired_count != 0) UnwireEntryLocked(entry);
    if (mapped) pmap->Remove(pmap_, entry->range());
    UnlinkLocked(entry);
    dead->PushBack(entry);
    entry = next;
  }
  // No page may be reused before every translation to it is gone, so this comes before Detach().
  if (mapped) pmap->Update(pmap_);
  WakeSpaceWaitersLocked();
}

Result<void, MapError> Map::Unmap(Range range) {
  DeadList dead;
  {
    Change change(this, "Map::Unmap");
    range = Clamp(range);
    MapEntry* first = FirstAboveLocked(range.start);
    if (SplitsLocked(range, first) && !FillSparesLocked()) return MapError::kNoMemory;
    RemoveLocked(range, first, &dead, 0);
  }
  Detach(&dead);
  return {};
}

void Map::UnmapAll() {
  DeadList dead;
  {
    Change change(this, "Map::UnmapAll");
    PmapSystem* pmap = context_->core->pmap;
    // Wired pages are found through their translations, so they are unwired before those go.
    for (MapEntry* entry = header_.next; !AtEnd(entry); entry = entry->next) {
      if (entry->wired_count != 0) UnwireEntryLocked(entry);
    }
    bool gone = pmap->RemoveAll(pmap_);
    for (MapEntry* entry = header_.next; !AtEnd(entry);) {
      MapEntry* next = entry->next;
      if (!gone) pmap->Remove(pmap_, entry->range());
      dead.PushBack(entry);
      entry = next;
    }
    if (!gone) pmap->Update(pmap_);
    tree_.Clear();
    header_.prev = header_.next = hint_ = first_free_ = &header_;
    count_ = size_ = 0;
    WakeSpaceWaitersLocked();
  }
  Detach(&dead);
}

}  // namespace uvm
