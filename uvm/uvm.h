// uvm/uvm.h: the machine-independent virtual memory system as one object.
//
// WHAT     A Uvm owns every page, anon, amap, object and space. It takes all frames of the pmap at
//          construction and gives nothing back; there may be any number of Uvms in a process
//          (design D3).
// LOCKS    No lock of its own: each noun has its locks. The lists of spaces and stores are changed
//          by the calls below, which the server issues from one thread at a time per space and
//          never re-enters.
// SEE      docs/internals/uvm.md; facts/uvm.md section 1.

#ifndef UVM_UVM_H_
#define UVM_UVM_H_

#include <cstdint>

#include "uvm/amap.h"
#include "uvm/anon.h"
#include "uvm/aobj.h"
#include "uvm/core.h"
#include "uvm/device.h"
#include "uvm/fault.h"
#include "uvm/io.h"
#include "uvm/km.h"
#include "uvm/loan.h"
#include "uvm/map.h"
#include "uvm/object.h"
#include "uvm/object_wire.h"
#include "uvm/page.h"
#include "uvm/pdaemon.h"
#include "uvm/pdpolicy_choice.h"
#include "uvm/pglist.h"
#include "uvm/space.h"
#include "uvm/stored.h"
#include "uvm/swap.h"
#include "uvm/swapoff.h"
#include "uvm/ubc.h"
#include "uvm/voaddr.h"

namespace uvm {

// All three outlive the Uvm.
struct Config {
  base::PageSource* memory;
  PmapSystem* pmap;
  ThreadSystem* threads;
  PolicySpec policy = {};  // which page goes next
  // Frames that begin plugged in; none: all that the pmap can reach.
  const FrameRange* plugged = nullptr;
  uint32_t plugged_count = 0;
};

class Uvm {
 public:
  // NetBSD: uvm_init(): what uvm_map_init(), uvm_map_init_caches(), uvm_amap_init(),
  // uvm_anon_init() and the pagers' pgo_init() set up.
  explicit Uvm(const Config& config);
  Uvm(const Uvm&) = delete;
  Uvm& operator=(const Uvm&) = delete;

  // NetBSD: uvmspace_alloc(), and uvmspace_spawn() for a task that starts from nothing. An empty
  // space of [min, max) with one reference. Errors: kNoMemory.
  Result<Space*, MapError> CreateSpace(Vaddr min, Vaddr max,
                                       Direction direction = Direction::kBottomUp);
  // NetBSD: uvmspace_fork(). A child by inheritance, with one reference. kNoMemory: no child, the
  // parent is unharmed.
  Result<Space*, MapError> ForkSpace(Space* parent);
  // NetBSD: uvmspace_addref(), uvmspace_share(), uvm_map_reference(): one more task runs in the
  // space.
  void ReferenceSpace(Space* space) { ++space->refs; }
  // NetBSD: uvmspace_unshare(). A space that is the caller's alone, with the same contents: `space`
  // itself if nobody shares it, else a fork that takes the place of the caller's reference. Errors:
  // kNoMemory, nothing changed.
  Result<Space*, MapError> UnshareSpace(Space* space);
  // NetBSD: uvmspace_exec(). An empty space of [min, max) in place of the caller's reference to
  // `space`: the same one, emptied, if nobody shares it and it grows in the same direction, else a
  // new one. Wiring of what comes is off. Errors: kNoMemory, nothing changed.
  Result<Space*, MapError> ExecSpace(Space* space, Vaddr min, Vaddr max, Direction direction);
  // The same where bounds and direction stay and nobody shares the space; cannot fail.
  Result<void, MapError> ExecSpace(Space* space);
  // NetBSD: uvmspace_free(), uvm_map_deallocate(). The last reference unmaps everything and frees
  // the pmap.
  void FreeSpace(Space* space);

