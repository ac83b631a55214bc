// uvm/core.h: what every noun of uvm needs: the doors, the counters, the canary
//             switch, the probes.
//
// WHAT     A Core is owned by Uvm and handed to each store by pointer; there are no globals (design
//          D3). It also brings the vocabulary types of base into this namespace.
// LOCKS    Counters are touched only by server threads, which never run at the same instant (one
//          fiber world, or one processor); they are statistics and guard nothing.

#ifndef UVM_CORE_H_
#define UVM_CORE_H_

#include <cstdint>

#include "base/addr.h"
#include "base/canary.h"
#include "base/errors.h"
#include "base/pool.h"
#include "base/probes.h"
#include "base/prot.h"
#include "base/result.h"
#include "uvm/pmap.h"
#include "uvm/thread.h"

namespace uvm {

using base::Access;
using base::Advice;
using base::FaultError;
using base::Inherit;
using base::MapError;
using base::Paddr;
using base::PageCount;
using base::PageIndex;
using base::Probe;
using base::Prot;
using base::Range;
using base::Result;
using base::Vaddr;

// Work done since boot; units are events unless said. One set for all processors, so that there is
// nothing to add up (NetBSD: uvm_update_uvmexp()).
struct Counters {
  uint64_t faults = 0;          // calls of Fault
  uint64_t fault_restarts = 0;  // times a fault looked everything up again
  uint64_t fault_1a = 0;        // upper layer, mapped as it is
  uint64_t fault_1b = 0;        // upper layer, copied to a new anon
  uint64_t fault_2a = 0;        // lower layer, mapped as it is
  uint64_t fault_2b = 0;        // lower layer, promoted (copied or zero-filled)
  uint64_t fault_errors = 0;
  uint64_t fault_wired = 0;    // on an entry that was wired already: its translation was lost
  uint64_t neighbours = 0;     // translations entered for pages that nobody asked for yet
  uint64_t wirings = 0;        // pages wired for an entry
  uint64_t loans = 0;          // pages lent
  uint64_t loan_breaks = 0;    // pages copied because they were lent
  uint64_t zero_fill = 0;      // pages
  uint64_t page_copy = 0;      // pages
  uint64_t pager_get = 0;      // pages
  uint64_t pager_put = 0;      // pages
  uint64_t pager_freed = 0;    // pages of stored objects freed to make room
  uint64_t pager_writing = 0;  // now: pages that stores write for the page daemon, which goes on
  uint64_t amap_copy = 0;      // amaps copied (not taken over)
  uint64_t fork = 0;
  uint64_t clip = 0;
  uint64_t merge = 0;
  uint64_t wired_freed = 0;     // pages that were freed while wired: their objects were cut
  uint64_t kernel_wirings = 0;  // now: wirings of pages that are no entry's
  uint64_t frames_in_use = 0;   // now
  uint64_t frames_peak = 0;
  uint64_t frame_shortages = 0;  // times a frame was asked for and there was none
  uint64_t frame_waits = 0;      // times somebody waited for frames and began again
  uint64_t swap_in = 0;          // pages read from swap
  uint64_t swap_in_errors = 0;   // pages that could not be read, and are lost
};

// Who has no frame left asks here (pdaemon.h implements it). Called with no lock held and no page
// busy.
class FrameDoor {
 public:
  // NetBSD: uvm_wait(). Waits until frames may be had. True: asking again is worth it; false: there
  // are none, and none can be reclaimed (or frames are not what is short).
  virtual bool WaitForFrames() = 0;
  // The same for who needs `frames` of them at once. True: so many are free, beyond those that are
  // reserved; somebody else may take them before the caller does.
  virtual bool WaitForMany(base::PageCount frames) = 0;
  // NetBSD: uvm_reclaimable(). False: waiting for memory would be in vain.
  virtual bool Reclaimable() = 0;
  // NetBSD: uvm_kick_pdaemon(). Somebody else should look for frames. Any lock may be held.
  virtual void Kick() = 0;

 protected:
  ~FrameDoor() = default;
};

// A page of swap (swap.h), unique over all devices.
using SwapSlot = uint32_t;
inline constexpr SwapSlot kNoSlot = 0;
inline constexpr SwapSlot kBadSlot = ~SwapSlot{0};  // was lost to an error of the device

class SwapStore;  // swap.h

struct Core {
  base::PageSource* memory;
  PmapSystem* pmap;
  ThreadSystem* threads;
  Counters counters;
  base::CanarySwitch canary;
  base::Probes probes = {};
  FrameDoor* frames = nullptr;  // null: memory that is short stays short
  SwapStore* swap = nullptr;    // null in tests of single nouns: there is no swap
};

}  // namespace uvm

#endif  // UVM_CORE_H_
