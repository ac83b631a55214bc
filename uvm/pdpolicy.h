// uvm/pdpolicy.h: the door to a page replacement policy: which page goes next.
//
// WHAT     A PagePolicy keeps the pages that may be replaced in queues of its own and, asked for a
//          victim, names one. It knows pages only by what a PolicyDoor tells about them, so that
//          the same code runs in the page daemon and over a recorded stream of touches (vmsim
//          policy). Three implementations: CLOCK (pdpolicy_clock.h), CLOCK-Pro
//          (pdpolicy_clockpro.h) and one that only a checker wants (pdpolicy_simple.h).
// STATES   of a page: not managed (wired, free, busy being filled for the first time) <-> managed.
//          Calls by owners are intents: they take effect at once or when the policy next flushes,
//          and the last one counts.
// LOCKS    The policy has one lock, PageStore's of page queues, which its caller holds in every
// call
//          but Activate, Deactivate, Enqueue and Dequeue; those are made with the owner's lock, and
//          the policy's PageStore takes the queues' lock for them as far as the policy says it
//          needs it.
// INVARIANTS  A page that is free or wired is in no queue once intents are flushed; a page that has
//          an owner and is not wired is in one. The counts of EstimatePageable add up to the pages
//          managed.
// SEE      NetBSD sys/uvm/uvm_pdpolicy.h (uvmpdpol_*); facts/uvm.md 1.11, 2.11.

#ifndef UVM_PDPOLICY_H_
#define UVM_PDPOLICY_H_

#include <cstdint>

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

class PagePolicy {
 public:
  virtual const char* name() const = 0;

  // ---- Owners tell what becomes of a page. LOCKS: the owner's.
  virtual void Activate(Page* page) = 0;    // NetBSD: uvmpdpol_pageactivate(): it was used
  virtual void Deactivate(Page* page) = 0;  // uvmpdpol_pagedeactivate(): it may go soon
  virtual void Enqueue(Page* page) = 0;     // uvmpdpol_pageenqueue(): managed, no matter where
  virtual void Dequeue(Page* page) = 0;     // uvmpdpol_pagedequeue(): no longer managed
  // uvmpdpol_anfree(): contents that were paged out are gone for good.
  virtual void Forget(uint64_t /*name*/) {}
  virtual bool IsManaged(const Page* page) const = 0;  // uvmpdpol_pageisqueued_p()
  virtual bool IsActive(const Page* page) const = 0;   // uvmpdpol_pageactivate_p()

  // ---- The page daemon's round.
  // uvmpdpol_scaninit(), uvmpdpol_scanfini().
  virtual void BeginScan() = 0;
  virtual void EndScan() {}
  // uvmpdpol_selectvictim(). A managed page whose owner's lock was taken by TryLockOwner, or null
  // when the policy has nothing more to offer in this scan. The caller frees it, starts to write
  // it, or gives it back by Activate or Enqueue.
  virtual Page* SelectVictim() = 0;
  // uvmpdpol_balancequeue(): moves pages towards replacement; with `swap_shortage` slots wanted,
  // first frees slots of pages that are in memory.
  virtual void Balance(PageCount swap_shortage) = 0;
  // uvmpdpol_needsscan_p(): a scan is due though there is no shortage.
  virtual bool NeedsScan() const = 0;
  // uvmpdpol_estimatepageable().
  virtual void EstimatePageable(PageCount* active, PageCount* inactive) const = 0;
  // uvmpdpol_tune(): the number of pages changed; uvmpdpol_idle(): time to flush intents.
  virtual void Tune(PageCount total) = 0;
  virtual void Idle() {}

 protected:
  ~PagePolicy() = default;
};

}  // namespace uvm

#endif  // UVM_PDPOLICY_H_
