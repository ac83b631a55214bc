// uvm/fault_info.h: what a fault that is being resolved knows and holds.
//
// WHAT     FaultInfo is struct uvm_faultinfo and the parameters of pgo_fault in one: a pager that
//          maps pages itself (Pager::HandlesFaults) gets nothing else. It enters pages of the
//          window with `core->pmap` into `pmap`, calls UnlockAll and returns.
// STATES   unlocked -> looked up (map read, then amap, then object locked) -> unlocked.
// `map_locked`
//          and friends say which locks are held now.
// SEE      facts/uvm.md 1.4 (pgo_fault), 2.8; fault.h.

#ifndef UVM_FAULT_INFO_H_
#define UVM_FAULT_INFO_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/pager.h"

namespace uvm {

struct FaultInfo {
  // The access.
  Map* origin = nullptr;  // whose pmap gets the translation
  Vaddr va;               // page aligned
  Access access = Access::kRead;

  // What the lookup found.
  Map* map = nullptr;  // `origin`, or the submap that the entry of `origin` names
  MapEntry* entry = nullptr;
  uint64_t timestamp = 0;    // of `map` then
  Amap* amap = nullptr;      // the entry's upper layer
  Object* object = nullptr;  // the entry's lower layer

  // What may be entered: at most these rights, wired or not; `access_prot` is what caused it.
  Prot enter_prot;
  Prot access_prot;
  Wired wired = Wired::kNo;

  // The window: `count` pages from `first`, all of the entry. pages[i] == DontCare() where the
  // pager is to leave page i alone: a page of the upper layer is there.
  Vaddr first;
  uint32_t count = 1;
  uint32_t centre = 0;  // first + centre pages == va
  Page** pages = nullptr;

  bool map_locked = false;     // `map`, for reading
  bool amap_locked = false;    // `amap`
  bool object_locked = false;  // `object`
  // Not patient: a lock that is not free is not waited for, and what wanted it says `refused`.
  bool patient = true;
  bool refused = false;
  // Set by Pager::Fault, which then returns success: nothing was entered, look everything up again.
  bool restart = false;

  Pmap* pmap() const { return origin->pmap(); }
  PageIndex IndexOf(uint32_t i) const { return entry->ObjectIndexOf(first + i * base::kPageSize); }

  // NetBSD: uvmfault_lookup(). Sets map, entry and timestamp from origin and va, following submaps.
  // True with the map locked for reading when there is an entry; false, or refused, with nothing
  // locked.
  bool LookUp() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    map = origin;
    for (;;) {
      if (!LockMap()) return false;
      entry = map->LookupLocked(va);
      if (entry == nullptr || entry->submap == nullptr) break;
      Map* submap = entry->submap;
      UnlockMap();
      map = submap;
    }
    if (entry == nullptr) {
      UnlockMap();
      return false;
    }
    timestamp = map->timestamp();
    amap = entry->aref.amap;
    object = entry->object;
    return true;
  }
  // NetBSD: uvmfault_unlockall(), uvmfault_unlockmaps(). Release what is held, innermost first.
  void UnlockObject() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (object_locked) object->mu.Unlock();
    object_locked = false;
  }
  void UnlockAmap() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (amap_locked) amap->lock->mutex.Unlock();
    amap_locked = false;
  }
  void UnlockMap() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (map_locked) map->lock().ReadUnlock();
    map_locked = false;
  }
  void UnlockAll() {
    UnlockObject();
    UnlockAmap();
    UnlockMap();
  }
  // False: refused.
  bool LockMap() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (patient) {
      map->lock().ReadLock();
    } else if (!map->lock().TryReadLock()) {
      refused = true;
    }
    map_locked = !refused;
    return map_locked;
  }
  bool LockAmap() {
    amap_locked = amap != nullptr && Lock(&amap->lock->mutex);
    return !refused;
  }
  bool LockObject() {
    object_locked = Lock(&object->mu);
    return object_locked;
  }
  // NetBSD: uvmfault_relock(). Takes the map's lock again; false, with nothing locked, when it may
  // have changed meanwhile.
  bool Relock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    map->lock().ReadLock();
    map_locked = true;
    if (map->timestamp() == timestamp) return true;
    UnlockMap();
    return false;
  }

 private:
  bool Lock(Mutex* mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (patient) {
      mutex->Lock();
    } else if (!mutex->TryLock()) {
      refused = true;
    }
    return !refused;
  }
};

}  // namespace uvm

#endif  // UVM_FAULT_INFO_H_