  // NetBSD: uvm_fault(); see fault.h.
  Result<void, FaultError> Fault(Space* space, Vaddr va, Access access) {
    return faults_.Fault(&space->map(), va, access);
  }
  // The same for a caller that must not wait; see fault.h.
  Result<FaultHandler::Prompt, FaultError> FaultPromptly(Space* space, Vaddr va, Access access) {
    return faults_.FaultPromptly(&space->map(), va, access);
  }
  // The same by the maximum protection, for debuggers.
  Result<void, FaultError> FaultMaxProt(Space* space, Vaddr va, Access access) {
    return faults_.FaultMaxProt(&space->map(), va, access);
  }

  // NetBSD: uvm_voaddr_acquire(), uvm_voaddr_release(). What stands behind `va`, with copy-on-write
  // resolved (a page that may be written becomes the caller's own). False: not mapped, no rights, a
  // submap, or the page cannot be had. Every acquired address is released once; several may be.
  bool AcquireAddress(Space* space, Vaddr va, VoAddr* out);
  void ReleaseAddress(VoAddr* address);
  // For checkers: acquired addresses that lie in objects.
  uint64_t DebugHeldObjects() const { return held_objects_; }

  // Map's CopyIn and Overwrite (map.h).
  Result<void, MapError> CopyIn(Space* space, Range range, Snapshot* out);
  Result<void, MapError> Overwrite(Space* space, Vaddr at, Snapshot* copy);

  // An object with one reference whose pages `pager` supplies. Errors: kNoMemory.
  Result<Object*, MapError> CreateObject(Pager* pager, uint64_t key);
  // The same with `store` behind it (stored.h).
  Result<Object*, MapError> CreateStoredObject(Store* store, uint64_t key);
  // Changes the end of such an object; see StoredPager::SetSize.
  Result<void, PagerError> SetStoredSize(Object* object, uint64_t bytes) {
    return stored_.SetSize(object, bytes);
  }
  void SetStoredWriteSize(Object* object, uint64_t bytes) { stored_.SetWriteSize(object, bytes); }
  // NetBSD: uao_create(). Anonymous memory that may be shared (aobj.h; AobjFlags), one reference.
  // Errors: kNoMemory.
  Result<Object*, MapError> CreateAobj(uint64_t bytes, uint32_t flags);
  // Changes its size: what is cut off is forgotten, what is added reads as zeroes. False: no memory
  // for a copy of a last page that is lent; nothing changed.
  bool TruncateAobj(Object* object, uint64_t bytes) { return anonymous_.SetSize(object, bytes); }
  // NetBSD: udv_attach() (device.h). The object of a device, one more reference; null when the
  // driver refuses the range or memory ran out.
  Object* AttachDevice(DeviceDriver* driver, uint64_t device, Prot prot, uint64_t offset,
                       uint64_t bytes) {
    return devices_.Attach(driver, device, prot, offset, bytes);
  }
  // NetBSD: uvm_obj_wirepages(), uvm_obj_unwirepages() (object_wire.h).
  Result<void, PagerError> WireObject(Object* object, PageIndex first, PageIndex end, Page** list) {
    return wiring_.Wire(object, first, end, list);
  }
  void UnwireObject(Object* object, PageIndex first, PageIndex end) {
    wiring_.Unwire(object, first, end);
  }

  // The server's own addresses (km.h), made when they are first asked for. Null: the pmap has none,
  // or memory ran out.
  KernelMemory* Kernel();
  // The buffer cache (ubc.h), and what reads and writes other spaces (io.h), made likewise.
  BufferCache* Cache();
  SpaceIo* Io();

  // Physical memory: NetBSD: uvm_hotplug(); see PageStore.
  bool Plug(Paddr start, PageCount pages, uint32_t free_list = 0) {
    return pages_.Plug(start, pages, free_list);
  }
  bool Unplug(Paddr start, PageCount pages) { return pages_.Unplug(start, pages); }
  // Runs of frames (pglist.h).
  PageLists& page_lists() { return page_lists_; }
  // NetBSD: uao_set_pgfl(). REQUIRES: an object of CreateAobj.
  void SetFreeList(Object* object, uint32_t free_list) {
    anonymous_.SetFreeList(object, free_list);
  }

