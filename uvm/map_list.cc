// Telling others what is mapped: listings and core dumps.

#include "base/check.h"
#include "uvm/map.h"

namespace uvm {
namespace {

// A listing larger than this is refused (facts/uvm.md 1.1, VM_PROC_MAP).
constexpr uint64_t kMaxListBytes = 10 << 20;

class SegmentCounter final : public Map::CoreVisitor {
 public:
  bool Visit(const Map::CoreSegment&) override {
    ++count_;
    return true;
  }
  uint64_t count() const { return count_; }

 private:
  uint64_t count_ = 0;
};

}  // namespace

Result<uint64_t, MapError> Map::List(EntryInfo* list, uint64_t capacity) {
  ReaderLock lock(&lock_);
  if (count_ > kMaxListBytes / sizeof(EntryInfo)) return MapError::kTooBig;
  uint64_t n = 0;
  for (MapEntry* entry = header_.next; !AtEnd(entry) && n < capacity; entry = entry->next) {
    EntryInfo& info = list[n++];
    info = {};
    info.range = entry->range();
    info.prot = entry->prot;
    info.max_prot = entry->max_prot;
    info.inherit = entry->inherit;
    info.advice = entry->advice;
    info.wired_count = entry->wired_count;
    info.copy_on_write = entry->copy_on_write;
    info.needs_copy = entry->needs_copy;
    info.shared = entry->shared;
    if (entry->submap != nullptr) {
      info.type = EntryInfo::Type::kSubmap;
    } else if (entry->object != nullptr) {
      info.type = EntryInfo::Type::kObject;
      info.kind = entry->object->pager()->kind();
      info.object_id = entry->object->id;
      info.offset = entry->offset;
    } else if (!entry->bare) {
      info.type = EntryInfo::Type::kAnonymous;
    }
    if (entry->aref.amap == nullptr) continue;
    MutexLock amap_lock(&entry->aref.amap->lock->mutex);
    info.amap_refs = entry->aref.amap->refs;
  }
  if (count_ > capacity) return MapError::kNoSpace;
  return count_;
}

// The segment at or above `from`, or false. LOCKS: none; the map may change from one call to the
// next.
bool Map::NextCoreSegment(Vaddr from, Range stack, CoreSegment* out) {
  ReaderLock lock(&lock_);
  MapEntry* entry = FirstAboveLocked(from);
  while (!AtEnd(entry) && entry->submap != nullptr) entry = entry->next;
  if (AtEnd(entry)) return false;
  Vaddr start = entry->start > from ? entry->start : from;
  *out = {{start, entry->end},
          entry->end,
          entry->prot,
          entry->max_prot,
          stack.Contains(entry->range())};
  Amap* amap = entry->aref.amap;
  bool empty = !entry->prot.CanRead() || (entry->object == nullptr && amap == nullptr) ||
               (!entry->prot.CanWrite() && amap == nullptr) ||
               (entry->object != nullptr && entry->object->pager()->kind() == Pager::Kind::kDevice);
  if (empty) {
    out->contents_end = start;
    return true;
  }
  if (entry->object != nullptr) return true;
  MutexLock amap_lock(&amap->lock->mutex);
  auto touched = [&](Vaddr va) {
    return context_->amaps->Lookup(amap, entry->SlotOf(va)) != nullptr;
  };
  Vaddr at = start;
  while (at < entry->end && touched(at)) at = at + base::kPageSize;
  out->contents_end = at;
  while (at < entry->end && !touched(at)) at = at + base::kPageSize;
  out->range.end = at;
  return true;
}

bool Map::WalkForCore(Range stack, CoreVisitor* visitor) {
  CoreSegment segment;
  for (Vaddr from = min(); from < max() && NextCoreSegment(from, stack, &segment);
       from = segment.range.end) {
    if (!visitor->Visit(segment)) return false;
  }
  return true;
}

uint64_t Map::CountCoreSegments() {
  SegmentCounter counter;
  WalkForCore({max(), max()}, &counter);
  return counter.count();
}

}  // namespace uvm
