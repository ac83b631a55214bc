// uvm/page.h: physical pages.
//
// WHAT     A Page describes one frame that UVM got from the pmap. PageStore owns all of them, the
//          free list and the page queues.
// STATES   identities: free; owned by an Object at an index; owned by an Anon; owned by an Object
//          and lent to an Anon (both are set, the object is the owner); nobody's, but lent to the
//          kernel (loan_count > 0).
//            Allocate: free -> owned, busy, fake. Contents are undefined: the owner zeroes, copies
//                      or reads them, then sets `busy` to kNotBusy; others wait or restart
//                      meanwhile.
//            Free:     owned -> free, or nobody's while it is lent
//            loans:    see loan.h
//          dirty: kClean (equals its backing), kDirty, kUnknown (ask the pmap).
//          queue: none -> active <-> inactive, by the policy (pdpolicy.h). Wired pages, and
//                 nobody's, are on none. intent: a wish of the owner's that no queue heard of yet.
// LOCKS    (O) the owner's lock (amap's or object's); (Q) the page-queue lock of PageStore. Fields
//          marked (O,Q): both to write, either to read; a page that is nobody's has only Q, and who
//          returns a loan needs no more than Q. (C) the processor's cache (page_cache.h). (T) by
//          nothing: changed between scheduling points of server threads, which never run at one
//          instant.
// INVARIANTS  I1 ValidPageOwners: each frame is exactly one of free, object's, anon's, nobody's but
//          lent, and the owner points back. I2 FreeAccounting: free frames + owned frames = frames
//          taken from the pmap. I14 ValidPageStates: wired pages are neither lent nor queued, queue
//          counts are exact.
// SEE      NetBSD sys/uvm/uvm_page.h; facts/uvm.md 1.10, 2.15, section 7 "Page".

#ifndef UVM_PAGE_H_
#define UVM_PAGE_H_

#include <cstdint>

#include "base/list.h"
#include "base/rb_tree.h"
#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/page_cache.h"
#include "uvm/page_free.h"
#include "uvm/physseg.h"

namespace uvm {

class Object;
class PagePolicy;
struct Anon;

// NetBSD: uvm_pagegetdirty().
enum class Dirty : uint8_t { kClean, kDirty, kUnknown };

// Why a page is busy; kept for dumps and for whoever wonders what they wait for. NetBSD keeps who
// made it so: uvm_page_own().
enum class BusyReason : uint8_t { kNotBusy, kPagein, kPromote, kPageout, kClean, kLoan };

enum class PageQueue : uint8_t { kNone, kActive, kInactive };

// What an owner wants to become of its page; the last wish counts.
enum class Intent : uint8_t { kNone, kActivate, kDeactivate, kEnqueue, kDequeue };

struct Page : base::RbNode<Page> {         // the tree node of its object's pages
  Paddr pa;                                // constant. NetBSD: uvm_vm_page_to_phys()
  base::ListLink queue_link;               // (Q) the free list or a page queue
  Object* object = nullptr;                // (O,Q)
  Anon* anon = nullptr;                    // (O,Q)
  PageIndex index;                         // (O) position in `object`
  uint32_t wire_count = 0;                 // (O,Q) entries and kernel wirings that cover it
  uint32_t loan_count = 0;                 // (O,Q) borrowers: the kernel's loans, and `anon` when
                                           // `object` owns the page
  BusyReason busy = BusyReason::kNotBusy;  // (O)
  Dirty dirty = Dirty::kClean;             // (O) set by MarkDirty of page_object.h
  uint8_t subtree_tags = 0;                // (O) of its object's tree (object.h)
  PageQueue queue = PageQueue::kNone;      // (Q) of the policy's; see also PageIntents::QueueOf
  uint8_t policy = 0;                      // (Q) the policy's own
  uint8_t intent = 0;                      // (O) PageIntents'
  bool free = true;                        // (Q)
  bool cached = false;                     // (C) free, and in a processor's cache (page_cache.h)
  bool plugged = false;                    // (Q) a segment has the frame and may hand it out
  uint8_t free_list = 0;                   // (Q) of its segment
  uint8_t bucket = 0;                      // (Q) of the queue that it is in
  bool fake = false;                       // (O) contents were not filled in yet (PG_FAKE)
  bool read_only = false;                  // (O) a hole of its file: the first write must reach the
                                           // pager (PG_RDONLY)
  bool read_ahead = false;                 // (O) came before anybody asked for it (PG_READAHEAD)
  bool file = false;         // (O,Q) of an object whose contents somebody else stores (PG_FILE)
  bool pageout = false;      // (O) is being written to be freed (PG_PAGEOUT)
  bool released = false;     // (O) its owner let go while it was busy: whoever made it
                             // busy frees it
  bool wanted = false;       // (O) somebody waits for `busy` to end. NetBSD: uvm_pagewanted_p()
  uint32_t debug_wired = 0;  // for checkers only: wired entries counted by the walk under way
  bool IsBusy() const { return busy != BusyReason::kNotBusy; }
};

// Wishes of owners that no queue heard of yet: noting one takes no lock.
class PageIntents {
 public:
  static constexpr uint32_t kPages = 128;

