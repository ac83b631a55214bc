// Searching for space: the nearest free range from a hint, by the tree of gaps.
//
// Each gap belongs to the entry below it (the lowest one to the header, which is not in the tree).
// A search tries the gap at the hint and then goes from gap to gap in its direction, skipping whole
// subtrees whose largest gap is too small. Without alignment the first gap that is large enough
// fits.

#include "base/check.h"
#include "uvm/map.h"

namespace uvm {
namespace {

// The entry with a gap of at least `size` in the subtree of `at` that is nearest to `side`.
// REQUIRES: there is one. Counts the entries on the way.
const MapEntry* NearestGap(const MapEntry* at, uint64_t size, int side, uint32_t* visits) {
  for (;;) {
    ++*visits;
    const MapEntry* near = at->rb_child[side];
    if (near != nullptr && near->max_gap >= size) {
      at = near;
    } else if (at->gap >= size) {
      return at;
    } else {
      at = at->rb_child[1 - side];
    }
  }
}

}  // namespace

// Moves *at, in the direction of the search, to an address that suits the object's cache colour,
// the colour or the alignment asked for. False: that leads out of the number space.
bool Map::AdjustLocked(const FindOptions& options, Vaddr* at) const {
  const bool down = direction_ == Direction::kTopDown;
  const Vaddr asked = *at;
  if (options.object != nullptr) {
    *at = context_->core->pmap->Prefer(options.offset, *at, options.size,
                                       down ? PreferSide::kBelow : PreferSide::kAbove);
  }
  if ((options.flags & kEnterColorMatch) != 0) {
    const uint64_t colors = context_->pages->colours();
    uint64_t page = at->PageNumber();
    uint64_t distance = (down ? page - options.align : options.align - page) & (colors - 1);
    *at = down ? *at - (distance << base::kPageShift) : *at + (distance << base::kPageShift);
  } else if (options.align > base::kPageSize) {
    Vaddr trunc(at->value() & ~(options.align - 1));
    *at = down || trunc == *at ? trunc : trunc + options.align;
  }
  return down ? *at <= asked : *at >= asked;
}

// Looks for the place in the gap after `entry` that is nearest to the hint.
bool Map::FitsAfterLocked(const FindOptions& options, Vaddr hint, const MapEntry* entry,
                          Vaddr* out) const {
  const Vaddr low = entry->end;
  const Vaddr high = entry->next->start;
  if (high - low < options.size) return false;
  const Vaddr last = high - options.size;
  Vaddr at;
  if (direction_ == Direction::kTopDown) {
    at = last < hint ? last : hint;
  } else {
    at = low > hint ? low : hint;
  }
  if (!AdjustLocked(options, &at) || at < low || at > last) return false;
  *out = at;
  return true;
}

// The next entry from `entry` in the direction of the search whose gap holds `size` bytes; null:
// none.
const MapEntry* Map::NextGapLocked(const MapEntry* entry, uint64_t size, uint32_t* visits) const {
  const int side = direction_ == Direction::kTopDown ? 0 : 1;
  if (AtEnd(entry)) {  // bottom-up: before the first; top-down: it was the last resort
    const MapEntry* root = tree_.root();
    if (side == 0 || root == nullptr || root->max_gap < size) return nullptr;
    return NearestGap(root, size, 0, visits);
  }
  const MapEntry* below = entry->rb_child[side];
  if (below != nullptr && below->max_gap >= size) return NearestGap(below, size, 1 - side, visits);
  for (const MapEntry* up = entry->rb_parent; up != nullptr; entry = up, up = up->rb_parent) {
    ++*visits;
    if (up->rb_child[side] == entry) continue;  // `up` and what hangs from it lie behind us
    if (up->gap >= size) return up;
    below = up->rb_child[side];
    if (below != nullptr && below->max_gap >= size)
      return NearestGap(below, size, 1 - side, visits);
  }
  // N8: the hole below the first entry is a hole like any other.
  return side == 0 && header_.next->start - header_.end >= size ? &header_ : nullptr;
}

bool Map::FindSpaceLocked(const FindOptions& options, Vaddr* out, MapEntry** prev) const {
  Vaddr hint = options.hint;
  if (options.size == 0 || options.size > max() - min()) return false;
  if (hint < min()) {
    if (options.fixed) return false;
    hint = min();
  }
  if (hint > max()) return false;
  // Where nothing is free nobody has to look. The entries up to first_free_ touch.
  if (options.fixed && !AtEnd(first_free_) && hint < first_free_->end) return false;
  MapEntry* start;
  bool taken = false;
  if (!options.fixed && hint == min() && direction_ == Direction::kBottomUp) {
    start = first_free_;
  } else {
    taken = FindEntryLocked(hint, &start);
  }
  if (options.fixed) {
    *out = hint;
    *prev = start;
    return !taken && options.size <= start->next->start - hint;
  }
  if (taken && direction_ == Direction::kTopDown) start = start->prev;
  const MapEntry* entry = start;
  uint32_t visits = 1;
  while (!FitsAfterLocked(options, hint, entry, out)) {
    // Below first_free_ there is no gap. If its own is too small, the next is the first of all.
    if (entry == first_free_ && entry->gap < options.size && direction_ == Direction::kBottomUp)
      entry = &header_;
    entry = NextGapLocked(entry, options.size, &visits);
    if (entry == nullptr) break;
  }
  __atomic_store_n(&gap_visits_, DebugGapVisits() + visits, __ATOMIC_RELAXED);
  *prev = const_cast<MapEntry*>(entry);
  return entry != nullptr;
}

bool Map::FindSpace(const FindOptions& options, Vaddr* out) {
  ReaderLock lock(&lock_);
  MapEntry* prev;
  return FindSpaceLocked(options, out, &prev);
}

}  // namespace uvm
