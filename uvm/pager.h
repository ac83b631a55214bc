// uvm/pager.h: the door sideways: where an object's pages come from and go to.
//
// WHAT     A Pager is the vector of operations of one kind of memory object (struct uvm_pagerops).
//          Kinds: anonymous objects (aobj.h), devices (device.h), objects whose contents somebody
//          else stores (stored.h), windows of the buffer cache (ubc.h). UVM owns pages and their
//          states; the pager decides what is in them.
// LOCKS    Get and Put are entered with the object's lock. A Get with kPgoLocked keeps it and never
//          waits; every other Get, and every Put, returns without it. No busy page of another
//          object is held across a call that may wait (design D14).
// SEE      facts/uvm.md 1.4-1.8, 2.8 D, 2.10; NetBSD uvm_pager(9).

#ifndef UVM_PAGER_H_
#define UVM_PAGER_H_

#include <cstdint>

#include "base/addr.h"
#include "base/check.h"
#include "base/errors.h"
#include "base/prot.h"
#include "base/result.h"

namespace uvm {

class Object;
struct Page;
struct FaultInfo;  // fault_info.h

// PGO_*. The values are NetBSD's; they stand in recordings.
enum PgoFlags : uint32_t {
  kPgoCleanIt = 0x001,       // write dirty pages back
  kPgoSyncIo = 0x002,        // wait until it is done
  kPgoDeactivate = 0x004,    // no longer worth memory
  kPgoFree = 0x008,          // forget the pages afterwards
  kPgoAllPages = 0x010,      // the whole object
  kPgoLocked = 0x040,        // Get: only what is resident, without waiting
  kPgoBusyFail = 0x080,      // Put: fail instead of waiting for a busy page
  kPgoOverwrite = 0x200,     // Get: the caller will write all of each page: read nothing
  kPgoPastEof = 0x400,       // Get: pages past the end are fine
  kPgoNoBlockAlloc = 0x800,  // Get: holes stay holes; their pages are read-only
  kPgoReclaim = 0x2000,      // Put: the last reference is going
  kPgoGlockHeld = 0x4000,    // Get: by whoever is changing the object's size
  // Ours. Put, with kPgoFree, of one page: to make room. Its dirty neighbours are written with it
  // and stay. NetBSD asks whether the caller is the page daemon.
  kPgoPageout = 0x10000,
};

enum class PagerError : uint8_t {
  kBusy,      // kPgoLocked: the centre page is not there, or busy
  kIo,        // the backing store failed
  kPastEnd,   // the centre page lies beyond the end of the object
  kNoMemory,  // no frame, and none can be reclaimed
  kAgain,     // a passing condition: ask again later
  kRestart,   // Fault: look everything up again
};

// Marks a place of GetRequest::pages that the caller does not want.
inline Page* DontCare() { return reinterpret_cast<Page*>(~uintptr_t{0}); }

// pgo_get: up to kMaxGetPages pages from `first`. In: pages[i] is null (wanted) or DontCare().
// Out: the page, or null where it is not there; DontCare() stays. With kPgoLocked pages come back
// as they are; otherwise, with kPgoSyncIo, busy, and the centre page is one of them (an anonymous
// object gives the others only with kPgoAllPages). Without either it is read-ahead: pages become
// resident and none comes back. After an error pages[] means nothing and nothing is busy.
// Access::kWrite makes pages that may be written: holes get a block.
struct GetRequest {
  base::PageIndex first;
  uint32_t count = 1;
  uint32_t centre = 0;  // < count: the page that must come
  Page** pages = nullptr;
  base::Access access = base::Access::kRead;
  base::Advice advice = base::Advice::kNormal;
  uint32_t flags = 0;  // PgoFlags
};
inline constexpr uint32_t kMaxGetPages = 16;

// NetBSD: struct uvm_pagerops; pgo_init() is what a pager's constructor does.
class Pager {
 public:
  virtual base::Result<void, PagerError> Get(Object* object, GetRequest* request) = 0;
  // pgo_put: cleans, frees or deactivates the pages of [first, end); end 0: to the end of the
  // object.
  virtual base::Result<void, PagerError> Put(Object* object, base::PageIndex first,
                                             base::PageIndex end, uint32_t flags) = 0;
  // pgo_detach, last reference: no page is left; the pager forgets the object.
  virtual void Detach(Object* object) = 0;

  // pgo_fault: pagers that map pages themselves (devices, buffer cache windows) say true and get
  // the whole fault: entered with every lock that `info` says is held, returns with none. A
  // success with info->restart set has everything looked up again.
  virtual bool HandlesFaults() const { return false; }
  virtual base::Result<void, base::FaultError> Fault(FaultInfo*) {
    UNREACHABLE("this pager leaves faults to UVM");
  }
  // pgo_markdirty: the object gets its first page that may be dirty. Object locked.
  virtual void MarkDirty(Object*) {}
  // uao_dropswap(): the page at `index`, which is in memory, is to have no slot of swap any more.
  // Object locked.
  virtual void DropSlot(Object*, base::PageIndex) {}
  // Whether the contents of a page that is not in memory lie on swap, or were lost there. Object
  // locked.
  virtual bool IsOnSwap(const Object*, base::PageIndex) const { return false; }
  // True when the first write to a clean page must fault even though its entry permits writing
  // (uvn_needs_writefault_p()). Object locked.
  virtual bool NeedsWriteFault(const Object*) const { return false; }
  // Bytes of the object, or kUnbounded. Growing a mapping past it is refused; a fault past it is
  // kPastEnd.
  static constexpr uint64_t kUnbounded = ~uint64_t{0};
  virtual uint64_t SizeInBytes(const Object*) const { return kUnbounded; }
  // What kind it is, for mincore(2), coredump and listings.
  enum class Kind : uint8_t { kStored, kAnonymous, kDevice, kBufferCache };
  virtual Kind kind() const { return Kind::kStored; }

 protected:
  ~Pager() = default;
};

}  // namespace uvm

#endif  // UVM_PAGER_H_
