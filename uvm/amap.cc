#include "uvm/amap.h"

#include <bit>

#include "base/check.h"

namespace uvm {
namespace {

// Above this an amap's arrays would not fit its 32-bit slot numbers, or their sizes in bytes a
// 32-bit server's size_t.
constexpr uint64_t kMaxSlots = uint64_t{1} << (sizeof(size_t) > 4 ? 31 : 27);

// Arrays come in powers of two: what is asked for is what is had.
uint32_t CapacityFor(uint32_t slots) { return std::bit_ceil(slots < 4 ? 4u : slots); }

}  // namespace

bool AmapStore::AllocateArrays(Amap* amap, uint32_t capacity) {
  if (!AllocateRawArrays(amap, capacity)) return false;
  __builtin_memset(amap->anons, 0, capacity * sizeof(Anon*));
  return true;
}

// What the slots hold is undefined; used[] and back[] mean nothing beyond what Add() writes.
bool AmapStore::AllocateRawArrays(Amap* amap, uint32_t capacity) {
  amap->anons = static_cast<Anon**>(arrays_.AllocateRaw(capacity * sizeof(Anon*)));
  amap->used = static_cast<uint32_t*>(arrays_.AllocateRaw(capacity * sizeof(uint32_t)));
  amap->back = static_cast<uint32_t*>(arrays_.AllocateRaw(capacity * sizeof(uint32_t)));
  amap->capacity = capacity;
  if (amap->anons != nullptr && amap->used != nullptr && amap->back != nullptr) return true;
  FreeArrays(amap);
  return false;
}

void AmapStore::FreeArrays(Amap* amap) {
  if (amap->anons != nullptr) arrays_.Free(amap->anons, amap->capacity * sizeof(Anon*));
  if (amap->used != nullptr) arrays_.Free(amap->used, amap->capacity * sizeof(uint32_t));
  if (amap->back != nullptr) arrays_.Free(amap->back, amap->capacity * sizeof(uint32_t));
  amap->anons = nullptr;
  amap->used = amap->back = nullptr;
}

Amap* AmapStore::Allocate(PageCount slots, PageCount pad) {
  if (slots.value() > kMaxSlots || pad.value() > kMaxSlots - slots.value()) return nullptr;
  auto count = static_cast<uint32_t>(slots.value());
  uint32_t capacity = CapacityFor(count + static_cast<uint32_t>(pad.value()));
  Amap* amap = pool_.New();
  if (amap == nullptr) return nullptr;
  amap->lock = anons_->NewLock();
  if (amap->lock == nullptr || !AllocateArrays(amap, capacity)) {
    if (amap->lock != nullptr) anons_->DeleteLock(amap->lock);
    pool_.Delete(amap);
    return nullptr;
  }
  amap->slot_count = count;
  amap->id = next_id_++;
  all_.PushBack(amap);
  return amap;
}

void AmapStore::Reference(const AmapRef& ref, PageCount pages, Shared shared) {
  Amap* amap = ref.amap;
  MutexLock lock(&amap->lock->mutex);
  ++amap->refs;
  if (shared == Shared::kYes) amap->shared = true;
  if (amap->pp == Ppref::kPresent) AdjustPpref(amap, ref.slot, pages, +1);
}

void AmapStore::ReferencePart(const AmapRef& whole, PageCount whole_pages, const AmapRef& part,
                              PageCount part_pages, Shared shared) {
  Amap* amap = part.amap;
  CHECK(amap == whole.amap);
  MutexLock lock(&amap->lock->mutex);
  EstablishPpref(amap, whole.slot, whole_pages);
  ++amap->refs;
  if (shared == Shared::kYes) amap->shared = true;
  if (amap->pp == Ppref::kPresent) AdjustPpref(amap, part.slot, part_pages, +1);
}

void AmapStore::Split(const AmapRef& left, PageCount pages, PageCount kept, AmapRef* right) {
  Amap* amap = left.amap;
  {
    MutexLock lock(&amap->lock->mutex);
    // Two entries in place of one: each slot is covered as often as before.
    EstablishPpref(amap, left.slot, pages);
    ++amap->refs;
  }
  *right = {amap, left.slot + static_cast<uint32_t>(kept.value())};
}

// One reference less, which covered [slot, +pages). LOCKS: the amap's.
void AmapStore::Uncover(Amap* amap, uint32_t slot, PageCount pages) {
  CHECK(amap->refs > 1);
  if (--amap->refs == 1) amap->shared = false;
  // Without ppref the others cover the same slots, or nobody knows.
  if (amap->pp == Ppref::kPresent) AdjustPpref(amap, slot, pages, -1);
}

void AmapStore::Release(const AmapRef& ref, PageCount pages) {
  Amap* amap = ref.amap;
  LayerLock* layer_lock = amap->lock;
  {
    MutexLock lock(&layer_lock->mutex);
    if (amap->refs > 1) return Uncover(amap, ref.slot, pages);
    CHECK(amap->refs == 1);
    amap->refs = 0;
    if (!core_->canary.Armed(base::Canary::kAnonReferenceLeaked)) {
      ForEachUsed(amap, 0, amap->slot_count,
                  [&](uint32_t slot) { anons_->Release(Remove(amap, slot)); });
    }
  }
  ReleaseLock(layer_lock);
  Destroy(amap);
}

void AmapStore::OpenCursor(AmapCursor* cursor) {
  cursor->at = all_.front();
  cursors_.PushBack(cursor);
}

void AmapStore::Destroy(Amap* amap) {
  for (AmapCursor* cursor = cursors_.front(); cursor != nullptr; cursor = cursors_.Next(cursor)) {
    if (cursor->at == amap) AdvanceCursor(cursor);
  }
  all_.Remove(amap);
  DropPpref(amap);
  FreeArrays(amap);
  pool_.Delete(amap);
}

Anon* AmapStore::Lookup(const Amap* amap, uint32_t slot) const {
  CHECK(slot < amap->slot_count);
  return amap->anons[slot];
}

uint64_t AmapStore::CountEmpty(const AmapRef& ref, PageCount pages) const {
  uint64_t empty = 0;
  while (empty < pages.value() && ref.amap->anons[ref.slot + empty] == nullptr) ++empty;
  return empty;
}

void AmapStore::Add(Amap* amap, uint32_t slot, Anon* anon) {
  DCHECK(amap->lock->mutex.HeldBySelf());
  CHECK(slot < amap->slot_count);
  CHECK(amap->anons[slot] == nullptr);
  amap->anons[slot] = anon;
  anon->lock = amap->lock;
  amap->back[slot] = amap->used_count;
  amap->used[amap->used_count++] = slot;
}

void AmapStore::Replace(Amap* amap, uint32_t slot, Anon* anon) {
  DCHECK(amap->lock->mutex.HeldBySelf());
  Anon* old = Lookup(amap, slot);
  CHECK(old != nullptr);
  // Wired translations were moved by whoever replaces (fault.cc): what is still wired is not ours.
  if (amap->shared && old->page != nullptr && old->page->wire_count == 0)
    core_->pmap->PageProtect(old->page->pa, base::kProtNone);
  amap->anons[slot] = anon;
  anon->lock = amap->lock;
}

Anon* AmapStore::Remove(Amap* amap, uint32_t slot) {
  DCHECK(amap->lock->mutex.HeldBySelf());
  Anon* anon = Lookup(amap, slot);
  CHECK(anon != nullptr);
  amap->anons[slot] = nullptr;
  // The last used slot takes the freed place in used[].
  uint32_t place = amap->back[slot];
  uint32_t last = amap->used[--amap->used_count];
  amap->used[place] = last;
  amap->back[last] = place;
  return anon;
}

// The slots of `from` from `first` on, as many as `to` has, with one more reference on each anon.
// There may be many, and nothing of it in the cache: the anons are asked for before their turn
// comes, and each array is gone through once.
void AmapStore::CopySlots(const Amap& from, uint32_t first, Amap* to) {
  constexpr uint32_t kAhead = 24;
  const uint32_t count = to->slot_count;
  Anon** const anons = to->anons;
  uint32_t* const used = to->used;
  uint32_t* const back = to->back;
  uint32_t found = 0;
  for (uint32_t slot = 0; slot < count; ++slot) {
    Anon* const anon = anons[slot] = from.anons[first + slot];
    if (slot + kAhead < count) __builtin_prefetch(from.anons[first + slot + kAhead], /*rw=*/1);
    if (anon == nullptr) continue;
    ++anon->refs;
    back[slot] = found;
    used[found++] = slot;
  }
  to->used_count = found;
  __builtin_memset(anons + count, 0, (to->capacity - count) * sizeof(Anon*));
}

// An amap of the family of `source` with one reference. What its slots hold is undefined yet.
Amap* AmapStore::NewCopy(Amap* source, uint32_t slots) {
  source->lock->mutex.AssertHeld();
  Amap* copy = pool_.New();
  if (copy == nullptr) return nullptr;
  if (!AllocateRawArrays(copy, CapacityFor(slots))) {
    pool_.Delete(copy);
    return nullptr;
  }
  copy->slot_count = slots;
  copy->id = next_id_++;
  copy->lock = source->lock;
  ++source->lock->refs;
  all_.PushBack(copy);
  ++core_->counters.amap_copy;
  return copy;
}

Amap* AmapStore::CopyRange(const AmapRef& ref, PageCount pages) {
  Amap* copy = NewCopy(ref.amap, static_cast<uint32_t>(pages.value()));
  if (copy == nullptr) return nullptr;
  CopySlots(*ref.amap, ref.slot, copy);
  Uncover(ref.amap, ref.slot, pages);
  return copy;
}

Amap* AmapStore::CopyRangeWithin(const AmapRef& ref, PageCount pages, Span span) {
  CHECK(span.first <= ref.slot && ref.slot + pages.value() <= span.end);
  Amap* copy = NewCopy(ref.amap, span.end - span.first);
  if (copy == nullptr) return nullptr;
  __builtin_memset(copy->anons, 0, copy->capacity * sizeof(Anon*));
  ShareSlots(ref, {copy, ref.slot - span.first}, pages);
  Uncover(ref.amap, ref.slot, pages);
  return copy;
}

void AmapStore::CopyMore(const AmapRef& from, const AmapRef& to, PageCount pages,
                         const AmapRef& other, PageCount other_pages) {
  Amap* copy = to.amap;
  CHECK(copy->lock == from.amap->lock);
  // As long as all cover the same slots they need not be counted one by one.
  if (to.slot != other.slot || pages != other_pages) EstablishPpref(copy, other.slot, other_pages);
  ++copy->refs;
  if (copy->pp == Ppref::kPresent) AdjustPpref(copy, to.slot, pages, +1);
  ShareSlots(from, to, pages);
  Uncover(from.amap, from.slot, pages);
}

// Anons of `from` that `to` has none for, with one more reference on each.
void AmapStore::ShareSlots(const AmapRef& from, const AmapRef& to, PageCount pages) {
  ForEachUsed(from.amap, from.slot, from.slot + pages.value(), [&](uint32_t slot) {
    const uint32_t target = slot - from.slot + to.slot;
    if (Lookup(to.amap, target) != nullptr) return;
    Anon* anon = from.amap->anons[slot];
    ++anon->refs;
    Add(to.amap, target, anon);
  });
}

// A copy with one reference, and the lock of `old`, which is readable; null when memory ran out.
Anon* AmapStore::CopyAnon(const Anon* old) {
  Anon* fresh = anons_->Allocate();
  if (fresh == nullptr) return nullptr;
  pages_->Copy(old->page, fresh->page);
  fresh->page->busy = BusyReason::kNotBusy;
  pages_->Activate(fresh->page);
  fresh->lock = old->lock;
  return fresh;
}

AmapStore::Copied AmapStore::CopyNow(const AmapRef& ref, PageCount pages, Anon** absent) {
  Amap* amap = ref.amap;
  Copied copied = Copied::kAll;
  ForEachUsed(amap, ref.slot, ref.slot + pages.value(), [&](uint32_t slot) {
    Anon* old = amap->anons[slot];
    if (copied != Copied::kAll || old->refs == 1) return;
    if (!old->IsReadable()) {
      if (absent == nullptr) return;
      *absent = old;
      copied = Copied::kAbsent;
      return;
    }
    Anon* fresh = CopyAnon(old);
    if (fresh == nullptr) {
      copied = Copied::kNoMemory;
      return;
    }
    amap->anons[slot] = fresh;
    anons_->Release(old);
  });
  return copied;
}

void AmapStore::GiveUpShared(const AmapRef& ref, PageCount pages) {
  ForEachUsed(ref.amap, ref.slot, ref.slot + pages.value(), [&](uint32_t slot) {
    const Anon* anon = ref.amap->anons[slot];
    if (anon->refs > 1 && anon->IsReadable()) anons_->Release(Remove(ref.amap, slot));
  });
}

AmapStore::Copied AmapStore::CopyMissing(const AmapRef& from, const AmapRef& to, PageCount pages) {
  Copied copied = Copied::kAll;
  ForEachUsed(from.amap, from.slot, from.slot + pages.value(), [&](uint32_t slot) {
    const uint32_t target = slot - from.slot + to.slot;
    if (copied != Copied::kAll || Lookup(to.amap, target) != nullptr) return;
    Anon* anon = from.amap->anons[slot];
    if (anon->IsReadable()) {
      anon = CopyAnon(anon);
    } else {
      ++anon->refs;
    }
    if (anon == nullptr) {
      copied = Copied::kNoMemory;
    } else {
      Add(to.amap, target, anon);
    }
  });
  return copied;
}

void AmapStore::WriteProtect(const AmapRef& ref, PageCount pages) {
  ForEachUsed(ref.amap, ref.slot, ref.slot + pages.value(), [&](uint32_t slot) {
    Page* page = ref.amap->anons[slot]->page;
    if (page != nullptr) core_->pmap->PageProtect(page->pa, base::kProtRead | base::kProtExecute);
  });
}

void AmapStore::ReleaseRange(const AmapRef& ref, PageCount pages) {
  ForEachUsed(ref.amap, ref.slot, ref.slot + pages.value(),
              [&](uint32_t slot) { anons_->Release(Remove(ref.amap, slot)); });
}

}  // namespace uvm
