// What entries say about their pages: rights, inheritance, advice; and asking about them.

#include "base/check.h"
#include "uvm/map.h"
#include "uvm/map_entry.h"

namespace uvm {

Result<void, MapError> Map::CheckProtectLocked(Range range, Prot prot) {
  for (MapEntry* entry = FirstAboveLocked(range.start); entry->start < range.end;
       entry = entry->next) {
    if (entry->submap != nullptr) return MapError::kInvalidArgument;
    if (!prot.IsSubsetOf(entry->max_prot)) return MapError::kProtection;
    if (prot.CanExecute() && entry->object != nullptr && entry->object->no_exec)
      return MapError::kProtection;
  }
  return {};
}

Result<void, MapError> Map::Protect(Range range, Prot prot, SetMax set_max) {
  Change change(this, "Map::Protect");
  range = Clamp(range);
  if (range.empty()) return {};
  TRY(CheckProtectLocked(range, prot));
  MapEntry* const first = FirstAboveLocked(range.start);
  if (SplitsLocked(range, first) && !FillSparesLocked()) return MapError::kNoMemory;
  PmapSystem* pmap = context_->core->pmap;
  bool lowered = false;
  bool wire = false;
  bool short_of_memory = false;
  for (MapEntry* entry = ClipRangeLocked(range, first); entry->start < range.end;
       entry = entry->next) {
    Prot old = entry->prot;
    if (set_max == SetMax::kYes) {
      entry->max_prot = prot;
      entry->prot = entry->prot & prot;
    } else {
      entry->prot = prot;
    }
    if (wires_future_ && old.IsNone() && !entry->prot.IsNone() && entry->wired_count == 0) {
      wire = true;
      short_of_memory = !RaiseWiringLocked(entry, entry->range()) || short_of_memory;
    }
    // Raising rights is left to faults: only they know about copy-on-write.
    if (EffectiveProt(old).IsSubsetOf(EffectiveProt(entry->prot)) ||
        context_->core->canary.Armed(base::Canary::kStaleAfterProtect)) {
      continue;
    }
    lowered = true;
    pmap->Protect(pmap_, entry->range(), EffectiveProt(entry->prot));
  }
  if (lowered) pmap->Update(pmap_);
  if (wire && !WireMarkedLocked(range).ok()) short_of_memory = true;
  if (short_of_memory) return MapError::kNoMemory;
  return {};
}

Result<void, MapError> Map::SetInherit(Range range, Inherit inherit) {
  if (inherit != Inherit::kNone && inherit != Inherit::kCopy && inherit != Inherit::kShare &&
      inherit != Inherit::kZero) {
    return MapError::kInvalidArgument;
  }
  Change change(this, "Map::SetInherit");
  range = Clamp(range);
  MapEntry* const first = FirstAboveLocked(range.start);
  if (SplitsLocked(range, first) && !FillSparesLocked()) return MapError::kNoMemory;
  for (MapEntry* entry = ClipRangeLocked(range, first); entry->start < range.end;
       entry = entry->next) {
    entry->inherit = inherit;
  }
  return {};
}

Result<void, MapError> Map::SetAdvice(Range range, Advice advice) {
  Change change(this, "Map::SetAdvice");
  range = Clamp(range);
  if (advice != Advice::kNormal && advice != Advice::kRandom && advice != Advice::kSequential &&
      !IsFreeLocked(range)) {
    return MapError::kInvalidArgument;
  }
  MapEntry* const first = FirstAboveLocked(range.start);
  if (SplitsLocked(range, first) && !FillSparesLocked()) return MapError::kNoMemory;
  for (MapEntry* entry = ClipRangeLocked(range, first); entry->start < range.end;
       entry = entry->next) {
    entry->advice = advice;
  }
  return {};
}

bool Map::CheckProt(Range range, Prot prot) {
  ReaderLock lock(&lock_);
  if (range.empty()) return true;
  if (range.start < min() || range.end > max() || !IsMappedLocked(range)) return false;
  for (MapEntry* entry = FirstAboveLocked(range.start); entry->start < range.end;
       entry = entry->next) {
    if (!prot.IsSubsetOf(entry->prot)) return false;
  }
  return true;
}

bool Map::FindRegion(Vaddr at, Region* out) {
  ReaderLock lock(&lock_);
  MapEntry* entry = FirstAboveLocked(at);
  if (AtEnd(entry)) return false;
  *out = {entry->range(), entry->prot,   entry->max_prot,
          entry->inherit, entry->shared, entry->wired_count != 0};
  return true;
}

bool Map::FindResidence(Vaddr va, bool* resident, Vaddr* end) {
  ReaderLock lock(&lock_);
  MapEntry* entry = LookupLocked(va);
  if (entry == nullptr) return false;
  const uint64_t pages = (entry->end - va) >> base::kPageShift;
  uint64_t alike = pages;
  *resident = false;
  if (Amap* amap = entry->aref.amap) {
    MutexLock amap_lock(&amap->lock->mutex);
    // A copy on disk does not count, nor does what the object has below it.
    const uint32_t slot = entry->SlotOf(va);
    const Anon* anon = context_->amaps->Lookup(amap, slot);
    *resident = anon != nullptr && anon->page != nullptr;
    alike = anon != nullptr ? 1 : context_->amaps->CountEmpty({amap, slot}, PageCount(pages));
    if (anon != nullptr) {
      *end = va + base::kPageSize;
      return true;
    }
  }
  if (Object* object = entry->object) {
    MutexLock object_lock(&object->mu);
    *resident = object->pager()->kind() == Pager::Kind::kDevice;
    const PageIndex index = entry->ObjectIndexOf(va);
    const Page* next = object->Search(index, Object::Towards::kUp, 0);
    if (next != nullptr && next->index == index) {
      *resident = true;
      alike = 1;
    } else if (next != nullptr && next->index < index + PageCount(alike)) {
      alike = (next->index - index).value();
    }
  }
  *end = va + (alike << base::kPageShift);
  return true;
}

}  // namespace uvm
