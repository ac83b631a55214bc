// Growing an amap in place of making another: what lets a map merge neighbours (facts/uvm.md 2.5).

#include <bit>

#include "base/check.h"
#include "uvm/amap.h"

namespace uvm {

void AmapStore::KeepOnly(const AmapRef& ref, PageCount pages) {
  Amap* amap = ref.amap;
  uint64_t end = ref.slot + pages.value();
  auto release = [&](uint32_t slot) { anons_->Release(Remove(amap, slot)); };
  // Where ppref was lost, slots outside hold what entries unmapped earlier left behind.
  ForEachUsed(amap, 0, ref.slot, release);
  ForEachUsed(amap, end, amap->slot_count, release);
  DropPpref(amap);
}

// Brings the slots [first, +count), outside of which nothing is used, to [target, +count) of the
// arrays of `to`, which may be the same.
void AmapStore::MoveSlots(const Amap& from, uint32_t first, uint32_t count, Amap* to,
                          uint32_t target) {
  // Upward moves begin at the top, so that ranges which overlap survive.
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t at = target > first ? count - 1 - i : i;
    to->anons[target + at] = from.anons[first + at];
    to->back[target + at] = from.back[first + at];
  }
  for (uint32_t i = 0; i < from.used_count; ++i) to->used[i] = from.used[i] - first + target;
  if (to->anons != from.anons) return;
  uint32_t vacated = first < target ? first : target + count > first ? target + count : first;
  uint32_t vacated_end =
      first < target ? (target < first + count ? target : first + count) : first + count;
  for (uint32_t slot = vacated; slot < vacated_end; ++slot) to->anons[slot] = nullptr;
}

Result<void, MapError> AmapStore::Extend(AmapRef* ref, PageCount pages, PageCount add,
                                         ExtendTo where) {
  Amap* amap = ref->amap;
  MutexLock lock(&amap->lock->mutex);
  if (amap->refs != 1) {
    core_->probes.Hit(Probe::kAmapHasOtherReferers);
    return MapError::kBusy;
  }
  uint64_t needed = pages.value() + add.value();
  const bool forward = where == ExtendTo::kForward;
  const auto count = static_cast<uint32_t>(pages.value());
  if (needed > amap->capacity && needed >= kLargeAmapSlots) {
    core_->probes.Hit(Probe::kAmapTooBig);
    return MapError::kTooBig;
  }
  Amap larger;
  if (needed > amap->capacity &&
      !AllocateArrays(&larger, std::bit_ceil(static_cast<uint32_t>(needed)))) {
    return MapError::kNoMemory;
  }
  KeepOnly(*ref, pages);
  uint32_t capacity = needed > amap->capacity ? larger.capacity : amap->capacity;
  // Where the present slots end up: where they are if there is room on that side, else at the far
  // end of the arrays.
  bool fits = needed <= amap->capacity &&
              (forward ? ref->slot + needed <= capacity : ref->slot >= add.value());
  uint32_t target = fits ? ref->slot : forward ? 0 : capacity - count;
  if (needed > amap->capacity) {
    core_->probes.Hit(Probe::kAmapGrowsArrays);
    MoveSlots(*amap, ref->slot, count, &larger, target);
    FreeArrays(amap);
    amap->anons = larger.anons;
    amap->used = larger.used;
    amap->back = larger.back;
    amap->capacity = larger.capacity;
  } else if (target != ref->slot) {
    core_->probes.Hit(Probe::kAmapSlotsMove);
    MoveSlots(*amap, ref->slot, count, amap, target);
  }
  if (fits) core_->probes.Hit(Probe::kAmapGrowsInPlace);
  ref->slot = forward ? target : target - static_cast<uint32_t>(add.value());
  auto end = static_cast<uint32_t>(ref->slot + needed);
  if (!fits || end > amap->slot_count) amap->slot_count = end;
  return {};
}

}  // namespace uvm
