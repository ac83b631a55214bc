#include "uvm/map.h"

#include "base/check.h"

namespace uvm {
namespace {

// Everything an entry says about its pages, without its place in the map and without taking
// references.
void CopyFields(const MapEntry& from, MapEntry* to) {
  to->start = from.start;
  to->end = from.end;
  to->object = from.object;
  to->offset = from.offset;
  to->aref = from.aref;
  to->copy_on_write = from.copy_on_write;
  to->needs_copy = from.needs_copy;
  to->shared = from.shared;
  to->prot = from.prot;
  to->max_prot = from.max_prot;
  to->inherit = from.inherit;
  to->advice = from.advice;
  to->wired_count = from.wired_count;
}

// True when `b` could be the continuation of `a` as far as attributes go (facts/uvm.md 2.3).
bool Compatible(const MapEntry& a, const MapEntry& b) {
  return a.end == b.start && a.object == b.object &&
         (a.object == nullptr || a.offset + (a.end - a.start) == b.offset) &&
         a.copy_on_write == b.copy_on_write && a.needs_copy == b.needs_copy &&
         a.shared == b.shared && a.prot == b.prot && a.max_prot == b.max_prot &&
         a.inherit == b.inherit && a.advice == b.advice && a.wired_count == 0 && b.wired_count == 0;
}

uint64_t MaxGapBelow(const MapEntry* entry) {
  uint64_t max_gap = entry->gap;
  for (const MapEntry* child : entry->rb_child) {
    if (child != nullptr && child->max_gap > max_gap) max_gap = child->max_gap;
  }
  return max_gap;
}

}  // namespace

Map::Map(const MapContext* context, Vaddr min, Vaddr max, Pmap* pmap, Direction direction)
    : context_(context),
      min_(min),
      max_(max),
      pmap_(pmap),
      direction_(direction),
      lock_(context->core->threads, base::LockRank::kMap) {
  CHECK(min.IsAligned() && max.IsAligned() && min < max);
}

Map::~Map() {
  CHECK(DebugFirst() == nullptr);
  WriterLock lock(&lock_);
  while (spare_count_ > 0) context_->entries->Delete(spares_[--spare_count_]);
}

// ---- Changes and their checks ----

Map::Change::Change(Map* map, const char* label) : map_(map), label_(label) {
  map_->lock_.WriteLock();
  ++map_->timestamp_;
  VERIFY(*map_, label_);
}

Map::Change::~Change() {
  VERIFY(*map_, label_);
  map_->lock_.WriteUnlock();
}

bool Map::ValidEntries(base::TextSink* text) const {
  uint64_t count = 0;
  uint64_t size = 0;
  Vaddr previous_end = min_;
  for (MapEntry* entry = tree_.First(); entry != nullptr; entry = Tree::Next(entry)) {
    MapEntry* next = Tree::Next(entry);
    uint64_t gap = (next == nullptr ? max_ : next->start) - entry->end;
    const char* wrong = nullptr;
    if (!entry->start.IsAligned() || !entry->end.IsAligned()) wrong = "is not page aligned";
    if (entry->start >= entry->end) wrong = "is empty";
    if (entry->start < previous_end) wrong = "overlaps its predecessor or the map's start";
    if (entry->end > max_) wrong = "ends beyond the map";
    if (entry->gap != gap) wrong = "has a wrong gap";
    if (entry->max_gap != MaxGapBelow(entry)) wrong = "has a wrong max_gap";
    if (!entry->prot.IsSubsetOf(entry->max_prot)) wrong = "has more protection than its maximum";
    if (wrong != nullptr) {
      *text << "entry " << entry->range() << " " << wrong;
      return false;
    }
    previous_end = entry->end;
    size += entry->end - entry->start;
    ++count;
  }
  if (count != count_ || size != size_ || !tree_.Check()) {
    *text << "counts " << count_ << " entries of " << size_ << " bytes, found " << count << " of "
          << size << (tree_.Check() ? "" : "; tree colours broken");
    return false;
  }
  return true;
}

void Map::Verify(const char* label) const {
  char buffer[256];
  base::TextSink text(buffer, sizeof buffer);
  text << label << ": ValidMapEntries: ";
  if (!ValidEntries(&text)) vm_panic(__FILE__, __LINE__, buffer);
}

// ---- Structure ----

bool Map::FillSparesLocked() {
  while (spare_count_ < kSpares) {
    MapEntry* entry = context_->entries->New();
    if (entry == nullptr) return false;
    spares_[spare_count_++] = entry;
  }
  return true;
}

MapEntry* Map::TakeSpareLocked() {
  CHECK(spare_count_ > 0);
  return spares_[--spare_count_];
}

MapEntry* Map::FirstAboveLocked(Vaddr va) const {
  MapEntry* best = nullptr;
  for (MapEntry* at = tree_.root(); at != nullptr;) {
    if (at->end > va) {
      best = at;
      at = at->rb_child[0];
    } else {
      at = at->rb_child[1];
    }
  }
  return best;
}

MapEntry* Map::LookupLocked(Vaddr va) {
  MapEntry* entry = FirstAboveLocked(va);
  return entry != nullptr && entry->start <= va ? entry : nullptr;
}

bool Map::IsFreeLocked(Range range) const {
  MapEntry* entry = FirstAboveLocked(range.start);
  return entry == nullptr || entry->start >= range.end;
}

bool Map::IsMappedLocked(Range range) const {
  Vaddr at = range.start;
  for (MapEntry* entry = FirstAboveLocked(at); at < range.end; entry = Tree::Next(entry)) {
    if (entry == nullptr || entry->start > at) return false;
    at = entry->end;
    if (at >= range.end) return true;
  }
  return true;
}

bool Map::FindSpaceLocked(uint64_t size, Vaddr* out) const {
  // The hole below the first entry belongs to no entry and so is not in the tree's summaries.
  MapEntry* first = tree_.First();
  if (size <= (first == nullptr ? max_ : first->start) - min_) {
    *out = min_;
    return true;
  }
  MapEntry* at = tree_.root();
  if (at == nullptr || at->max_gap < size) return false;
  for (;;) {
    MapEntry* left = at->rb_child[0];
    if (left != nullptr && left->max_gap >= size) {
      at = left;
    } else if (at->gap >= size) {
      *out = at->end;
      return true;
    } else {
      at = at->rb_child[1];
    }
  }
}

void Map::RefreshGapLocked(MapEntry* entry) {
  MapEntry* next = Tree::Next(entry);
  entry->gap = (next == nullptr ? max_ : next->start) - entry->end;
  Tree::Propagate(entry);
}

void Map::LinkLocked(MapEntry* entry) {
  tree_.Insert(entry);
  RefreshGapLocked(entry);
  if (MapEntry* prev = Tree::Prev(entry)) RefreshGapLocked(prev);
  ++count_;
  size_ += entry->end - entry->start;
}

void Map::UnlinkLocked(MapEntry* entry) {
  MapEntry* prev = Tree::Prev(entry);
  tree_.Erase(entry);
  if (prev != nullptr) RefreshGapLocked(prev);
  --count_;
  size_ -= entry->end - entry->start;
}

void Map::CopyLayersFrom(const MapEntry& from, MapEntry* to, Shared shared) {
  to->object = from.object;
  to->offset = from.offset;
  to->aref = from.aref;
  if (from.object != nullptr) context_->objects->Reference(from.object);
  if (from.aref.amap != nullptr) context_->amaps->Reference(from.aref, from.pages(), shared);
}

// Makes `right` the part of `left` from `at` on; `left` keeps the rest. Neither is relinked.
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

void Map::ClipStartLocked(MapEntry* entry, Vaddr at) {
  if (at <= entry->start || at >= entry->end) return;
  ++context_->core->counters.clip;
  MapEntry* left = TakeSpareLocked();
  CopyFields(*entry, left);
  SplitLayers(left, entry, at);
  size_ -= at - left->start;
  left->end = at;
  LinkLocked(left);
}

void Map::ClipEndLocked(MapEntry* entry, Vaddr at) {
  if (at <= entry->start || at >= entry->end) return;
  ++context_->core->counters.clip;
  MapEntry* right = TakeSpareLocked();
  CopyFields(*entry, right);
  SplitLayers(entry, right, at);
  size_ -= entry->end - at;
  entry->end = at;
  LinkLocked(right);
  RefreshGapLocked(entry);
}

MapEntry* Map::ClipRangeLocked(Range range) {
  if (range.empty()) return nullptr;
  MapEntry* entry = FirstAboveLocked(range.start);
  if (entry == nullptr || entry->start >= range.end) return nullptr;
  ClipStartLocked(entry, range.start);
  if (MapEntry* last = LookupLocked(range.end - 1)) ClipEndLocked(last, range.end);
  return entry;
}

void Map::ReleaseEntry(MapEntry* entry) {
  if (entry->aref.amap != nullptr) {
    context_->amaps->Release(entry->aref, entry->pages());
  }
  if (entry->object != nullptr) context_->objects->Release(entry->object);
  context_->entries->Delete(entry);
}

void Map::Detach(DeadList* dead) {
  while (MapEntry* entry = dead->PopFront()) ReleaseEntry(entry);
}

// ---- Making and removing mappings ----

bool Map::TryMergeLocked(const MapEntry& fresh) {
  if (fresh.aref.amap != nullptr) return false;  // amaps are never joined
  MapEntry* next = FirstAboveLocked(fresh.start);
  MapEntry* prev = next != nullptr ? Tree::Prev(next) : tree_.Last();
  AmapStore* amaps = context_->amaps;
  uint64_t bytes = fresh.end - fresh.start;
  if (prev != nullptr && Compatible(*prev, fresh) &&
      (prev->aref.amap == nullptr ||
       amaps->Extend(&prev->aref, prev->pages(), fresh.pages(), ExtendTo::kForward).ok())) {
    prev->end = fresh.end;
    size_ += bytes;
    // The hole may have been the only thing between two halves of one region.
    if (next != nullptr && next->aref.amap == nullptr && Compatible(*prev, *next) &&
        (prev->aref.amap == nullptr ||
         amaps->Extend(&prev->aref, prev->pages(), next->pages(), ExtendTo::kForward).ok())) {
      uint64_t tail = next->end - next->start;
      UnlinkLocked(next);
      prev->end = prev->end + tail;
      size_ += tail;
      ReleaseEntry(next);
      ++context_->core->counters.merge;
    }
    RefreshGapLocked(prev);
  } else if (next != nullptr && next->aref.amap == nullptr && Compatible(fresh, *next)) {
    next->start = fresh.start;
    next->offset = fresh.offset;
    size_ += bytes;
    if (prev != nullptr) RefreshGapLocked(prev);
  } else {
    return false;
  }
  if (fresh.object != nullptr) context_->objects->Release(fresh.object);
  ++context_->core->counters.merge;
  return true;
}

Result<Vaddr, MapError> Map::Enter(const EnterOptions& options) {
  if (options.size == 0 || !base::IsPageAligned(options.size) ||
      !base::IsPageAligned(options.offset)) {
    return MapError::kInvalidArgument;
  }
  if (!options.prot.IsSubsetOf(options.max_prot)) return MapError::kProtection;
  Range fixed = {};
  if (options.where != Where::kAnywhere) {
    if (!options.at.IsAligned()) return MapError::kInvalidArgument;
    bool inside = Range::FromSize(options.at, options.size, &fixed) && min_ <= fixed.start &&
                  fixed.end <= max_;
    if (!inside && options.where != Where::kHint) return MapError::kOutOfRange;
    if (!inside) fixed = {};
  }
  Amap* amap = nullptr;
  bool overlay = options.sharing == Sharing::kShared && options.object == nullptr;
  if (overlay) {
    amap = context_->amaps->Allocate(base::ToPages(options.size));
    if (amap == nullptr) return MapError::kNoMemory;
  }
  DeadList dead;
  Vaddr at = fixed.start;
  MapError error = MapError::kNoMemory;
  bool done = false;
  {
    Change change(this, "Map::Enter");
    bool placed = options.where == Where::kFixedReplace || (!fixed.empty() && IsFreeLocked(fixed));
    if (!placed && options.where != Where::kFixed) placed = FindSpaceLocked(options.size, &at);
    if (!placed) {
      error = MapError::kNoSpace;
    } else if (options.object != nullptr && options.offset + options.size < options.offset) {
      error = MapError::kTooBig;
    } else if (FillSparesLocked()) {
      if (options.where == Where::kFixedReplace) RemoveLocked(fixed, &dead);
      MapEntry fresh;
      fresh.start = at;
      fresh.end = at + options.size;
      fresh.object = options.object;
      fresh.offset = options.object != nullptr ? options.offset : 0;
      fresh.aref.amap = amap;
      fresh.copy_on_write = fresh.needs_copy = options.sharing == Sharing::kPrivate;
      fresh.shared = options.sharing == Sharing::kShared;
      fresh.prot = options.prot;
      fresh.max_prot = options.max_prot;
      fresh.inherit = options.inherit;
      if (!TryMergeLocked(fresh)) {
        MapEntry* entry = TakeSpareLocked();
        CopyFields(fresh, entry);
        LinkLocked(entry);
      }
      done = true;
    }
  }
  Detach(&dead);
  if (!done && amap != nullptr) context_->amaps->Release({amap, 0}, base::ToPages(options.size));
  if (!done) return error;
  return at;
}

bool Map::SplitsLocked(Range range) {
  if (range.empty()) return false;
  MapEntry* first = LookupLocked(range.start);
  MapEntry* last = LookupLocked(range.end - 1);
  return (first != nullptr && first->start < range.start) ||
         (last != nullptr && last->end > range.end);
}

void Map::RemoveLocked(Range range, DeadList* dead) {
  PmapSystem* pmap = context_->core->pmap;
  MapEntry* entry = ClipRangeLocked(range);
  while (entry != nullptr && entry->start < range.end) {
    CHECK(entry->wired_count == 0);
    MapEntry* next = Tree::Next(entry);
    pmap->Remove(pmap_, entry->range());
    UnlinkLocked(entry);
    dead->PushBack(entry);
    entry = next;
  }
  // No page may be reused before every translation to it is gone, so this comes before Detach().
  pmap->Update(pmap_);
}

Result<void, MapError> Map::Unmap(Range range) {
  DeadList dead;
  {
    Change change(this, "Map::Unmap");
    if (SplitsLocked(range) && !FillSparesLocked()) return MapError::kNoMemory;
    RemoveLocked(range, &dead);
  }
  Detach(&dead);
  return {};
}

// ---- Attributes ----

Result<void, MapError> Map::Protect(Range range, Prot prot, SetMax set_max) {
  Change change(this, "Map::Protect");
  for (MapEntry* entry = FirstAboveLocked(range.start);
       entry != nullptr && entry->start < range.end; entry = Tree::Next(entry)) {
    if (!range.empty() && !prot.IsSubsetOf(entry->max_prot)) return MapError::kProtection;
  }
  if (!FillSparesLocked()) return MapError::kNoMemory;
  PmapSystem* pmap = context_->core->pmap;
  for (MapEntry* entry = ClipRangeLocked(range); entry != nullptr && entry->start < range.end;
       entry = Tree::Next(entry)) {
    Prot old = entry->prot;
    if (set_max == SetMax::kYes) {
      entry->max_prot = prot;
      entry->prot = entry->prot & prot;
    } else {
      entry->prot = prot;
    }
    bool lowered = !EffectiveProt(old).IsSubsetOf(EffectiveProt(entry->prot));
    if (!lowered || context_->core->canary.Armed(base::Canary::kStaleAfterProtect)) continue;
    // Raising rights is left to faults: only they know about copy-on-write.
    pmap->Protect(pmap_, entry->range(), EffectiveProt(entry->prot));
  }
  pmap->Update(pmap_);
  return {};
}

Result<void, MapError> Map::SetInherit(Range range, Inherit inherit) {
  Change change(this, "Map::SetInherit");
  if (!FillSparesLocked()) return MapError::kNoMemory;
  for (MapEntry* entry = ClipRangeLocked(range); entry != nullptr && entry->start < range.end;
       entry = Tree::Next(entry)) {
    entry->inherit = inherit;
  }
  return {};
}

Result<void, MapError> Map::SetAdvice(Range range, Advice advice) {
  Change change(this, "Map::SetAdvice");
  if (!FillSparesLocked()) return MapError::kNoMemory;
  for (MapEntry* entry = ClipRangeLocked(range); entry != nullptr && entry->start < range.end;
       entry = Tree::Next(entry)) {
    entry->advice = advice;
  }
  return {};
}

bool Map::IsMapped(Range range) {
  ReaderLock lock(&lock_);
  return IsMappedLocked(range);
}

bool Map::IsFree(Range range) {
  ReaderLock lock(&lock_);
  return range.empty() || IsFreeLocked(range);
}

bool Map::FindRegion(Vaddr at, Region* out) {
  ReaderLock lock(&lock_);
  MapEntry* entry = FirstAboveLocked(at);
  if (entry == nullptr) return false;
  *out = {entry->range(), entry->prot, entry->max_prot, entry->inherit, entry->shared};
  return true;
}

}  // namespace uvm