  void ReferenceObject(Object* object) { objects_.Reference(object); }
  void ReleaseObject(Object* object) { objects_.Release(object); }

  // NetBSD: copyin() (kRead), copyout() (kWrite). Moves bytes between `buffer` and [at, at +
  // bytes) of the space, upwards, as its own loads and stores would: with its rights, faulting in
  // what is missing. *moved, also after an error: how many. Errors: the fault's.
  Result<void, FaultError> CopyBytes(Space* space, Vaddr at, unsigned char* buffer, uint64_t bytes,
                                     Access access, uint64_t* moved);

  // Lending pages to the kernel and to anons.
  LoanStore& loans() { return loans_; }

  // Where pages go that are not in memory. swapctl(2).
  SwapStore& swap() { return swap_; }
  // Takes a device out of use (swapoff.h).
  Result<void, SwapError> SwapOff(SwapDevice* device) {
    return uvm::SwapOff(&core_, &pages_, &anons_, &amaps_, &objects_, &anonymous_).Run(device);
  }
  const SwapStore& swap() const { return swap_; }
  PageDaemon& pagedaemon() { return daemon_; }
  const PageDaemon& pagedaemon() const { return daemon_; }

  base::CanarySwitch& canary() { return core_.canary; }
  base::Probes& probes() { return core_.probes; }
  const base::Probes& probes() const { return core_.probes; }
  const Counters& counters() const { return core_.counters; }

  // The machine's frames: how many there are, what they are used for, what may be wired or lent.
  PageStore& frames() { return pages_; }

  // For checkers.
  using SpaceList = base::List<Space, &Space::uvm_link>;
  const SpaceList& DebugSpaces() const { return spaces_; }
  PageStore& DebugPages() { return pages_; }
  const AmapStore& DebugAmaps() const { return amaps_; }
  const AnonStore& DebugAnons() const { return anons_; }
  const AnonymousPager& DebugAnonymous() const { return anonymous_; }
  const ObjectStore& DebugObjects() const { return objects_; }
  PmapSystem* DebugPmap() const { return core_.pmap; }
  PagePolicy* DebugPolicy() { return policy_.get(); }
  KernelMemory* DebugKernel() const { return kernel_; }
  // Whose lock somebody holds or waits for, of those that belong to no map, amap or object; null:
  // nobody does. (The buffer cache's is that of its object.)
  const char* DebugHeldLock() {
    if (!pages_.DebugLock().DebugIdle()) return "frames: the store";
    if (!swap_.DebugLock().DebugIdle()) return "swap: the store";
    return loans_.DebugLock().DebugIdle() ? nullptr : "loans: the zero page";
  }
  const BufferCache* DebugBufferCache() const { return cache_; }

 private:
  // kNeedsCopy: others may write what the caller only reads.
  enum class Identity : uint8_t { kNone, kFound, kNeedsRead, kNeedsWrite, kNeedsCopy };
  enum class Sharers : uint8_t { kMayWrite, kIgnored };
  Identity TryAcquireAddress(Map* map, Vaddr va, Sharers sharers, VoAddr* out);

  Core core_;
  PageStore pages_;
  PageLists page_lists_;
  SwapStore swap_;
  PolicyChoice policy_;
  AnonStore anons_;
  AmapStore amaps_;
  ObjectStore objects_;
  StoredPager stored_;
  AnonymousPager anonymous_;
  PageDaemon daemon_;
  DevicePager devices_;
  ObjectWiring wiring_;
  base::Pool<MapEntry> entries_;
  base::Pool<Space> space_pool_;
  FaultHandler faults_;
  LoanStore loans_;
  MapContext context_;
  KernelMemory* kernel_ = nullptr;
  BufferCache* cache_ = nullptr;
  SpaceIo* io_ = nullptr;
  SpaceList spaces_;
  uint32_t next_space_id_ = 1;
  uint64_t held_objects_ = 0;
};

}  // namespace uvm

#endif  // UVM_UVM_H_
