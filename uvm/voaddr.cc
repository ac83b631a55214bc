#include "uvm/voaddr.h"

#include "base/check.h"
#include "uvm/uvm.h"

namespace uvm {

// Memory that may be written, by the caller or by others who share its amap, must be the amap's own
// first: the first write would put another anon in its place, and whoever asks after it would get
// another answer.
Uvm::Identity Uvm::TryAcquireAddress(Map* map, Vaddr va, Sharers sharers, VoAddr* out) {
  ReaderLock map_lock(&map->lock());
  MapEntry* entry = map->LookupLocked(va.Trunc());
  if (entry == nullptr || entry->submap != nullptr || entry->bare || entry->prot.IsNone())
    return Identity::kNone;
  const bool may_write = EffectiveProt(entry->prot).CanWrite();
  const Identity unsettled = may_write ? Identity::kNeedsWrite : Identity::kNeedsCopy;
  if (entry->needs_copy && may_write) return unsettled;
  if (Amap* amap = entry->aref.amap) {
    MutexLock amap_lock(&amap->lock->mutex);
    Anon* anon = amaps_.Lookup(amap, entry->SlotOf(va));
    const bool others = sharers == Sharers::kMayWrite && amap->shared && !entry->needs_copy;
    if ((may_write || others) && (anon == nullptr ? entry->copy_on_write : anon->refs > 1))
      return unsettled;
    if (anon != nullptr) {
      anons_.Hold(anon);
      amaps_.ReferenceLock(amap->lock);
      *out = {nullptr, anon, amap->lock, va.Offset()};
      return Identity::kFound;
    }
  } else if (may_write && entry->copy_on_write) {
    return unsettled;
  }
  if (entry->object == nullptr) return Identity::kNeedsRead;
  objects_.Reference(entry->object);
  ++held_objects_;
  *out = {entry->object, nullptr, nullptr, entry->offset + (va - entry->start)};
  return Identity::kFound;
}

bool Uvm::AcquireAddress(Space* space, Vaddr va, VoAddr* out) {
  Sharers sharers = Sharers::kMayWrite;
  for (;;) {
    Identity identity = TryAcquireAddress(&space->map(), va, sharers, out);
    if (identity == Identity::kFound) return true;
    if (identity == Identity::kNone) return false;
    if (identity == Identity::kNeedsCopy) {
      Result<void, FaultError> copied = faults_.FaultMaxProt(&space->map(), va, Access::kWrite);
      if (copied.ok()) continue;
      if (copied.error() != FaultError::kProtection) return false;
      sharers = Sharers::kIgnored;  // who may never write cannot have it copied either
      continue;
    }
    Access access = identity == Identity::kNeedsWrite ? Access::kWrite : Access::kRead;
    if (!Fault(space, va, access).ok()) return false;
  }
}

void Uvm::ReleaseAddress(VoAddr* address) {
  CHECK(!address->empty());
  if (address->object != nullptr) {
    objects_.Release(address->object);
    --held_objects_;
  } else {
    {
      MutexLock lock(&address->lock->mutex);
      anons_.ReleaseHold(address->anon);
    }
    amaps_.ReleaseLock(address->lock);
  }
  *address = {};
}

}  // namespace uvm