  // NetBSD: uvmpdpol_set_intent(). False: there is no room, nothing was noted; Flush and ask again.
  // LOCKS: the owner's.
  bool Note(Page* page, Intent intent) {
    if ((page->intent & kStands) == 0) {
      if (count_ == kPages) return false;
      pages_[count_++] = page;
    }
    page->intent = static_cast<uint8_t>(kStands | static_cast<uint8_t>(intent));
    return true;
  }
  static Intent Of(const Page& page) { return static_cast<Intent>(page.intent & ~kStands); }
  // The wish is void, as the queues' lock is held and its page is dealt with at once.
  static void Cancel(Page* page) { page->intent &= kStands; }
  // Where the page is going to be: in which queue it is once its wish is fulfilled. NetBSD:
  // uvmpdpol_pageisqueued_p(), uvmpdpol_pageactivate_p().
  static PageQueue QueueOf(const Page& page) {
    switch (Of(page)) {
      case Intent::kActivate:
        return PageQueue::kActive;
      case Intent::kDeactivate:
        return PageQueue::kInactive;
      case Intent::kDequeue:
        return PageQueue::kNone;
      case Intent::kEnqueue:
        if (page.queue == PageQueue::kNone) return PageQueue::kActive;
        break;
      case Intent::kNone:
        break;
    }
    return page.queue;
  }
  // Fulfils the wishes in the order of their pages' first ones. LOCKS: the page queues'.
  void Flush(PagePolicy* policy);
  // Fulfils one page's wish. NetBSD: uvmpdpol_pagerealize().
  static void Fulfil(Page* page, PagePolicy* policy);
  uint32_t count() const { return count_; }

 private:
  static constexpr uint8_t kStands = 0x80;  // the page is in pages_, perhaps without a wish

  uint32_t count_ = 0;
  Page* pages_[kPages];
};

// Frames that begin plugged in, or come later.
struct FrameRange {
  Paddr start;
  PageCount pages;
  uint32_t free_list = 0;
};

// Frames that not everybody may take. NetBSD: uvmexp.reserve_pagedaemon, uvmexp.reserve_kernel: 1,
// and 5 for each processor.
struct FrameReserves {
  PageCount pagedaemon;
  PageCount kernel;  // the daemon's not included
};

class PageStore {
 public:
  // NetBSD: uvm_page_init(), uvm_page_physload(). Begins with `plugged`, of what core->pmap can
  // reach; with all that it can reach when there is nothing. Panics when there is no memory for the
  // descriptors, or a range is none: nothing can run without.
  explicit PageStore(Core* core, const FrameRange* plugged = nullptr, uint32_t count = 0);
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  // NetBSD: uvm_pagealloc(), uvm_pagealloc_strat(). A busy fake page that belongs to `anon` or to
  // `object` at `index` (exactly one is given), or null when there is no frame as wanted, or only
  // reserved ones. The caller links it into its owner. With kAllocZero it is neither fake nor
  // clean. LOCKS: the owner's.
  Page* AllocateForAnon(Anon* anon, const FrameRequest& request = {});
  Page* AllocateForObject(Object* object, PageIndex index, const FrameRequest& request = {});
  // NetBSD: uvm_pagefree(). The owner gives the page up. A lent page only loses its owner (an anon
  // that borrowed it from its object owns it from then on); any other is freed: its translations
  // go, wired ones too, who waits for it is woken. REQUIRES: unlinked from its owner's structures.
  // LOCKS: the owner's.
  void Free(Page* page);

