// uvm/aobj.h: anonymous objects: memory that may be shared but belongs to no file.
//
// WHAT     An anonymous object is an array of pages that begin as zeroes. System V segments, memfd
//          files and the kernel's own pageable memory are made of them. A page may have a slot of
//          swap (aobj_slots.h), with or without a frame, as an anon has.
// LOCKS    As pager.h says. A page is zeroed with the object locked: nobody can see it before. It
//          is read from swap with nothing locked, busy.
// INVARIANTS  A resident page that is clean has a slot with the same contents. No page and no slot
//          lies beyond the object's end.
// SEE      NetBSD sys/uvm/uvm_aobj.c; facts/uvm.md 1.5, 2.10.

#ifndef UVM_AOBJ_H_
#define UVM_AOBJ_H_

#include <cstdint>

#include "uvm/aobj_slots.h"
#include "uvm/core.h"
#include "uvm/loan_break.h"
#include "uvm/object.h"
#include "uvm/page.h"
#include "uvm/pager.h"

namespace uvm {

// UAO_FLAG_*.
enum AobjFlags : uint32_t {
  kAobjKernObj = 1,  // the kernel's own: never freed by reference counting
  kAobjNoSwap = 8,   // never gets swap
};

class AnonymousPager final : public Pager {
 public:
  AnonymousPager(Core* core, PageStore* pages, ObjectStore* objects)
      : core_(core),
        pages_(pages),
        objects_(objects),
        loans_(core, pages),
        states_(core->memory),
        slots_(core) {}

  // NetBSD: uao_create(). An object of `bytes` with one reference (kAobjKernObj: the kernel's), or
  // null when memory ran out. It ends at the next page boundary for faults, and at `bytes` for
  // SizeInBytes.
  Object* Create(uint64_t bytes, uint32_t flags);
  // Changes the size: pages wholly beyond the end go away, wired ones and those on swap, too, and
  // the rest of the last page becomes zero. Waits for busy pages. False, nothing changed: the last
  // page is lent or on swap and there is no frame for it. LOCKS: none.
  bool SetSize(Object* object, uint64_t bytes);

  // NetBSD: uao_set_pgfl(). Frames for pages that come from now on are of this free list
  // (page_free.h) or not to be had; waiting for others is in vain. LOCKS: none.
  void SetFreeList(Object* object, uint32_t free_list);

  // ---- Swap. LOCKS: the object's.

  // Whether pages of the object may be written to swap: it is one of ours and not kAobjNoSwap.
  bool CanSwap(const Object* object) const {
    return object->pager() == this && (StateOf(object)->flags & kAobjNoSwap) == 0;
  }
  // NetBSD: uao_find_swslot(). kBadSlot: the contents are lost.
  SwapSlot FindSlot(const Object* object, base::PageIndex index) const {
    return StateOf(object)->slots.Find(index);
  }
  // NetBSD: uao_set_swslot(). Returns the slot that was there, which is the caller's now. Errors:
  // kNoMemory, nothing changed; never for kNoSlot, nor where there is a slot already.
  base::Result<SwapSlot, PagerError> SetSlot(Object* object, base::PageIndex index, SwapSlot slot);
  // NetBSD: uao_dropswap(). Gives back the slot of a page, if it has one; in memory it is dirty
  // from then on, else its contents are forgotten. The page is not busy.
  void DropSlot(Object* object, base::PageIndex index) override;
  bool IsOnSwap(const Object* object, base::PageIndex index) const override {
    return FindSlot(object, index) != kNoSlot;
  }
  // Frees the pages of [first, end), wired or not, and their slots; waits for busy ones. NetBSD:
  // uao_dropswap_range() for those that are on swap only.
  void FreeRange(Object* object, base::PageIndex first, base::PageIndex end);
  // Frees the frame of a page whose contents lie in its slot as well. REQUIRES: clean, neither busy
  // nor wired nor lent.
  void Evict(Object* object, Page* page);
  // Slots of an object, for swapoff and checkers.
  const SlotTable& Slots(const Object* object) const { return StateOf(object)->slots; }

  // NetBSD: uao_get().
  base::Result<void, PagerError> Get(Object* object, GetRequest* request) override;
  // NetBSD: uao_put(). Never cleans. kPgoFree alone frees the pages for good, unless somebody else
  // has a reference; with kPgoCleanIt, and then, it is kPgoDeactivate.
  base::Result<void, PagerError> Put(Object* object, base::PageIndex first, base::PageIndex end,
                                     uint32_t flags) override;
  void Detach(Object* object) override;
  uint64_t SizeInBytes(const Object* object) const override { return StateOf(object)->size; }
  Kind kind() const override { return Kind::kAnonymous; }

 private:
  struct State {
    uint64_t size = 0;  // bytes; guarded by the object's lock, as slots
    uint32_t flags = 0;
    FrameRequest frames;  // what is asked for; guarded likewise
    SlotTable slots;
  };
  static State* StateOf(const Object* object) { return static_cast<State*>(object->pager_data); }
  static bool Contains(const State& state, base::PageIndex index) {
    return base::ToBytes(index) < state.size;
  }
  base::Result<Page*, PagerError> GetPage(Object* object, base::PageIndex index)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  bool ReadIn(Object* object, Page* page, SwapSlot slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);
  bool CutTail(Object* object, uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);

  Core* const core_;
  PageStore* const pages_;
  ObjectStore* const objects_;
  LoanBreaker loans_;
  base::Pool<State> states_;
  SlotStore slots_;
};

}  // namespace uvm

#endif  // UVM_AOBJ_H_
