// uvm/aobj.h: anonymous objects: memory that may be shared but belongs to no file.
//
// WHAT     An anonymous object is an array of pages that begin as zeroes. System V segments, memfd
//          files and the kernel's own pageable memory are made of them.
//          Pages of one free list only (uao_set_pgfl) come with page lists, in part 5: until then
//          every frame is of the same list, so there is nothing to prefer.
// LOCKS    As pager.h says. A page is zeroed with the object locked: nobody can see it before.
// INVARIANTS  Every resident page is dirty (kDirty or kUnknown): nothing else has its contents. No
//          page lies beyond the object's end.
// SEE      NetBSD sys/uvm/uvm_aobj.c; facts/uvm.md 1.5, 2.10.

#ifndef UVM_AOBJ_H_
#define UVM_AOBJ_H_

#include <cstdint>

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
      : pages_(pages), objects_(objects), loans_(core, pages), states_(core->memory) {}

  // NetBSD: uao_create(). An object of `bytes` with one reference (kAobjKernObj: the kernel's), or
  // null when memory ran out. It ends at the next page boundary for faults, and at `bytes` for
  // SizeInBytes.
  Object* Create(uint64_t bytes, uint32_t flags);
  // Changes the size: pages wholly beyond the end go away, wired ones too, and the rest of the
  // last page becomes zero. Waits for busy pages. False, nothing changed: the last page is lent and
  // there is no frame for a copy. LOCKS: none.
  bool SetSize(Object* object, uint64_t bytes);

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
    uint64_t size;  // bytes; guarded by the object's lock
    uint32_t flags;
  };
  static State* StateOf(const Object* object) { return static_cast<State*>(object->pager_data); }
  static bool Contains(const State& state, base::PageIndex index) {
    return base::ToBytes(index) < state.size;
  }
  base::Result<Page*, PagerError> GetPage(Object* object, base::PageIndex index)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);

  PageStore* const pages_;
  ObjectStore* const objects_;
  bool CutTail(Object* object, uint64_t end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(object->mu);

  LoanBreaker loans_;
  base::Pool<State> states_;
};

}  // namespace uvm

#endif  // UVM_AOBJ_H_
