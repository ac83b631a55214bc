// Making one range of pages appear in a second place as well (facts/uvm.md 2.7).

#include "base/check.h"
#include "uvm/map.h"
#include "uvm/map_entry.h"

namespace uvm {

// A clone of the part of `entry`, which lies in it or is all of it, sharing its layers. It is not
// moved yet.
Result<MapEntry*, MapError> Map::CloneEntryLocked(MapEntry* entry, Range part, uint32_t flags) {
  // There must be an amap to share before it can be shared.
  if (entry->needs_copy && !CopyAmapLocked(entry, entry->range(), Chunk::kNo, Merge::kNo))
    return MapError::kNoMemory;
  MapEntry* twin = context_->entries->New();
  if (twin == nullptr) return MapError::kNoMemory;
  CopyAttributes(*entry, twin);
  twin->shared = true;
  twin->start = part.start;
  twin->end = part.end;
  if ((flags & kExtractProtAll) != 0) twin->max_prot = base::kProtAll;
  if ((flags & kExtractFixProt) != 0) twin->prot = twin->max_prot;
  if (entry->object != nullptr) {
    twin->object = entry->object;
    twin->offset = entry->offset + (part.start - entry->start);
    context_->objects->Reference(entry->object);
  }
  if (entry->aref.amap == nullptr) return twin;
  if (part == entry->range()) {
    twin->aref = entry->aref;
    context_->amaps->Reference(entry->aref, entry->pages(), Shared::kYes);
  } else {
    twin->aref = {entry->aref.amap, entry->SlotOf(part.start)};
    context_->amaps->ReferencePart(entry->aref, entry->pages(), twin->aref, part.pages(),
                                   Shared::kYes);
  }
  return twin;
}

Result<void, MapError> Map::CloneRangeLocked(Range from, Vaddr to, uint32_t flags,
                                             DeadList* chain) {
  const bool contiguous = (flags & kExtractContiguous) != 0;
  if (contiguous && !IsMappedLocked(from)) return MapError::kInvalidArgument;
  for (MapEntry* entry = FirstAboveLocked(from.start); entry->start < from.end && !AtEnd(entry);
       entry = entry->next) {
    if (entry->submap != nullptr) return MapError::kInvalidArgument;
    // What is to be removed is clipped anyway.
    if ((flags & (kExtractQuickRef | kExtractRemove)) != kExtractQuickRef) {
      if (!FillSparesLocked()) return MapError::kNoMemory;
      ClipStartLocked(entry, from.start);
      ClipEndLocked(entry, from.end);
    }
    MapEntry* twin = TRY(CloneEntryLocked(entry, Overlap(*entry, from), flags));
    uint64_t size = twin->end - twin->start;
    twin->start = to + (twin->start - from.start);
    twin->end = twin->start + size;
    chain->PushBack(twin);
  }
  return {};
}

void Map::MarkSharedLocked(Range range) {
  for (MapEntry* entry = FirstAboveLocked(range.start); entry->start < range.end && !AtEnd(entry);
       entry = entry->next) {
    entry->shared = true;
  }
}

// The whole of it under one lock. What lies in [to, +size) is the reservation.
Result<void, MapError> Map::ExtractWithin(Range from, Vaddr to, uint32_t flags) {
  DeadList chain;
  DeadList dead;
  Result<void, MapError> result;
  {
    Change change(this, "Map::Extract");
    const Range place = {to, to + from.size()};
    result = CloneRangeLocked(from, to, flags, &chain);
    // Part of it would be made of the reservation.
    if (result.ok() && place.Overlaps(from)) result = MapError::kIo;
    if (result.ok() && !ReplaceLocked(place, &chain)) result = MapError::kIo;
    // Only now: an extraction that failed leaves no mark.
    if (result.ok() && (flags & kExtractTransient) == 0) MarkSharedLocked(from);
    // Each edge was clipped at above, or lies in a hole.
    if (result.ok() && (flags & kExtractRemove) != 0) RemoveLocked(from, &dead);
  }
  Detach(&chain);
  Detach(&dead);
  return result;
}

// Never two maps locked at once: two threads could extract crosswise. NetBSD locks the target only
// if it is free just then, else it fills it after the source was emptied; here it is filled first,
// so that an extraction that fails has removed nothing.
Result<void, MapError> Map::ExtractInto(Range from, Map* target, Vaddr to, uint32_t flags) {
  DeadList chain;
  Result<void, MapError> result;
  {
    Change change(this, "Map::Extract source");
    result = CloneRangeLocked(from, to, flags, &chain);
    // While the source is locked. Whoever takes the reservation away from below us leaves marks
    // that are too many; only a caller that shares the target with such a one sees that.
    if (result.ok() && (flags & kExtractTransient) == 0) MarkSharedLocked(from);
  }
  if (result.ok()) {
    Change change(target, "Map::Extract target");
    if (!target->ReplaceLocked({to, to + from.size()}, &chain)) result = MapError::kIo;
  }
  Detach(&chain);
  if (result.ok() && (flags & kExtractRemove) != 0) result = Unmap(from);
  return result;
}

Result<Vaddr, MapError> Map::Extract(Range from, Map* target, Vaddr to, uint32_t flags) {
  if (from.empty() || !from.start.IsAligned() || !from.end.IsAligned())
    return MapError::kInvalidArgument;
  if ((flags & kExtractReserved) == 0) {
    EnterOptions place;
    place.at = to;
    place.size = from.size();
    place.where = Where::kNear;
    place.align = from.start.PageNumber() & (context_->pages->colours() - 1);
    place.flags = kEnterColorMatch;
    to = TRY(target->Reserve(place));
  }
  Result<void, MapError> result =
      target == this ? ExtractWithin(from, to, flags) : ExtractInto(from, target, to, flags);
  if (result.ok()) return to;
  if ((flags & kExtractReserved) == 0) {
    Result<void, MapError> undone = target->Unmap({to, to + from.size()});
    CHECK(undone.ok());  // nothing but the reservation is there
  }
  return result.error();
}

}  // namespace uvm
