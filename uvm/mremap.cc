// mremap(2): moving, shrinking, growing and duplicating what is mapped (facts/uvm.md 2.14).

#include "base/check.h"
#include "uvm/map.h"
#include "uvm/map_entry.h"

namespace uvm {
namespace {

// Object offsets stay below this, so that signed file offsets can express them.
constexpr uint64_t kMaxOffset = uint64_t{1} << 63;

}  // namespace

// Where the range goes; from.start when it stays. kNoSpace, or kIo: the space found lies across an
// edge of what moves.
Result<Vaddr, MapError> Map::PlaceForRemapLocked(const RemapOptions& options) {
  const Range from = options.from;
  const bool fixed = options.where == RemapOptions::Where::kFixed;
  const bool stays = !options.duplicate && (!fixed || options.to == from.start) &&
                     (options.align == 0 || (from.start.value() & (options.align - 1)) == 0);
  if (stays) {
    if (options.new_size <= from.size()) return from.start;
    Range tail;
    if (Range::FromSize(from.end, options.new_size - from.size(), &tail) && tail.end <= max() &&
        IsFreeLocked(tail)) {
      return from.start;
    }
  }
  FindOptions find;
  find.hint = options.to;
  find.size = options.new_size;
  find.align = fixed ? 0 : options.align;
  find.fixed = fixed;
  Vaddr to;
  MapEntry* prev;
  if (!FindSpaceLocked(find, &to, &prev)) return MapError::kNoSpace;
  const uint64_t kept = from.size() < options.new_size ? from.size() : options.new_size;
  auto inside = [&](Vaddr edge) { return to < edge && edge < to + kept; };
  if (!fixed && (inside(from.start) || inside(from.start + kept))) return MapError::kIo;
  return to;
}

// Growing continues the last page of `from`.
Result<void, MapError> Map::CheckGrowthLocked(const RemapOptions& options) {
  const Range from = options.from;
  if (options.new_size <= from.size()) return {};
  const MapEntry* last = LookupLocked(from.end - 1);
  if (last == nullptr || last->submap != nullptr) return MapError::kInvalidArgument;
  if (last->object == nullptr) return {};
  const uint64_t more = options.new_size - from.size();
  const uint64_t next = last->offset + (from.end - last->start);
  if (next > kMaxOffset || more > kMaxOffset - next) return MapError::kTooBig;
  // N2: beyond its end an object has nothing that could be mapped.
  const uint64_t end = last->object->pager()->SizeInBytes(last->object);
  if (end != Pager::kUnbounded && next + more > base::RoundPage(end))
    return MapError::kInvalidArgument;
  return {};
}

// Fills `grown` as the continuation of the page that ends at `end`, which is mapped. False: memory
// ran out.
bool Map::PrepareGrowthLocked(Vaddr end, MapEntry* grown, uint64_t bytes) {
  const MapEntry& last = *LookupLocked(end - 1);
  CopyAttributes(last, grown);
  grown->needs_copy = last.copy_on_write;
  if (last.object == nullptr && !last.copy_on_write && !last.bare) {
    // Shared anonymous memory has its amap from the start (facts/uvm.md 5.B item 3, intended
    // behaviour).
    grown->aref.amap = context_->amaps->Allocate(base::ToPages(bytes));
    if (grown->aref.amap == nullptr) return false;
  }
  if (last.object != nullptr) {
    grown->object = last.object;
    grown->offset = last.offset + (end - last.start);
    context_->objects->Reference(last.object);
  }
  return true;
}

// Moves every entry of `from`, already clipped, to the same place relative to `to`, which is free
// but for what moves away.
void Map::MoveLocked(Range from, Vaddr to) {
  PmapSystem* pmap = context_->core->pmap;
  DeadList moving;
  for (MapEntry* entry = FirstAboveLocked(from.start); entry->start < from.end && !AtEnd(entry);) {
    MapEntry* next = entry->next;
    if (entry->wired_count != 0) UnwireEntryLocked(entry);
    pmap->Remove(pmap_, entry->range());
    UnlinkLocked(entry);
    moving.PushBack(entry);
    entry = next;
  }
  pmap->Update(pmap_);
  while (MapEntry* entry = moving.PopFront()) {
    uint64_t distance = entry->start - from.start;
    uint64_t size = entry->end - entry->start;
    entry->start = to + distance;
    entry->end = to + (distance + size);
    LinkLocked(entry);
  }
  WakeSpaceWaitersLocked();
}

// Everything has been checked but memory; running out of it changes nothing.
Result<void, MapError> Map::RemapLocked(const RemapOptions& options, Vaddr to, DeadList* dead) {
  const Range from = options.from;
  const uint64_t kept = from.size() < options.new_size ? from.size() : options.new_size;
  const Range moving = {from.start, from.start + kept};
  if (!FillSparesLocked()) return MapError::kNoMemory;
  MapEntry* grown = nullptr;
  if (options.new_size > kept) {
    grown = TakeSpareLocked();
    if (!PrepareGrowthLocked(from.end, grown, options.new_size - kept)) {
      ReturnSpareLocked(grown);
      return MapError::kNoMemory;
    }
    grown->start = to + kept;
    grown->end = to + options.new_size;
  }
  if (options.duplicate) {
    DeadList chain;
    Result<void, MapError> cloned = CloneRangeLocked(moving, to, 0, &chain);
    if (!cloned.ok()) {
      if (grown != nullptr) dead->PushBack(grown);
      while (MapEntry* entry = chain.PopFront()) dead->PushBack(entry);
      return cloned;
    }
    MarkSharedLocked(moving);
    while (MapEntry* entry = chain.PopFront()) LinkLocked(entry);
  } else {
    // The rest of the old range goes first: the destination may lie in a hole of it, and must
    // survive (N5).
    RemoveLocked({moving.end, from.end}, dead);
    if (to != from.start) {
      ClipRangeLocked(moving);
      MoveLocked(moving, to);
    }
  }
  if (grown == nullptr) return {};
  LinkLocked(grown);
  if (grown->aref.amap != nullptr && grown->prev->aref.amap != nullptr &&
      Mergeable(*grown->prev, *grown, false) &&
      context_->amaps
          ->Extend(&grown->prev->aref, grown->prev->pages(), grown->pages(), ExtendTo::kForward)
          .ok()) {
    // The neighbour's amap has grown instead; the new one is empty.
    context_->amaps->Release(grown->aref, grown->pages());
    grown->aref = {};
    SwallowLocked(grown->prev, grown);
    return {};
  }
  TryMergeLocked(grown);
  return {};
}

Result<Vaddr, MapError> Map::Remap(const RemapOptions& options) {
  const bool fixed = options.where == RemapOptions::Where::kFixed;
  if (options.from.empty() || options.new_size == 0) return MapError::kInvalidArgument;
  if (fixed && options.align != 0 && (options.to.value() & (options.align - 1)) != 0)
    return MapError::kInvalidArgument;
  DeadList dead;
  Vaddr to;
  Result<void, MapError> remapped;
  {
    Change change(this, "Map::Remap");
    to = TRY(PlaceForRemapLocked(options));
    TRY(CheckGrowthLocked(options));
    remapped = RemapLocked(options, to, &dead);
  }
  Detach(&dead);
  if (!remapped.ok()) return remapped.error();
  return to;
}

}  // namespace uvm
