// uvm/page.h: physical pages.
//
// WHAT     A Page describes one frame that UVM got from the pmap. PageStore owns all of them and
//          the free list.
// STATES   identities: free; owned by an Object at an index; owned by an Anon.
//            Allocate: free -> owned, busy. Contents are undefined: the owner zeroes, copies or
//                      reads them, then sets `busy` to kNotBusy; others wait or restart meanwhile.
//            Free:     owned -> free
//          dirty: kClean (equals its backing), kDirty, kUnknown (ask the pmap).
// LOCKS    (O) the owner's lock (amap's or object's); (Q) the page-queue lock of PageStore.
// INVARIANTS  I1 ValidPageOwners: each frame is exactly one of free, object's, anon's, and the
//          owner points back. I2 FreeAccounting: free frames + owned frames = frames taken from the
//          pmap.
// SEE      NetBSD sys/uvm/uvm_page.h; facts/uvm.md 1.10, section 7 "Page".

#ifndef UVM_PAGE_H_
#define UVM_PAGE_H_

#include <cstdint>

#include "base/list.h"
#include "base/rb_tree.h"
#include "uvm/core.h"
#include "uvm/lock.h"

namespace uvm {

class Object;
struct Anon;

enum class Dirty : uint8_t { kClean, kDirty, kUnknown };

// Why a page is busy; kept for dumps and for whoever wonders what they wait for.
enum class BusyReason : uint8_t { kNotBusy, kPagein, kPromote, kPageout };

struct Page : base::RbNode<Page> {         // the tree node of its object's pages
  Paddr pa;                                // constant
  base::ListLink free_link;                // (Q)
  Object* object = nullptr;                // (O)
  Anon* anon = nullptr;                    // (O)
  PageIndex index;                         // (O) position in `object`
  uint32_t wire_count = 0;                 // (O)
  BusyReason busy = BusyReason::kNotBusy;  // (O)
  Dirty dirty = Dirty::kClean;             // (O)
  bool read_only = false;                  // (O) a hole of its object's store: never writable
  uint8_t subtree_tags = 0;                // (O) of its object's tree (object.h)
  bool free = true;                        // (Q)
  bool IsBusy() const { return busy != BusyReason::kNotBusy; }
};

class PageStore {
 public:
  // Takes every segment of core->pmap. Panics when there is no memory for the descriptors: nothing
  // can run without.
  explicit PageStore(Core* core);
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;

  // NetBSD: uvm_pagealloc(). A busy page that belongs to `anon` or to `object` at `index` (exactly
  // one is given), or null when no frame is left. The caller links it into its owner. LOCKS: the
  // owner's.
  Page* AllocateForAnon(Anon* anon);
  Page* AllocateForObject(Object* object, PageIndex index);
  // NetBSD: uvm_pagefree(). Removes all translations first. REQUIRES: not wired; unlinked from its
  // owner's structures.
  void Free(Page* page);

  // NetBSD: uvm_pagezero(), uvm_pagecopy(). The target ends up dirty.
  void Zero(Page* page);
  void Copy(const Page* from, Page* to);
  unsigned char* Contents(const Page* page) { return core_->pmap->HomePointer(page->pa); }

  // The page of a frame; null for frames that UVM does not manage. NetBSD: PHYS_TO_VM_PAGE().
  Page* FromPaddr(Paddr pa) const;
  PageCount total() const { return total_; }
  PageCount free_count() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return PageCount(free_.size()); }
  // For checkers: every page up to the highest that was ever allocated, in address order. The rest
  // is free since boot; walking it after every few operations would cost more than the operations.
  template <typename F>
  void DebugForEach(F&& visit) const {
    for (uint32_t s = 0; s < segment_count_; ++s) {
      for (uint64_t i = 0; i < segments_[s].ever_used; ++i) visit(segments_[s].first[i]);
    }
  }
  bool DebugIdle() const { return mu_.DebugIdle(); }

 private:
  struct Segment {
    Paddr start;
    PageCount pages;
    Page* first;
    uint64_t ever_used;  // pages from the first to the highest that was ever allocated
  };
  Page* Allocate();
  void NoteUse(const Page* page);

  Core* const core_;
  Segment* segments_ = nullptr;
  uint32_t segment_count_ = 0;
  PageCount total_;
  mutable Mutex mu_;
  base::List<Page, &Page::free_link> free_ ABSL_GUARDED_BY(mu_);
};

}  // namespace uvm

#endif  // UVM_PAGE_H_
