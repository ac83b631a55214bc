// uvm/pdpolicy.h: the door to a page replacement policy: which page goes next.
//
// WHAT     A PagePolicy keeps the pages that may be replaced in queues of its own and, asked for a
//          victim, names one. It knows pages only by what a PolicyDoor tells about them, so that
//          the same code runs in the page daemon and over a recorded stream of touches (vmsim
//          policy). Three implementations: CLOCK (pdpolicy_clock.h), CLOCK-Pro
//          (pdpolicy_clockpro.h) and one that only a checker wants (pdpolicy_simple.h).
// STATES   of a page: not managed (wired, free, busy being filled for the first time) <-> managed.
//          Page::queue says which, for everybody: kNone; kActive: expected to be used; kInactive:
//          may go. Every policy keeps it; Page::policy is the policy's own.
// LOCKS    The policy has one lock, PageStore's of page queues, which its caller holds in every
//          call. What owners want is noted without that lock (PageIntents in page.h) and reaches
//          the policy when PageStore flushes; a page may have a wish noted during a scan, which
//          SelectVictim heeds.
// INVARIANTS  A page that is free or wired is in no queue; a page that has an owner and is not
//          wired is in one, once wishes are flushed. The counts of EstimatePageable add up to the
//          pages managed.
// SEE      NetBSD sys/uvm/uvm_pdpolicy.h (uvmpdpol_*); facts/uvm.md 1.11, 2.11.

#ifndef UVM_PDPOLICY_H_
#define UVM_PDPOLICY_H_

#include <cstdint>

#include "base/text_sink.h"
#include "uvm/core.h"
#include "uvm/page.h"

namespace uvm {

// What sort of memory a page is, for policies that treat sorts unlike.
enum class PageSort : uint8_t { kAnonymous, kFile, kExecutable };

// What a policy may ask about a page.
class PolicyDoor {
 public:
  // NetBSD: uvmpd_trylockowner(). Takes the lock of the page's owner without waiting; false when it
  // is taken or the page is nobody's. UnlockOwner gives it back.
  virtual bool TryLockOwner(Page* page) = 0;
  virtual void UnlockOwner(Page* page) = 0;
  // pmap_clear_reference(9): whether the page was used since it was last asked. LOCKS: the owner's.
  virtual bool ClearReference(Page* page) = 0;
  virtual bool IsReferenced(Page* page) = 0;
  virtual PageSort SortOf(const Page* page) = 0;
  // Names the page's contents however often they are paged out and in: owner and index. Two pages
  // may have one name by accident.
  virtual uint64_t NameOf(const Page* page) = 0;
  // NetBSD: uvmpd_dropswap(). Frees the slot of a page that is in memory; true when it had one.
  // LOCKS: the owner's.
  virtual bool DropSwap(Page* page) = 0;

 protected:
  ~PolicyDoor() = default;
};

// Events since boot.
struct PolicyCounters {
  uint64_t scanned = 0;          // pages looked at for a victim; NetBSD: uvmexp.pdscans
  uint64_t victims = 0;          // pages named
  uint64_t reactivated = 0;      // pages spared because they were used; uvmexp.pdreact
  uint64_t spared_sort[3] = {};  // because of their sort; pdreanon, pdrefile, pdreexec
  uint64_t deactivated = 0;      // pages that Balance moved towards replacement; pddeact
  uint64_t slots_dropped = 0;    // of pages in memory, because swap was short
  uint64_t owners_locked = 0;    // pages passed over because somebody had their owner's lock
};

class PagePolicy {
 public:
  virtual const char* name() const = 0;
  // Who answers questions about pages; before the first page comes. Without, there are no victims.
  void SetDoor(PolicyDoor* door) { door_ = door; }
  const PolicyCounters& counters() const { return counters_; }

  // ---- What becomes of a page. Each may be called in any state of a page that is neither free nor
  // wired, and takes effect at once.
  virtual void Activate(Page* page) = 0;    // NetBSD: uvmpdpol_pageactivate(): it was used
  virtual void Deactivate(Page* page) = 0;  // uvmpdpol_pagedeactivate(): it may go soon. The caller
                                            // has cleared its reference bit
  virtual void Enqueue(Page* page) = 0;     // uvmpdpol_pageenqueue(): managed, no matter where
  virtual void Dequeue(Page* page) = 0;     // uvmpdpol_pagedequeue(): no longer managed
  // uvmpdpol_anfree(): contents that were paged out are gone for good.
  virtual void Forget(uint64_t /*name*/) {}

  // ---- The page daemon's round.
  // uvmpdpol_scaninit(), uvmpdpol_scanfini().
  virtual void BeginScan() = 0;
  virtual void EndScan() {}
  // uvmpdpol_selectvictim(). A managed page whose owner's lock was taken by TryLockOwner, or null
  // when the policy has nothing more to offer in this scan, which is so after finitely many calls
  // whatever the caller does. The caller frees it, starts to write it (Dequeue), gives it back by
  // Activate, or leaves it where it is.
  virtual Page* SelectVictim() = 0;
  // uvmpdpol_balancequeue(): moves pages towards replacement; with `swap_shortage` slots wanted,
  // first frees slots of pages that are in memory.
  virtual void Balance(PageCount swap_shortage) = 0;
  // uvmpdpol_needsscan_p(): a scan is due though there is no shortage.
  virtual bool NeedsScan() const = 0;
  // uvmpdpol_estimatepageable().
  virtual void EstimatePageable(PageCount* active, PageCount* inactive) const = 0;
  // uvmpdpol_tune(): the number of pages there are.
  virtual void Tune(PageCount total) = 0;

  // For checkers: each queue's pages bear its mark, and counts are exact. False: *text has the
  // first counterexample.
  virtual bool Valid(base::TextSink* text) const = 0;

 protected:
  ~PagePolicy() = default;
  // Frees the page's slot if its owner's lock is to be had; what is left of `shortage`.
  uint64_t DropSlotOf(Page* page, uint64_t shortage) {
    if (!door_->TryLockOwner(page)) return shortage;
    const bool dropped = door_->DropSwap(page);
    door_->UnlockOwner(page);
    counters_.slots_dropped += dropped ? 1 : 0;
    return shortage - (dropped ? 1 : 0);
  }

  PolicyDoor* door_ = nullptr;
  PolicyCounters counters_;
};

}  // namespace uvm

#endif  // UVM_PDPOLICY_H_
