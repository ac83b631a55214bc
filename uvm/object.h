// uvm/object.h: memory objects: the lower layer of a mapping.
//
// WHAT     An Object is a sparse array of pages whose contents a Pager supplies on first use.
//          Several entries of several maps may refer to it.
// STATES   page absent -> busy (pager works) -> resident. An object lives while it has references.
// LOCKS    mu guards the tree, the pages' owner fields and refs. Waiting for a busy page:
//          page_ready.
// INVARIANTS  I4 ValidObjectPages: every page of the tree points back to the object, at its own
//          index; count is exact. I5 ValidObjectRefs: refs == entries that name the object +
//          references held from outside.
// SEE      NetBSD sys/uvm/uvm_object.h; facts/uvm.md 1.4.

#ifndef UVM_OBJECT_H_
#define UVM_OBJECT_H_

#include <cstdint>

#include "base/list.h"
#include "base/rb_tree.h"
#include "uvm/core.h"
#include "uvm/lock.h"
#include "uvm/page.h"
#include "uvm/pager.h"

namespace uvm {

class Object {
 public:
  Object(Core* core, Pager* pager, uint64_t key)
      : mu(core->threads, base::LockRank::kObject),
        page_ready(core->threads),
        pager_(pager),
        key_(key) {}

  uint64_t key() const { return key_; }
  Pager* pager() const { return pager_; }

  // The resident (possibly busy) page at `index`, or null. NetBSD: uvm_pagelookup().
  Page* Lookup(PageIndex index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) { return Find(index); }
  void Insert(Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    pages_.Insert(page);
    ++page_count_;
  }
  void Remove(Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    pages_.Erase(page);
    --page_count_;
  }
  Page* FirstPage() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) { return pages_.First(); }

  // For checkers, without the lock.
  const Page* DebugLookup(PageIndex index) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return Find(index);
  }
  Page* DebugFirstPage() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return pages_.First(); }
  static Page* DebugNextPage(Page* page) { return Tree::Next(page); }
  uint64_t DebugPageCount() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return page_count_; }
  uint64_t DebugRefs() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return refs; }

  Mutex mu;
  CondVar page_ready;
  uint64_t refs ABSL_GUARDED_BY(mu) = 1;
  base::ListLink store_link;   // ObjectStore's list
  uint32_t id = 0;             // for dumps
  bool no_exec = false;        // what it holds may not be executed (a mount without execution)
  void* pager_data = nullptr;  // the pager's own
  uint32_t debug_refs = 0;     // for checkers only: entries counted by the walk under way

 private:
  struct ByIndex {
    static bool Less(const Page& a, const Page& b) { return a.index < b.index; }
    static void Update(Page*) {}
  };
  using Tree = base::RbTree<Page, ByIndex>;
  Page* Find(PageIndex index) const {
    Page* at = pages_.root();
    while (at != nullptr && at->index != index) at = at->rb_child[at->index < index ? 1 : 0];
    return at;
  }

  Pager* const pager_;
  const uint64_t key_;
  Tree pages_;
  uint64_t page_count_ = 0;
};

class ObjectStore {
 public:
  ObjectStore(Core* core, PageStore* pages) : core_(core), pages_(pages), pool_(core->memory) {}

  // One reference; null when objects ran out. `pager` outlives the object.
  Object* Create(Pager* pager, uint64_t key);
  void Reference(Object* object);
  // The last reference frees all pages and tells the pager.
  void Release(Object* object);

  using List = base::List<Object, &Object::store_link>;
  const List& DebugAll() const { return all_; }

 private:
  Core* const core_;
  PageStore* const pages_;
  base::Pool<Object> pool_;
  List all_;
  uint32_t next_id_ = 1;
};

}  // namespace uvm

#endif  // UVM_OBJECT_H_
