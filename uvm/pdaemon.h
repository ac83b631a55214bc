// uvm/pdaemon.h: the page daemon: keeps some frames free, and lets others wait for them.
//
// WHAT     When free frames fall below a threshold the daemon asks the policy for victims. Clean
//          pages are freed; dirty ones are written first, to swap in clusters or to their pager,
//          and freed when that is done. Who needs a frame and finds none waits here with nothing
//          held. A round:
//
//            scan      victims until free + paging reaches the scan target; each is skipped (busy,
//                      lent), freed (clean), put to its pager (a file's), or joins the cluster of
//                      slots that is being filled (dirty)
//            balance   the policy moves pages towards replacement; when swap is in use to the last
//                      slot, slots of pages that are in memory are freed for others
//
//          Of our own pools nothing can be drained: they never give chunks back (base/pool.h), and
//          none of their chunks is a frame.
// STATES   of the daemon: sleeping -> scanning -> sleeping. No thread runs it until somebody calls
//          Run; in a world without such a thread whoever waits does the rounds itself, and returns
//          with nothing in flight.
//          of a dirty page of swap: managed -> busy, `pageout`, in a cluster -> free (written) or
//          managed, dirty, as before (not written; nothing is lost, the slots go bad).
// LOCKS    The daemon goes against the order of locks, from page queues to owners, and only tries
//          (base/lock_rank.h). WaitForFrames is called with no lock held and no page busy.
//          Completions (SwapTransfer::done) take one owner's lock after the other, in any thread.
//          (G) guard_, a word to spin on, to write; what a decision may be late to see is read
//          without it. (D) nobody's lock: of whoever does the round, one at a time (at_work_). (T)
//          by nothing: changed between scheduling points of server threads, which never run at one
//          instant.
// INVARIANTS  PagingCount: paging() is the number of pages that are being written to be freed. With
//          reclaimable memory WaitForFrames returns true after finitely many rounds; without, false
//          at once.
// SEE      NetBSD sys/uvm/uvm_pdaemon.c; facts/uvm.md 1.11, 2.12, section 0 "pagedaemon";
//          docs/internals/pdaemon.md.

#ifndef UVM_PDAEMON_H_
#define UVM_PDAEMON_H_

#include <cstdint>

#include "base/list.h"
#include "uvm/anon.h"
#include "uvm/aobj.h"
#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/page_object.h"
#include "uvm/pdpolicy.h"
#include "uvm/swap.h"

namespace uvm {

// Work done since boot; pages unless said.
struct DaemonCounters {
  uint64_t rounds = 0;               // rounds
  uint64_t scans = 0;                // rounds that looked for victims. NetBSD: uvmexp.pdrevs
  uint64_t scanned = 0;              // victims looked at. uvmexp.pdscans
  uint64_t busy = 0;                 // of these: busy or lent, left alone. uvmexp.pdbusy
  uint64_t freed_clean = 0;          // of these: freed at once
  uint64_t freed_written = 0;        // freed after they were written to swap
  uint64_t clusters = 0;             // writes begun. uvmexp.pdpageouts
  uint64_t cluster_pages = 0;        // pages in them
  uint64_t pager_puts = 0;           // victims of stored objects put to their pager
  uint64_t dirty_reactivations = 0;  // no slot was to be had
  uint64_t write_errors = 0;         // could not be written: they stay, their slots went bad
  uint64_t write_shortages = 0;      // the device had no memory: they stay
  uint64_t write_refusals = 0;       // the device was away: they stay, and the slots are free again
  uint64_t dropped_slots = 0;        // slots of pages in memory that were freed for others
  uint64_t waits = 0;                // calls of WaitForFrames that had to wait
  uint64_t out_of_memory = 0;        // calls of WaitForFrames that ended in vain
  // When the last of these did: free slots of swap, and pages that policy had to choose from.
  uint64_t refused_slots = 0;
  uint64_t refused_pageable = 0;
};

class PageDaemon final : public FrameDoor, public PolicyDoor {
 public:
  // In frames. NetBSD: uvmexp.freemin, uvmexp.freetarg; the last is where a scan ends.
  struct Thresholds {
    uint64_t free_min;
    uint64_t free_target;
    uint64_t scan_target;
  };

  PageDaemon(Core* core, PageStore* pages, SwapStore* swap, AnonStore* anons,
             AnonymousPager* anonymous);
  PageDaemon(const PageDaemon&) = delete;
  PageDaemon& operator=(const PageDaemon&) = delete;

  // ---- FrameDoor.

  bool WaitForFrames() override;
  bool WaitForMany(PageCount frames) override;
  bool Reclaimable() override;
  void Kick() override;

  // ---- The thread.

  // NetBSD: uvm_pageout(): the body of the daemon's thread.
  [[noreturn]] void Run() {
    for (;;) Serve();
  }
  // One turn of it: sleeps until it is kicked or a device has completed something, then does a
  // round. From the first call on there is a daemon's thread.
  void Serve();
  // The thread that served does so no longer: from here on whoever waits does the rounds itself.
  void StopServing();
  // One round, for worlds that have no thread for it: scans once and waits until what that began
  // to write is written. Returns the number of frames it freed.
  PageCount RunOnce();

  // ---- Thresholds.

