// Address maps: locks, structure.

#include "uvm/map.h"

#include "base/check.h"
#include "uvm/map_entry.h"

namespace uvm {

Map::Map(const MapContext* context, Vaddr min, Vaddr max, Pmap* pmap, Direction direction)
    : context_(context),
      pmap_(pmap),
      direction_(direction),
      lock_(context->core->threads, base::LockRank::kMap),
      wait_mutex_(context->core->threads, base::LockRank::kMapWait),
      changed_(context->core->threads),
      hint_(&header_),
      first_free_(&header_) {
  CHECK(min.IsAligned() && max.IsAligned() && min < max);
  header_.start = max;
  header_.end = min;
  header_.prev = header_.next = &header_;
}

Map::~Map() {
  CHECK(DebugFirst() == nullptr);
  WriterLock lock(&lock_);
  while (spare_count_ > 0) context_->entries->Delete(spares_[--spare_count_]);
}

// ---- Locks ----

void Map::LockForChange() {
  for (;;) {
    lock_.WriteLock();
    if (__builtin_expect(busy_ == nullptr || busy_ == context_->core->threads->Self(), 1)) break;
    wait_mutex_.Lock();
    lock_.WriteUnlock();
    while (busy_ != nullptr) changed_.Wait(&wait_mutex_);
    wait_mutex_.Unlock();
  }
  ++timestamp_;
}

bool Map::TryLockForChange() {
  if (!lock_.TryWriteLock()) return false;
  if (busy_ != nullptr && busy_ != context_->core->threads->Self()) {
    lock_.WriteUnlock();
    return false;
  }
  ++timestamp_;
  return true;
}

Map::Change::Change(Map* map, const char* label) : map_(map), label_(label) {
  map_->LockForChange();
  VERIFY(*map_, label_);
}

Map::Change::Change(Map* map, const char* label, AlreadyLocked) : map_(map), label_(label) {
  VERIFY(*map_, label_);
}

Map::Change::~Change() {
  VERIFY(*map_, label_);
  map_->lock_.WriteUnlock();
}

void Map::SetBusyLocked() {
  CHECK(busy_ == nullptr);
  busy_ = context_->core->threads->Self();
}

void Map::Busy() {
  Change change(this, "Map::Busy");
  SetBusyLocked();
}

void Map::Unbusy() {
  {
    MutexLock lock(&wait_mutex_);
    CHECK(busy_ == context_->core->threads->Self());
    busy_ = nullptr;
  }
  changed_.WakeAll();
}

void Map::WaitForSpaceLocked() {
  wait_mutex_.Lock();
  wants_space_ = true;
  lock_.WriteUnlock();
  while (wants_space_) changed_.Wait(&wait_mutex_);
  wait_mutex_.Unlock();
  LockForChange();
}

void Map::WakeWaitersLocked() {
  {
    MutexLock lock(&wait_mutex_);
    wants_space_ = false;
  }
  changed_.WakeAll();
}

// ---- Structure ----

Range Map::Clamp(Range range) const {
  Range clamped = {range.start < min() ? min() : range.start,
                   range.end > max() ? max() : range.end};
  if (clamped.start > clamped.end) clamped.start = clamped.end;
  return clamped;
}

bool Map::FillSparesLocked() {
  base::Pool<MapEntry>* const entries = context_->entries;
  while (spare_count_ < kSpares) {
    MapEntry* entry = entries->New();
    if (entry == nullptr) return false;
    spares_[spare_count_++] = entry;
  }
  return true;
}

void Map::ReturnSpareLocked(MapEntry* entry) {
  context_->entries->Delete(entry);  // and not back to spares_, where entries are as new
}

bool Map::FindEntryLocked(Vaddr va, MapEntry** out) const {
  MapEntry* hint = __atomic_load_n(&hint_, __ATOMIC_RELAXED);
  // The header's bounds are the wrong way round, so that it contains nothing.
  if (va >= hint->start) {
    if (va < hint->end) {
      *out = hint;
      return true;
    }
    MapEntry* next = hint->next;
    if (va >= next->start && va < next->end) {
      __atomic_store_n(&hint_, next, __ATOMIC_RELAXED);
      *out = next;
      return true;
    }
  }
  MapEntry* best = const_cast<MapEntry*>(&header_);
  for (MapEntry* at = tree_.root(); at != nullptr;) {
    // Which way it goes is a guess until `at` is here; meanwhile both may be on their way.
    __builtin_prefetch(at->rb_child[0]);
    __builtin_prefetch(at->rb_child[1]);
    if (va < at->start) {
      at = at->rb_child[0];
      continue;
    }
    best = at;
    if (va < at->end) break;
    at = at->rb_child[1];
  }
  __atomic_store_n(&hint_, best, __ATOMIC_RELAXED);
  *out = best;
  return !AtEnd(best) && va < best->end;
}

MapEntry* Map::LookupLocked(Vaddr va) {
  MapEntry* entry;
  return FindEntryLocked(va, &entry) ? entry : nullptr;
}

MapEntry* Map::FirstAboveLocked(Vaddr va) const {
  MapEntry* entry;
  return FindEntryLocked(va, &entry) ? entry : entry->next;
}

bool Map::IsFreeLocked(Range range) const {
  if (range.empty()) return true;
  MapEntry* entry;
  return !FindEntryLocked(range.start, &entry) && entry->next->start >= range.end;
}

bool Map::IsMappedLocked(Range range) const {
  if (range.empty()) return true;
  MapEntry* entry;
  if (!FindEntryLocked(range.start, &entry)) return false;
  while (entry->end < range.end) {
    if (entry->gap != 0 || AtEnd(entry->next)) return false;
    entry = entry->next;
  }
  return true;
}

void Map::RefreshGapLocked(MapEntry* entry) {
  if (AtEnd(entry)) return;
  entry->gap = entry->next->start - entry->end;
  Tree::Propagate(entry);
}

void Map::LinkAfterLocked(MapEntry* prev, MapEntry* entry) {
  MapEntry* next = prev->next;
  entry->prev = prev;
  entry->next = next;
  prev->next = entry;
  next->prev = entry;
  entry->gap = next->start - entry->end;
  tree_.InsertAfter(AtEnd(prev) ? nullptr : prev, entry);
  RefreshGapLocked(prev);
  if (first_free_ == prev && prev->end == entry->start) first_free_ = entry;
  ++count_;
  size_ += entry->end - entry->start;
}

void Map::LinkLocked(MapEntry* entry) {
  MapEntry* prev;
  bool taken = FindEntryLocked(entry->start, &prev);
  CHECK(!taken && prev->next->start >= entry->end);
  LinkAfterLocked(prev, entry);
}

void Map::UnlinkLocked(MapEntry* entry) {
  MapEntry* prev = entry->prev;
  if (hint_ == entry) hint_ = prev;
  if (!AtEnd(first_free_) && first_free_->start >= entry->start) first_free_ = prev;
  prev->next = entry->next;
  entry->next->prev = prev;
  // First what grows: erasing then changes little on the way up.
  RefreshGapLocked(prev);
  tree_.Erase(entry);
  entry->prev = entry->next = nullptr;
  --count_;
  size_ -= entry->end - entry->start;
}

void Map::ClipStartLocked(MapEntry* entry, Vaddr at) {
  if (at <= entry->start || at >= entry->end) return;
  CHECK(entry->submap == nullptr);
  ++context_->core->counters.clip;
  MapEntry* left = TakeSpareLocked();
  CopyFields(*entry, left);
  SplitLayers(left, entry, at);
  size_ -= at - left->start;
  left->end = at;
  LinkAfterLocked(entry->prev, left);
}

void Map::ClipEndLocked(MapEntry* entry, Vaddr at) {
  if (at <= entry->start || at >= entry->end) return;
  CHECK(entry->submap == nullptr);
  ++context_->core->counters.clip;
  MapEntry* right = TakeSpareLocked();
  CopyFields(*entry, right);
  SplitLayers(entry, right, at);
  size_ -= entry->end - at;
  entry->end = at;
  LinkAfterLocked(entry, right);
}

// Makes `right`, which is a copy of `left` or the other way round, the part from `at` on, with
// references of its own. `left` keeps its bounds; neither is relinked.
void Map::SplitLayers(MapEntry* left, MapEntry* right, Vaddr at) {
  uint64_t kept = at - left->start;
  right->start = at;
  if (right->object != nullptr) {
    right->offset += kept;
    context_->objects->Reference(right->object);
  }
  if (left->aref.amap == nullptr) return;
  context_->amaps->Split(left->aref, left->pages(), base::ToPages(kept), &right->aref);
  if (context_->core->canary.Armed(base::Canary::kSplitLosesAmapReference)) --left->aref.amap->refs;
}

MapEntry* Map::ClipRangeLocked(Range range) {
  return ClipRangeLocked(range, FirstAboveLocked(range.start));
}

MapEntry* Map::ClipRangeLocked(Range range, MapEntry* entry) {
  if (range.empty() || AtEnd(entry) || entry->start >= range.end) return &header_;
  if (entry->start < range.start) ClipStartLocked(entry, range.start);
  if (entry->end >= range.end) {
    if (entry->end > range.end) ClipEndLocked(entry, range.end);
  } else if (MapEntry* last = LookupLocked(range.end - 1)) {
    ClipEndLocked(last, range.end);
  }
  return entry;
}

bool Map::SplitsLocked(Range range, const MapEntry* first) {
  if (range.empty() || AtEnd(first) || first->start >= range.end) return false;
  if (first->start < range.start) return true;
  if (first->end >= range.end) return first->end > range.end;
  const MapEntry* last = LookupLocked(range.end - 1);
  return last != nullptr && last->end > range.end;
}

bool Map::IsMapped(Range range) {
  ReaderLock lock(&lock_);
  return IsMappedLocked(range);
}

bool Map::IsFree(Range range) {
  ReaderLock lock(&lock_);
  return IsFreeLocked(range);
}

void Map::SetBounds(Vaddr min, Vaddr max) {
  Change change(this, "Map::SetBounds");
  CHECK(min.IsAligned() && max.IsAligned() && min < max);
  CHECK(AtEnd(header_.next) || (min <= header_.next->start && header_.prev->end <= max));
  header_.end = min;
  header_.start = max;
  RefreshGapLocked(header_.prev);
  if (!AtEnd(header_.next) && header_.next->start != min) first_free_ = &header_;
}

}  // namespace uvm