  // NetBSD: uvm_pagewire(), uvm_pageunwire(). The first wiring takes the page off its queue, the
  // last unwiring puts it on the active one. REQUIRES: Wire: not lent. LOCKS: the owner's.
  void Wire(Page* page);
  void Unwire(Page* page);
  // Moves `count` wirings of `from` to `to`, which takes its place. LOCKS: both owners'.
  void MoveWirings(Page* from, Page* to, uint32_t count);
  // Who keeps the queues (pdpolicy.h); until then pages are in none. REQUIRES: no page is in use.
  void SetPolicy(PagePolicy* policy) { policy_ = policy; }
  // NetBSD: uvm_pageactivate(), uvm_pagedeactivate(), uvm_pagedequeue(). Wishes, which the queues
  // hear of later. Wired pages, and nobody's, stay off the queues. LOCKS: the owner's.
  void Activate(Page* page) {
    page->read_ahead = false;  // somebody asked for it
    if (QueueOf(page) != PageQueue::kActive && page->wire_count == 0) Note(page, Intent::kActivate);
  }
  // NetBSD: uvm_pageenqueue(): on some queue, no matter which.
  void EnsureQueued(Page* page) {
    if (QueueOf(page) == PageQueue::kNone && page->wire_count == 0) Note(page, Intent::kEnqueue);
  }
  // The page counts as unused from now on.
  void Deactivate(Page* page) {
    if (QueueOf(page) != PageQueue::kInactive && page->wire_count == 0) NoteDisuse(page);
  }
  void Dequeue(Page* page) {
    if (QueueOf(page) != PageQueue::kNone) Note(page, Intent::kDequeue);
  }
  // In which queue the page is, or will be once its wish is fulfilled.
  static PageQueue QueueOf(const Page* page) { return PageIntents::QueueOf(*page); }
  // NetBSD: uvmpdpol_anfree(). Contents that are not in memory (page_name.h) are gone for good: the
  // policy need not remember them. LOCKS: the owner's may be held.
  void ForgetContents(uint64_t name);
  // NetBSD: uvm_idle(), uvmpdpol_idle(), and what precedes every scan. Fulfils all wishes.
  void FlushIntents();

  // ---- Loans: what loan.cc and the owners tell the page (facts/uvm.md 2.15).

  // One more borrower. `anon`: null for the kernel. The first loan write-protects the page.
  // REQUIRES: not wired. LOCKS: the owner's.
  void Lend(Page* page, Anon* borrower);
  // The kernel returns a page. The last loan of a page that is nobody's frees it; the last loan of
  // one that has an owner puts it back on a queue. LOCKS: none needed; the page may be nobody's.
  void ReturnLoan(Page* page);
  // uvm_pagefree() by an anon: what it borrowed goes back to its object, what it owns is freed as
  // by Free. NetBSD needs the object's lock for this (uvm_anon_lockloanpg()); here the borrower's
  // view of the page never changes under it, and the queue lock decides who comes last. LOCKS: the
  // anon's.
  void FreeFromAnon(Page* page);

  // ---- Waiting for a busy page.

  // NetBSD: uvm_pagewait(). Notes that the page is wanted, releases `owner` and waits until
  // Wakeup(page). Returns with `owner` released: everything has to be looked up again.
  void WaitAndRelease(Page* page, Mutex* owner) ABSL_UNLOCK_FUNCTION(owner);
  // NetBSD: uvm_pagewakeup(). Call it whenever `busy` ended. LOCKS: the owner's may be held.
  void Wakeup(Page* page) {
    if (page->wanted) WakeWaiters(page);
  }

  // NetBSD: uvm_pagezero(), uvm_pagecopy(). The target is filled in and dirty, as its bytes are in
  // no backing store. The target is not in an object's tree yet, or was dirty before
  // (page_object.h).
  void Zero(Page* page);
  void Copy(const Page* from, Page* to);
  // Has the beginning of a page brought in that is copied before long.
  void ExpectCopy(const Page* from) const { core_->pmap->Expect(from->pa, base::Access::kRead); }
  // The server's own view of the frame. NetBSD: uvm_direct_process().
  unsigned char* Contents(const Page* page) { return core_->pmap->HomePointer(page->pa); }

  // ---- Physical memory (physseg.h, page_free.h).

