// uvm/anon.h: one page of anonymous memory.
//
// WHAT     An Anon holds one page's worth of data that belongs to no file. It is reached only
//          through amap slots. Its contents lie in a frame, in a slot of swap, or in both.
// STATES   being filled (page busy) -> resident -> freed when the last amap slot lets go.
//            page  slot   contents
//            yes   none   in the frame
//            yes   yes    in the frame; in the slot, too, unless the page is dirty
//            no    yes    on swap only (counted by SwapStore::only_on_swap)
//            no    bad    lost to an error of the device: every access fails
//            no    none   it has no contents (yet, or any more)
//          A transfer (BeginTransfer, EndTransfer) keeps anon and lock while nothing is locked;
//          if the last reference goes meanwhile, the page is `released` and EndTransfer frees all.
//          While somebody holds its identity (voaddr.h) the record outlives its page, so that no
//          other anon can be taken for it.
// LOCKS    (L) the lock of the amap the anon was reached through. Amaps that share anons share
// their
//          lock object, so there is only one such lock. An anon that never was in an amap (a lent
//          copy) has no lock: it is its borrower's alone. (L,Q) that lock and the page queues' to
//          write, either to read.
// INVARIANTS  I3 ValidAnonRefs: refs == number of amap slots, over all amaps, that point here.
//          I22 SwapSlotsAgree (swap_state_invariants.h).
// SEE      NetBSD sys/uvm/uvm_anon.h; facts/uvm.md 1.3, 2.9.

#ifndef UVM_ANON_H_
#define UVM_ANON_H_

#include <cstdint>

#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/page.h"

namespace uvm {

// The lock of a family of amaps that share anons.
struct LayerLock {
  explicit LayerLock(ThreadSystem* threads) : mutex(threads, base::LockRank::kAmap) {}
  Mutex mutex;                               // NetBSD: amap_lock(), amap_lock_try(), amap_unlock()
  uint32_t refs ABSL_GUARDED_BY(mutex) = 1;  // amaps, lent anons and transfers that use it
  uint32_t DebugRefs() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return refs; }
};

struct Anon {
  uint32_t refs = 1;          // (L)
  uint32_t id = 0;            // constant; names its contents to the policy (PolicyDoor::NameOf)
  LayerLock* lock = nullptr;  // (L,Q) of the amaps it is in; set when it is first put into a slot
  Page* page = nullptr;       // (L)
  SwapSlot slot = kNoSlot;    // (L)
  uint32_t holds = 0;         // (L) identities that name it (voaddr.h); they keep the record only
  uint32_t debug_seen = 0;    // for checkers only: slots counted by the walk under way

  // Whether `page` holds the contents already; while it is written to swap it does.
  bool IsReadable() const {
    return page != nullptr && (page->busy != BusyReason::kPagein || page->object != nullptr);
  }
};

class AnonStore {
 public:
  AnonStore(Core* core, PageStore* pages)
      : core_(core), pages_(pages), pool_(core->memory), locks_(core->memory) {}

  // NetBSD: uvm_analloc() with a page. One reference, page busy, contents undefined; null when
  // anons or frames ran out.
  Anon* Allocate();
  // NetBSD: uvm_analloc(). One reference and no page; null when anons ran out.
  Anon* AllocateEmpty() {
    Anon* anon = pool_.New();
    if (anon != nullptr) anon->id = ++last_id_;
    return anon;
  }
  // Drops one reference; the last one frees page, slot and anon, or leaves that to the transfer
  // under way. NetBSD: uvm_anfree() at zero.
  void Release(Anon* anon);
  // LOCKS: the anon's, for these two.
  void Hold(Anon* anon) { ++anon->holds; }
  void ReleaseHold(Anon* anon);

  // ---- Swap. LOCKS: the anon's, which it has.

  // NetBSD: uvm_anon_dropswap(). Gives back the slot of an anon whose page is in memory, and dirty
  // from then on.
  void DropSlot(Anon* anon) {
    if (anon->slot != kNoSlot) GiveSlotBack(anon);
  }
  // The page, which is the anon's own and not busy, becomes busy. From here to EndTransfer anon and
  // lock stay, whatever is unlocked or released.
  void BeginTransfer(Anon* anon, BusyReason reason);
  // The page is no longer busy, who waits for it is woken. False: the last reference went
  // meanwhile, and page, slot and anon are freed (NetBSD: uvm_anon_release()). Either way the
  // caller unlocks and then calls ReleaseLock for the lock that the anon had.
  bool EndTransfer(Anon* anon);
  // Frees the frame of an anon whose slot is bad, and with it nothing worth keeping.
  void LoseFrame(Anon* anon);
  // Frees the frame of an anon whose contents lie in its slot as well. REQUIRES: the page is its
  // own, clean, neither busy nor wired nor lent.
  void Evict(Anon* anon);

  // ---- Locks.

  // One reference; null when memory ran out.
  LayerLock* NewLock() { return locks_.New(core_->threads); }
  // A lock that nobody has seen yet.
  void DeleteLock(LayerLock* lock) { locks_.Delete(lock); }
  void ReferenceLock(LayerLock* lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock->mutex) { ++lock->refs; }
  // The same without the lock, which somebody else keeps alive: server threads do not run at the
  // same instant, and this is no scheduling point.
  void PinLock(LayerLock* lock) ABSL_NO_THREAD_SAFETY_ANALYSIS { ++lock->refs; }
  // The last one frees it. LOCKS: none.
  void ReleaseLock(LayerLock* lock) ABSL_LOCKS_EXCLUDED(lock->mutex);

  // The anon goes over to another family, whose lock this is. Whoever looks for the owner of a page
  // with the page queues locked (PolicyDoor::TryLockOwner) finds the one or the other. LOCKS: none
  // but the new one need be held; nobody else can reach the anon.
  void ChangeLock(Anon* anon, LayerLock* lock);

  // Records that nothing but identities keep.
  uint64_t held_only() const { return held_only_; }
  // Anons without references whose transfer is under way.
  uint64_t dying() const { return dying_; }
  uint64_t live() const { return pool_.live(); }
  uint64_t live_locks() const { return locks_.live(); }
  void set_limit(size_t limit) { pool_.set_limit(limit); }

 private:
  void GiveSlotBack(Anon* anon);
  void Bury(Anon* anon);

  Core* const core_;
  PageStore* const pages_;
  base::Pool<Anon> pool_;
  base::Pool<LayerLock> locks_;
  uint32_t last_id_ = 0;
  uint64_t held_only_ = 0;
  uint64_t dying_ = 0;
};

}  // namespace uvm

#endif  // UVM_ANON_H_
