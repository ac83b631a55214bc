#include "uvm/voaddr.h"

#include "base/check.h"
#include "uvm/uvm.h"

namespace uvm {

Uvm::Identity Uvm::TryAcquireAddress(Map* map, Vaddr va, VoAddr* out) {
  ReaderLock map_lock(&map->lock());
  MapEntry* entry = map->LookupLocked(va.Trunc());
  if (entry == nullptr || entry->submap != nullptr || entry->bare || entry->prot.IsNone())
    return Identity::kNone;
  const bool may_write = entry->copy_on_write && EffectiveProt(entry->prot).CanWrite();
  if (entry->needs_copy && may_write) return Identity::kNeedsWrite;
  if (Amap* amap = entry->aref.amap) {
    MutexLock amap_lock(&amap->lock->mutex);
    Anon* anon = amaps_.Lookup(amap, entry->SlotOf(va));
    if (may_write && (anon == nullptr || anon->refs > 1)) return Identity::kNeedsWrite;
    if (anon != nullptr) {
      anons_.Hold(anon);
      amaps_.ReferenceLock(amap->lock);
      *out = {nullptr, anon, amap->lock, va.Offset()};
      return Identity::kFound;
    }
  } else if (may_write) {
    return Identity::kNeedsWrite;
  }
  if (entry->object == nullptr) return Identity::kNeedsRead;
  objects_.Reference(entry->object);
  ++held_objects_;
  *out = {entry->object, nullptr, nullptr, entry->offset + (va - entry->start)};
  return Identity::kFound;
}

bool Uvm::AcquireAddress(Space* space, Vaddr va, VoAddr* out) {
  for (;;) {
    Identity identity = TryAcquireAddress(&space->map(), va, out);
    if (identity == Identity::kFound) return true;
    if (identity == Identity::kNone) return false;
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
