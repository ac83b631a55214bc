// mremap(2): moving, shrinking and growing what is mapped.

#include "base/check.h"
#include "uvm/map.h"

namespace uvm {
namespace {

// Object offsets stay below this, so that signed file offsets can express them.
constexpr uint64_t kMaxOffset = uint64_t{1} << 63;

}  // namespace

// Fills `grown` as the continuation of the page that ends at `end`, which is mapped. False: memory
// ran out.
bool Map::PrepareGrowthLocked(Vaddr end, MapEntry* grown, uint64_t bytes) {
  const MapEntry& last = *LookupLocked(end - 1);
  grown->copy_on_write = grown->needs_copy = last.copy_on_write;
  grown->shared = last.shared;
  grown->prot = last.prot;
  grown->max_prot = last.max_prot;
  grown->inherit = last.inherit;
  grown->advice = last.advice;
  grown->object = last.object;
  grown->offset = last.object != nullptr ? last.offset + (end - last.start) : 0;
  if (!last.copy_on_write && last.object == nullptr) {
    // Shared anonymous memory has its amap from the start (facts/uvm.md 5.B item 3, intended
    // behaviour).
    grown->aref.amap = context_->amaps->Allocate(base::ToPages(bytes));
    if (grown->aref.amap == nullptr) return false;
  }
  if (grown->object != nullptr) context_->objects->Reference(grown->object);
  return true;
}

// Where the range goes. All that can fail fails here, before anything changes.
Result<Vaddr, MapError> Map::PlaceForRemapLocked(const RemapOptions& options) {
  Range from = options.from;
  bool fixed_elsewhere = options.where == RemapOptions::Where::kFixed && options.to != from.start;
  bool grows = options.new_size > from.size();
  if (grows) {
    MapEntry* last = LookupLocked(from.end - 1);
    if (last == nullptr) return MapError::kInvalidArgument;
    uint64_t more = options.new_size - from.size();
    uint64_t next_offset = base::ToBytes(last->ObjectIndexOf(from.end - 1)) + base::kPageSize;
    if (last->object != nullptr && (next_offset > kMaxOffset || more > kMaxOffset - next_offset)) {
      return MapError::kTooBig;
    }
  }
  if (fixed_elsewhere) {
    if (!IsFreeLocked({options.to, options.to + options.new_size})) return MapError::kNoSpace;
    return options.to;
  }
  if (!grows) return from.start;
  Range tail;
  bool fits = Range::FromSize(from.end, options.new_size - from.size(), &tail) && tail.end <= max_;
  if (fits && IsFreeLocked(tail)) return from.start;
  if (options.where == RemapOptions::Where::kFixed) return MapError::kNoSpace;
  Vaddr at;
  if (!FindSpaceLocked(options.new_size, &at)) return MapError::kNoSpace;
  return at;
}

// Moves every entry of `from`, already clipped, to the same place relative to `to`, which is free.
void Map::MoveLocked(Range from, Vaddr to) {
  PmapSystem* pmap = context_->core->pmap;
  DeadList moving;
  for (MapEntry* entry = FirstAboveLocked(from.start);
       entry != nullptr && entry->start < from.end;) {
    MapEntry* next = Tree::Next(entry);
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
}

Result<Vaddr, MapError> Map::Remap(const RemapOptions& options) {
  DeadList dead;
  Vaddr to;
  {
    Change change(this, "Map::Remap");
    Range from = options.from;
    to = TRY(PlaceForRemapLocked(options));
    if (!FillSparesLocked()) return MapError::kNoMemory;
    uint64_t kept = from.size() < options.new_size ? from.size() : options.new_size;
    MapEntry* grown = nullptr;
    if (options.new_size > from.size()) {
      grown = TakeSpareLocked();
      if (!PrepareGrowthLocked(from.end, grown, options.new_size - kept)) {
        spares_[spare_count_++] = grown;
        return MapError::kNoMemory;
      }
    }
    // The rest of the old range goes first: the destination may lie in a hole of it, and must
    // survive.
    RemoveLocked({from.start + kept, from.end}, &dead);
    if (to != from.start) {
      ClipRangeLocked({from.start, from.start + kept});
      MoveLocked({from.start, from.start + kept}, to);
    }
    if (grown != nullptr) {
      grown->start = to + kept;
      grown->end = to + options.new_size;
      LinkLocked(grown);
    }
  }
  Detach(&dead);
  return to;
}

}  // namespace uvm