  // freemin is 1/200 of all frames, at least 128 KiB and at most 1 MiB, for each processor; on
  // machines with less than 2 MiB a sixteenth. Never below reserve + 1.
  static Thresholds ThresholdsFor(PageCount frames, uint32_t processors, PageCount reserve);
  // The numbers in force; frames may have come and gone (NetBSD: uvmpd_tune()).
  Thresholds thresholds() const;
  // NetBSD: uvmexp.freetarg's settable extra (vm.uvmexp freetarg_extra).
  void SetExtraTarget(PageCount extra) { extra_target_ = extra.value(); }
  // Frames that only the kernel's and the daemon's own allocations may use. None by default; from
  // the first Serve on 5 and 1, as the original's for one processor, where there are 2 MiB.
  void SetReserves(const FrameReserves& reserves);

  // ---- PolicyDoor.

  bool TryLockOwner(Page* page) override;
  void UnlockOwner(Page* page) override;
  bool ClearReference(Page* page) override { return core_->pmap->ClearReference(page->pa); }
  bool IsReferenced(Page* page) override { return core_->pmap->IsReferenced(page->pa); }
  PageSort SortOf(const Page* page) override;
  uint64_t NameOf(const Page* page) override;
  bool DropSwap(Page* page) override;

  // Pages being written to be freed. NetBSD: uvmexp.paging.
  PageCount paging() const { return PageCount(paging_); }
  const DaemonCounters& counters() const { return counters_; }
  // For checkers: nobody waits for frames, and nothing is in flight.
  bool DebugIdle() const { return waiters_.empty() && paging_ == 0; }

 private:
  // Pages that go to adjoining slots in one transfer.
  struct Cluster {
    SwapTransfer transfer;
    PageDaemon* daemon = nullptr;
    SwapSlot first = kNoSlot;
    uint32_t slots = 0;
    uint32_t count = 0;  // slots that have a page
    Page* pages[kSwapClusterPages] = {};
    base::ListLink link;  // idle clusters
  };
  // In flight at once at most: so many pages may be busy for the daemon, however slow a device is.
  static constexpr uint32_t kClusters = 16;
  static constexpr PageCount kLargeEnoughForReserves{512};
  // NetBSD: UVMPD_NUMDIRTYREACTS. So many pages that found no slot end a scan.
  static constexpr uint32_t kMaxDirtyReactivations = 16;
  // Rounds in a row that came to nothing, after which memory counts as exhausted: a policy may need
  // one to make pages inactive, one to find that they were used, one to spare a sort of memory, and
  // so on.
  static constexpr uint32_t kVainRounds = 6;
  // While somebody else holds what the daemon would need it tries again after so long.
  static constexpr uint64_t kRetryUs = 1000;

  // pdaemon.cc
  void Round();
  void Scan();
  bool NeedsFrames() const;
  uint64_t ScanTarget() const;
  bool HasFrames() const;
  void Drain();
  void SleepUntil(uint64_t deadline_us);
  void WakeWaiters();
  void Demand();
  void NoteRefusal();
  bool WaitAsDaemon();
  bool WaitForDaemon(Thread* self);
  // pdaemon_scan.cc
  static Mutex* OwnerLockOf(const Page* page);
  void Unlock(Mutex* owner);
  void ScanQueue();
  void TakeVictim(Page* page, Cluster** cluster);
  void PutToPager(Page* page);
  bool IsOnSwap(const Page* page) const;
  void EvictClean(Page* page);
  bool AddToCluster(Page* page, Cluster** cluster);
  bool StartCluster(Cluster** cluster);
  bool AssignSlot(Page* page, SwapSlot slot);
  void FlushCluster(Cluster* cluster);
  // pdaemon_done.cc
  static void WriteIsDone(SwapTransfer* transfer);
  void FinishCluster(Cluster* cluster);
  void FinishAnonPage(Page* page, SwapSlot slot, SwapResult result);
  void FinishObjectPage(Page* page, SwapSlot slot, SwapResult result);
  void NoteFailure(SwapSlot slot, SwapResult result);

  // Constant after construction.
  Core* const core_;
  PageStore* const pages_;
  SwapStore* const swap_;
  AnonStore* const anons_;
  AnonymousPager* const anonymous_;
  PageObjects page_objects_;          // constant
  uint32_t dirty_reactivations_ = 0;  // (D) in this scan
  uint64_t skipped_ = 0;              // (D) in this round: what somebody else was at work on
  bool demanded_ = false;             // (D) in this round: somebody has no frame
  PageCount tuned_for_;               // (D) frames that the policy knows of
  uint64_t extra_target_ = 0;         // (T) set by whoever runs the machine
  PageCount reserve_;                 // (T) likewise, or by the first Serve
  QueueGuard guard_;
  WaitQueue waiters_;                         // (G) for frames
  base::List<Cluster, &Cluster::link> idle_;  // (G) to be filled by the next scan
  Thread* sleeper_ = nullptr;                 // (G) whoever is in SleepUntil
  Thread* at_work_ = nullptr;    // (G) does rounds, with or without being the daemon's thread
  bool kicked_ = false;          // (G) while nobody slept
  bool draining_ = false;        // (G) at_work_ waits for the last write under way
  bool demand_ = false;          // (G) somebody found too few frames since the last round began
  bool has_thread_ = false;      // (G) somebody serves
  bool retry_soon_ = false;      // (G) the last round met what somebody else was at work on
  uint32_t vain_rounds_ = 0;     // (G) the last so many came to nothing
  uint64_t rounds_ = 0;          // (G) done
  uint64_t paging_ = 0;          // (G) pages in clusters that are being written
  uint64_t many_ = 0;            // (G) frames that callers of WaitForMany wait for
  DaemonCounters counters_;      // (T) counted by whoever meets what they count
  Cluster clusters_[kClusters];  // (G) while idle; else of who fills it, then of its transfer
};

}  // namespace uvm

#endif  // UVM_PDAEMON_H_
