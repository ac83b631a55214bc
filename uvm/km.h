// uvm/km.h: the server's own address space as UVM sees it: kernel maps.
//
// WHAT     KernelMemory is a map over the addresses that the pmap gives to the kernel
//          (PmapSystem::VirtualSpace), with submaps, and three ways to put something there:
//            kKmWired     frames entered at once, unmanaged (KenterPa); nothing ever faults
//            kKmPageable  pages of the kernel object, at offset address - start of the map
//            kKmVaOnly    addresses only; the caller enters what it likes
//          In the simulation the core has no plain pointers to such addresses: contents are
//          reached by Copy, which does what a processor would, or by the frame's home pointer.
// STATES   of a range: free -> allocated (one of the three) -> free, by Free with the same flags.
// LOCKS    Everything is called with nothing held; the maps have their own locks.
// INVARIANTS  I18 KernelMappings: each mapping of the kernel's pmap lies in an entry of a kernel
//          map. Wired frames are nobody's (no object, no anon) and wired once. A page of the kernel
//          object lies in a pageable range.
// SEE      NetBSD sys/uvm/uvm_km.c, uvm_km(9); facts/uvm.md 1.14, 2.16.

#ifndef UVM_KM_H_
#define UVM_KM_H_

#include <cstdint>

#include "uvm/aobj.h"
#include "uvm/core.h"
#include "uvm/fault.h"
#include "uvm/frame_wait.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/page.h"

namespace uvm {

// UVM_KMF_*: exactly one of the first three.
enum KmFlags : uint32_t {
  kKmWired = 0x1,
  kKmPageable = 0x2,
  kKmVaOnly = 0x4,
  kKmCanFail = 0x8,  // an error rather than waiting for memory
  kKmZero = 0x10,    // wired: the frames are zeroed; pageable memory always begins as zeroes
  kKmExec = 0x20,
  kKmTryLock = 0x200000,     // kTryAgain instead of waiting for the map's lock
  kKmNoWait = 0x400000,      // as kKmCanFail
  kKmWaitVa = 0x800000,      // wait for addresses even though the rest may fail
  kKmColorMatch = 0x4000000  // `align` is a cache colour
};

enum class MaySleep : uint8_t { kNo, kYes };

class KernelMemory {
 public:
  // NetBSD: uvm_km_bootstrap(), uvm_km_init().
  KernelMemory(Core* core, PageStore* pages, AnonymousPager* anonymous, FaultHandler* faults,
               const MapContext* context);
  KernelMemory(const KernelMemory&) = delete;
  KernelMemory& operator=(const KernelMemory&) = delete;

  // False: no room for the kernel object. Nothing else may be called then.
  bool ok() const { return object_ != nullptr; }
  // kernel_map, kernel_object.
  Map* map() { return &map_; }
  Object* object() { return object_; }

  // NetBSD: uvm_km_alloc(). `bytes` are rounded up to pages; `align` as in Map::EnterOptions. With
  // neither kKmCanFail nor kKmNoWait it waits until there is memory. kNoSpace, kNoMemory,
  // kTryAgain: nothing changed.
  Result<Vaddr, MapError> Allocate(Map* map, uint64_t bytes, uint64_t align, uint32_t flags);
  // NetBSD: uvm_km_free(). The whole of what Allocate gave, with the type it was given.
  void Free(Map* map, Vaddr at, uint64_t bytes, uint32_t type);
  // NetBSD: uvm_km_kmem_alloc(), uvm_km_kmem_free(): wired memory for the kernel's allocators.
  Result<Vaddr, MapError> KmemAlloc(uint64_t bytes, MaySleep sleep) {
    const uint32_t wired = kKmWired;
    return Allocate(&map_, bytes, 0, sleep == MaySleep::kYes ? wired : wired | kKmNoWait);
  }
  void KmemFree(Vaddr at, uint64_t bytes) { Free(&map_, at, bytes, kKmWired); }
  // NetBSD: uvm_km_protect().
  Result<void, MapError> Protect(Map* map, Vaddr at, uint64_t bytes, Prot prot) {
    return map->Protect({at, at + base::RoundPage(bytes)}, prot, SetMax::kNo);
  }
  // NetBSD: uvm_km_suballoc(). A submap of `bytes` of `parent`, at `fixed` if that is not 0. There
  // is no way back. Panics when there is no room: nothing can run without its maps.
  Map* Suballocate(Map* parent, uint64_t bytes, Vaddr fixed = Vaddr(0));

  // NetBSD: uvm_km_pgremove(): the pages of the kernel object behind a range are forgotten.
  void RemovePages(Range range);
  // NetBSD: uvm_km_pgremove_intrsafe(): the wired frames of a range are unmapped and freed.
  void RemoveWired(Range range);
  // NetBSD: uvm_km_check_empty(). True when nothing is mapped in the range and the kernel object
  // has no page there.
  bool IsEmpty(Range range);
  // NetBSD: uvm_km_va_starved_p(): less than a tenth of the addresses is free. For whoever looks:
  // nothing that could be drained has any (docs/DIFFERENCES.md, starved-addresses-kick-nobody).
  bool VaStarved() const;

  // What a processor does: moves `bytes` between `at`, of the kernel map or a submap, and `buffer`,
  // faulting where it has to. On error, what came before the page that failed was moved.
  Result<void, FaultError> Copy(Vaddr at, unsigned char* buffer, uint64_t bytes, Access access);
  // NetBSD: uvm_kernacc(): could an access of this kind succeed, as far as the maps know?
  bool Accessible(Vaddr at, uint64_t bytes, Access access);
  Result<void, FaultError> Fault(Vaddr at, Access access) {
    return faults_->Fault(&map_, at, access);
  }
  // A frame of the kernel's own, nobody's and wired; null when none is left. The contents are
  // undefined.
  Page* AllocateFrame();
  void FreeFrame(Page* page);

  Core* core() const { return core_; }
  PageStore* pages() const { return pages_; }
  // pmap_growkernel(9): addresses up to `end` can be mapped from now on.
  void GrowTo(Vaddr end);

  // For checkers, without locks: the entry that contains `at` in the kernel map or the submap
  // there.
  const MapEntry* DebugEntryAt(Vaddr at);
  // Calls visit(map) for the kernel map and each submap.
  template <typename F>
  void DebugForEachMap(F&& visit) {
    visit(&map_);
    for (Submap* submap = submaps_.front(); submap != nullptr; submap = submaps_.Next(submap)) {
      visit(&submap->map);
    }
  }

 private:
  struct Submap {
    Submap(const MapContext* context, Vaddr min, Vaddr max, Pmap* pmap)
        : map(context, min, max, pmap) {}
    Map map;
    base::ListLink link;
  };
  Result<void, MapError> Populate(Range range, Prot prot, uint32_t flags);
  bool WaitForMemory(FrameWait* wait, uint32_t flags);
  // Moves what lies within one page. False: it is not mapped for that.
  Map* MapOf(Vaddr at);

  Core* const core_;
  PageStore* const pages_;
  AnonymousPager* const anonymous_;
  FaultHandler* const faults_;
  const MapContext* const context_;
  Map map_;
  Object* const object_;
  base::Pool<Submap> submap_pool_;
  base::List<Submap, &Submap::link> submaps_;
  Vaddr grown_;
};

}  // namespace uvm

#endif  // UVM_KM_H_
