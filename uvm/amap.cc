#include "uvm/amap.h"

#include <bit>

#include "base/check.h"

namespace uvm {
namespace {

// Above this an amap's arrays would not fit its 32-bit slot numbers, or their sizes in bytes a
// 32-bit server's size_t.
constexpr uint64_t kMaxSlots = uint64_t{1} << (sizeof(size_t) > 4 ? 31 : 27);

}  // namespace

template <typename F>
void AmapStore::ForEachUsed(Amap* amap, uint64_t first, uint64_t last, F&& visit) {
  if (last > amap->slot_count) last = amap->slot_count;
  if (first < last && amap->used_count < last - first) {
    // Backwards, because Remove() moves the last used slot, already visited, into the place it
    // empties.
    for (uint32_t i = amap->used_count; i-- > 0;) {
      uint32_t slot = amap->used[i];
      if (first <= slot && slot < last) visit(slot);
    }
    return;
  }
  for (uint64_t slot = first; slot < last; ++slot) {
    if (amap->anons[slot] != nullptr) visit(static_cast<uint32_t>(slot));
  }
}

bool AmapStore::AllocateArrays(Amap* amap, uint32_t capacity) {
  amap->anons = static_cast<Anon**>(arrays_.Allocate(capacity * sizeof(Anon*)));
  amap->used = static_cast<uint32_t*>(arrays_.Allocate(capacity * sizeof(uint32_t)));
  amap->back = static_cast<uint32_t*>(arrays_.Allocate(capacity * sizeof(uint32_t)));
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

Amap* AmapStore::Allocate(PageCount slots) {
  if (slots.value() > kMaxSlots) return nullptr;
  auto count = static_cast<uint32_t>(slots.value());
  Amap* amap = pool_.New();
  if (amap == nullptr) return nullptr;
  amap->lock = locks_.New(core_->threads);
  if (amap->lock == nullptr || !AllocateArrays(amap, std::bit_ceil(count < 4 ? 4u : count))) {
    if (amap->lock != nullptr) locks_.Delete(amap->lock);
    pool_.Delete(amap);
    return nullptr;
  }
  amap->slot_count = count;
  amap->id = next_id_++;
  all_.PushBack(amap);
  return amap;
}

void AmapStore::Reference(Amap* amap, Shared shared) {
  MutexLock lock(&amap->lock->mutex);
  ++amap->refs;
  if (shared == Shared::kYes) amap->shared = true;
}

void AmapStore::Release(Amap* amap) {
  LayerLock* layer_lock = amap->lock;
  {
    MutexLock lock(&layer_lock->mutex);
    CHECK(amap->refs > 0);
    if (--amap->refs == 1) amap->shared = false;
    if (amap->refs > 0) return;
    if (!core_->canary.Armed(base::Canary::kAnonReferenceLeaked)) {
      ForEachUsed(amap, 0, amap->slot_count,
                  [&](uint32_t slot) { anons_->Release(Remove(amap, slot)); });
    }
    if (--layer_lock->refs > 0) layer_lock = nullptr;  // relatives still use it
  }
  if (layer_lock != nullptr) locks_.Delete(layer_lock);
  Destroy(amap);
}

void AmapStore::Destroy(Amap* amap) {
  all_.Remove(amap);
  FreeArrays(amap);
  pool_.Delete(amap);
}

Anon* AmapStore::Lookup(const Amap* amap, uint32_t slot) const {
  CHECK(slot < amap->slot_count);
  return amap->anons[slot];
}

void AmapStore::Add(Amap* amap, uint32_t slot, Anon* anon) {
  CHECK(slot < amap->slot_count);
  CHECK(amap->anons[slot] == nullptr);
  amap->anons[slot] = anon;
  amap->back[slot] = amap->used_count;
  amap->used[amap->used_count++] = slot;
}

void AmapStore::Replace(Amap* amap, uint32_t slot, Anon* anon) {
  Anon* old = Lookup(amap, slot);
  CHECK(old != nullptr);
  if (amap->shared && old->page != nullptr)
    core_->pmap->PageProtect(old->page->pa, base::kProtNone);
  amap->anons[slot] = anon;
}

Anon* AmapStore::Remove(Amap* amap, uint32_t slot) {
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

Amap* AmapStore::CopyRange(const AmapRef& ref, PageCount pages) {
  Amap* source = ref.amap;
  Amap* copy = pool_.New();
  if (copy == nullptr) return nullptr;
  auto count = static_cast<uint32_t>(pages.value());
  if (!AllocateArrays(copy, std::bit_ceil(count < 4 ? 4u : count))) {
    pool_.Delete(copy);
    return nullptr;
  }
  copy->slot_count = count;
  copy->id = next_id_++;
  copy->lock = source->lock;
  ++copy->lock->refs;
  all_.PushBack(copy);
  ForEachUsed(source, ref.slot, uint64_t{ref.slot} + count, [&](uint32_t slot) {
    Anon* anon = source->anons[slot];
    ++anon->refs;
    Add(copy, slot - ref.slot, anon);
  });
  CHECK(source->refs > 1);
  if (--source->refs == 1) source->shared = false;
  ++core_->counters.amap_copy;
  return copy;
}

bool AmapStore::ExtendForward(const AmapRef& ref, PageCount pages, PageCount add) {
  Amap* amap = ref.amap;
  MutexLock lock(&amap->lock->mutex);
  if (amap->refs != 1) return false;
  uint64_t end = uint64_t{ref.slot} + pages.value();
  uint64_t wanted = end + add.value();
  if (wanted > amap->capacity && wanted >= kLargeAmapSlots) return false;
  if (wanted > amap->capacity) {
    Amap larger;
    if (!AllocateArrays(&larger, std::bit_ceil(static_cast<uint32_t>(wanted)))) return false;
    __builtin_memcpy(larger.anons, amap->anons, amap->slot_count * sizeof(Anon*));
    __builtin_memcpy(larger.used, amap->used, amap->used_count * sizeof(uint32_t));
    __builtin_memcpy(larger.back, amap->back, amap->slot_count * sizeof(uint32_t));
    FreeArrays(amap);
    amap->anons = larger.anons;
    amap->used = larger.used;
    amap->back = larger.back;
    amap->capacity = larger.capacity;
  }
  // The only entry left is [ref.slot, end): whatever else is in the slots is what other entries
  // left behind.
  ForEachUsed(amap, 0, ref.slot, [&](uint32_t slot) { anons_->Release(Remove(amap, slot)); });
  ForEachUsed(amap, end, amap->slot_count,
              [&](uint32_t slot) { anons_->Release(Remove(amap, slot)); });
  if (wanted > amap->slot_count) amap->slot_count = static_cast<uint32_t>(wanted);
  return true;
}

void AmapStore::WriteProtect(const AmapRef& ref, PageCount pages) {
  MutexLock lock(&ref.amap->lock->mutex);
  ForEachUsed(ref.amap, ref.slot, ref.slot + pages.value(), [&](uint32_t slot) {
    Page* page = ref.amap->anons[slot]->page;
    if (page != nullptr) core_->pmap->PageProtect(page->pa, base::kProtRead | base::kProtExecute);
  });
}

void AmapStore::ReleaseRange(const AmapRef& ref, PageCount pages) {
  ForEachUsed(ref.amap, ref.slot, ref.slot + pages.value(),
              [&](uint32_t slot) { anons_->Release(Remove(ref.amap, slot)); });
}

void AmapStore::ReleaseUnsharedRange(const AmapRef& ref, PageCount pages) {
  MutexLock lock(&ref.amap->lock->mutex);
  // The last reference releases everything anyway.
  if (ref.amap->shared || ref.amap->refs == 1) return;
  if (core_->canary.Armed(base::Canary::kAnonReferenceLeaked)) return;
  ReleaseRange(ref, pages);
}

}  // namespace uvm
