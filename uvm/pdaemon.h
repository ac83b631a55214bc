// uvm/pdaemon.h: the page daemon: keeps some frames free, and lets others wait for them.
//
// WHAT     When free frames fall below a threshold the daemon asks the policy for victims. Clean
//          pages are freed; dirty ones are written first, to swap in clusters or to their pager,
//          and freed when that is done. Who needs a frame and finds none waits here with nothing
//          held.
// STATES   sleeping -> scanning -> sleeping. No thread runs the daemon until somebody calls Run; a
//          world without such a thread has whoever waits do a round itself.
// LOCKS    The daemon goes against the order of locks, from page queues to owners, and only tries
//          (base/lock_rank.h). WaitForFrames is called with no lock held and no page busy.
// INVARIANTS  PagingCount: paging() is the number of pages that are being written to be freed. With
//          reclaimable memory WaitForFrames returns true after finitely many rounds; without, false
//          at once.
// SEE      NetBSD sys/uvm/uvm_pdaemon.c; facts/uvm.md 1.11, 2.12, section 0 "pagedaemon".

#ifndef UVM_PDAEMON_H_
#define UVM_PDAEMON_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/page.h"
#include "uvm/pdpolicy.h"
#include "uvm/swap.h"

namespace uvm {

class PageDaemon final : public FrameDoor {
 public:
  PageDaemon(Core* core, PageStore* pages, SwapStore* swap);

  // FrameDoor.
  bool WaitForFrames() override;
  bool Reclaimable() override;
  void Kick() override;

  // NetBSD: uvm_pageout(): the body of the daemon's thread; never returns.
  [[noreturn]] void Run();
  // One round, for worlds that have no thread for it: scans once and takes in what devices have
  // completed. Returns the number of frames it freed.
  PageCount RunOnce();

  // Pages being written to be freed. NetBSD: uvmexp.paging.
  PageCount paging() const;
};

}  // namespace uvm

#endif  // UVM_PDAEMON_H_