  // NetBSD: uvm_hotplug(), uvm_page_physload(). Frames that the pmap can reach, and that are not
  // plugged in, can be allocated from now on. False, nothing changed: they are others, or there is
  // no memory for their descriptors. LOCKS: none.
  bool Plug(Paddr start, PageCount pages, uint32_t free_list = 0);
  // NetBSD: uvm_page_physunload(), uvm_page_physunload_force(), for any frames and at any time.
  // False, nothing changed: one of them is used, they are not of one segment, no frame would be
  // left, or there is no memory for the second half of the segment. LOCKS: none.
  bool Unplug(Paddr start, PageCount pages);
  // NetBSD: uvm_page_recolor(), uvm_page_rebucket(), uvm_page_numa_load(); see FreePages. LOCKS:
  // none.
  bool Recolour(uint32_t colours);
  // NetBSD: uvmexp.ncolors. A power of two.
  uint32_t colours() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return free_.colours(); }
  bool Rebucket(uint32_t buckets);
  bool NumaLoad(Paddr start, uint64_t bytes, uint32_t node);
  void SetReserves(const FrameReserves& reserves);
  // Gives each of `processors` processors a cache of free frames (page_cache.h); 0: none. False: no
  // memory. LOCKS: none.
  bool StartCaches(uint32_t processors);
  const PhysicalSegments& segments() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return segments_; }
  PhysicalSegments& segments() ABSL_NO_THREAD_SAFETY_ANALYSIS { return segments_; }
  const FreePages& DebugFree() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return free_; }
  const FrameCaches& DebugCaches() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return caches_; }
  // For checkers: what is wrong with a free frame, its place and the counts, or null. Looks at the
  // first `limit` frames of each queue; at all descriptors, too, if `limit` is not below total().
  const char* DebugWrongFree(uint64_t limit) const;

  // ---- For pglist.h. While a FrameSearch lives nobody else takes or gives frames, and the caches
  // are empty. LOCKS: none when it begins; it holds the page queues'.
  class FrameSearch {
   public:
    explicit FrameSearch(PageStore* pages);
    ~FrameSearch();
    FrameSearch(const FrameSearch&) = delete;
    FrameSearch& operator=(const FrameSearch&) = delete;

   private:
    PageStore* const pages_;
  };
  // The next four: during a FrameSearch.
  // Whether `count` frames are free beyond those that are reserved.
  bool MayTakeMany(uint64_t count) const;
  // Whether the frame is plugged in and free.
  bool IsInFreeQueue(Paddr pa) const;
  // Takes this very frame, which becomes nobody's and wired once. REQUIRES: it is free.
  Page* TakeForKernel(Paddr pa);
  // Takes that back. REQUIRES: nobody has seen the frame.
  void GiveBackUnused(Page* page);

  // Nobody looks for the owner of a page meanwhile who only has its queue.
  template <typename F>
  void WithQueuesLocked(F&& change) {
    MutexLock lock(&mu_);
    change();
  }

  // The page of a frame; null for frames that UVM does not manage. NetBSD: PHYS_TO_VM_PAGE(),
  // uvm_phys_to_vm_page(), uvm_pageismanaged().
  Page* FromPaddr(Paddr pa) const ABSL_NO_THREAD_SAFETY_ANALYSIS { return segments_.FromPaddr(pa); }
  PageCount total() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return segments_.available(); }
  // NetBSD: uvm_availmem(). Exact; nothing is gained here by an older figure.
  PageCount free_count() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return PageCount(free_.size() + caches_.size());
  }
  // Pages in the policy's queues; those with wishes count where they are. NetBSD:
  // uvm_estimatepageable().
  PageCount active_count() const;
  PageCount inactive_count() const;
  PageCount wired_count() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return PageCount(wired_); }
  // NetBSD: uvmexp.wiredmax: no more than this may be wired by users.
  PageCount wired_max() const { return PageCount(total().value() / 3); }
  // No more than this may be lent in messages: with what may be wired two thirds, so that a third
  // of the frames can always be reclaimed (decisions/0018).
  PageCount lend_max() const { return PageCount(total().value() / 3); }
  // Pages with borrowers.
  PageCount lent_count() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return PageCount(lent_); }
  // Whether users may wire `pages` more.
  bool MayWire(PageCount pages) const {
    return pages <= wired_max() && wired_count() <= wired_max() - pages;
  }
  // NetBSD: uvm_reclaimable(). False: waiting for memory would be in vain.
  bool Reclaimable() const { return core_->frames != nullptr && core_->frames->Reclaimable(); }

  // ---- The page daemon's rounds (page_scan.cc; see PagePolicy). LOCKS: none.

  void BeginScan();
  // A victim with its owner locked, or null.
  Page* SelectVictim();
  void Balance(PageCount swap_shortage);
  void EndScan();
  bool NeedsScan();
  void Tune();  // the number of frames changed
  void EstimatePageable(PageCount* active, PageCount* inactive);
  // NetBSD: uvm_kick(). Whoever leaves fewer free frames than that kicks the daemon; 0: nobody
  // does.
  void SetKickBelow(PageCount frames) { kick_below_ = frames; }
  void KickIfLow() {
    if (free_count() < kick_below_ && core_->frames != nullptr) core_->frames->Kick();
  }
  // A page of an object that is stored: resident ones are counted. LOCKS: the object's.
  void NoteFile(Page* page);
  // NetBSD: uvmexp.filepages.
  PageCount file_count() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return PageCount(file_); }

  // For checkers: every page up to the highest that was ever allocated, in the order of addresses
  // within what the pmap can reach in one piece, but for those that are not plugged in. The rest is
  // free since boot; walking it after every few operations would cost more than the operations.
  template <typename F>
  void DebugForEach(F&& visit) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Page* first;
    uint64_t count;
    for (uint32_t slab = 0;
         segments_.DebugSlab(slab, PhysicalSegments::Pages::kEverUsed, &first, &count); ++slab) {
      for (uint64_t i = 0; i < count; ++i) {
        if (first[i].plugged) visit(first[i]);
      }
    }
  }
  Mutex& DebugLock() { return mu_; }

 private:
  using Queue = base::List<Page, &Page::queue_link>;
  // Busy pages are waited for on one of these, by frame; who waits looks everything up again, so
  // sharing one is harmless.
  static constexpr uint32_t kWaitBuckets = 16;
  Page* Allocate(const FrameRequest& request);
  Page* TakeCached();
  Page* TakeFromQueues(const FrameRequest& request, const Page** next)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Page* TakeWithCaches(const FrameRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Resize(uint32_t colours, uint32_t buckets);
  bool ResizeAlone(uint32_t colours, uint32_t buckets) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  bool StartCachesAlone(uint32_t processors) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  uint64_t Reserved() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return reserves_.pagedaemon.value() + reserves_.kernel.value();
  }
  bool MayFillCaches() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return caches_.usable() && free_.size() > Reserved() + caches_.room();
  }
  bool MayTake(uint32_t flags) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool PlugLocked(const FrameRange& range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Note(Page* page, Intent intent) {
    if (!intents_.Note(page, intent)) FlushAndNote(page, intent);
  }
  void FlushAndNote(Page* page, Intent intent);
  void NoteDisuse(Page* page);
  void DequeueLocked(Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EnqueueLocked(Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetFileLocked(Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (page->file) {
      page->file = false;
      --file_;
    }
  }
  void FreeLocked(Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetTranslations(Page* page);
  void WakeWaiters(Page* page);
  CondVar& WaitersOf(const Page* page) {
    return waiters_[(page->pa.value() >> base::kPageShift) % kWaitBuckets].ready;
  }

  // Constant after construction.
  Core* const core_;
  // Own synchronisation.
  struct Waiters {
    CondVar ready;
  };
  Waiters* waiters_ = nullptr;  // set once
  // NetBSD has one for each page: uvm_pagelock(), uvm_pagelock2(), uvm_pageunlock(),
  // uvm_pageunlock2().
  mutable Mutex mu_;
  PageIntents intents_;           // (T) owners note with their own locks
  PagePolicy* policy_ = nullptr;  // set once
  // Guarded by mu_.
  PhysicalSegments segments_ ABSL_GUARDED_BY(mu_);
  FreePages free_ ABSL_GUARDED_BY(mu_);
  FrameReserves reserves_ ABSL_GUARDED_BY(mu_);
  FrameCaches caches_;                       // (C) taken from without mu_
  uint32_t cached_processors_ = 0;           // (T) caches_ has so many; 0: off
  uint64_t wired_ ABSL_GUARDED_BY(mu_) = 0;  // pages with wire_count > 0
  uint64_t file_ ABSL_GUARDED_BY(mu_) = 0;   // pages with `file`
  uint64_t lent_ ABSL_GUARDED_BY(mu_) = 0;   // pages with loan_count > 0
  PageCount kick_below_;                     // set once
};

}  // namespace uvm

#endif  // UVM_PAGE_H_
