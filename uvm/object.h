// uvm/object.h: memory objects: the lower layer of a mapping.
//
// WHAT     An Object is a sparse array of pages whose contents a Pager supplies on first use.
//          Several entries of several maps may refer to it.
// STATES   page absent -> busy (pager works) -> resident. An object lives while it has references;
//          the kernel's own objects have kKernelRefs, which nobody counts, and live for ever.
// LOCKS    mu guards the tree, the pages' owner fields and refs. It may be one lock for several
//          objects (uvm_obj_setlock): layered ones are locked as one. Waiting for a busy page:
//          PageStore::WaitAndRelease. (T) by nothing: changed between scheduling points of server
//          threads, which never run at one instant. (W) the lock of the windows' own object.
// INVARIANTS  I4 ValidObjectPages: every page of the tree points back to the object, at its own
//          index; count is exact; the summary of tags in each node is that of its subtree. I5
//          ValidObjectRefs: refs == entries that name the object + references held from outside.
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

struct ObjectLock {
  explicit ObjectLock(Core* core) : mutex(core->threads, base::LockRank::kObject) {}
  Mutex mutex;
  uint32_t refs ABSL_GUARDED_BY(mutex) = 1;  // objects
};

// What a search for pages may ask for. A page has them by its state. NetBSD: radix tree tags,
// uvm_obj_page_dirty_p(), uvm_obj_page_writeback_p() and what sets and clears them
// (uvm_obj_page_set_dirty(), uvm_obj_page_clear_dirty(), uvm_obj_page_set_writeback(),
// uvm_obj_page_clear_writeback()).
enum PageTags : uint8_t {
  kTagDirty = 1,      // not known to be clean
  kTagWriteback = 2,  // on its way to the store
};

class Object {
 public:
  Object(Pager* pager, uint64_t key, ObjectLock* lock)
      : mu(lock->mutex), lock_(lock), pager_(pager), key_(key) {}

  // refs of the kernel's own objects.
  static constexpr uint64_t kKernelRefs = ~uint64_t{1};

  uint64_t key() const { return key_; }
  Pager* pager() const { return pager_; }
  ObjectLock* lock() const { return lock_; }

  // The resident (possibly busy) page at `index`, or null. NetBSD: uvm_pagelookup().
  Page* Lookup(PageIndex index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    Page* page = hint_;
    if (page != nullptr && page->index == index) return page;
    if (page != nullptr && page->index + PageCount(1) == index) {
      page = Tree::Next(page);
      if (page == nullptr || page->index != index) return nullptr;
    } else {
      page = Find(index);
    }
    if (page != nullptr) hint_ = page;
    return page;
  }
  void Insert(Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Remove(Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (hint_ == page) hint_ = Tree::Prev(page);
    pages_.Erase(page);
    --page_count_;
  }
  Page* FirstPage() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) { return pages_.First(); }
  uint64_t page_count() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) { return page_count_; }
  // The nearest page at or above (kUp) or at or below (kDown) `index` that has one of `tags` (0:
  // any page); null when there is none. Time: logarithmic, whatever lies between.
  enum class Towards : uint8_t { kDown, kUp };
  Page* Search(PageIndex index, Towards towards, uint8_t tags) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The neighbours of a page of this object; null at the ends.
  static Page* NextPage(Page* page) { return Tree::Next(page); }
  static Page* PreviousPage(Page* page) { return Tree::Prev(page); }
  // pages[0..count) becomes the resident pages from `first` that are not busy, null where there is
  // none; places that are DontCare() stay.
  void LookupWindow(PageIndex first, uint32_t count, Page** pages) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // NetBSD: uvm_pagemarkdirty() for a page of an object. Tells the pager of the first page that may
  // be dirty. A page that is kClean must be writable in no mapping.
  void SetDirty(Page* page, Dirty status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // REQUIRES: the page is not busy, and `reason` is one.
  void SetBusy(Page* page, BusyReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // NetBSD: uvm_page_unbusy(). Wakes who waits for the pages; released ones are freed. Skips null
  // and DontCare().
  void Unbusy(PageStore* store, Page** pages, uint32_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Unbusy(PageStore* store, Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    Unbusy(store, &page, 1);
  }
  // NetBSD: uvm_pagewait(), with the lock taken again: anything may have changed.
  void WaitFor(PageStore* store, Page* page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Frees every page of [first, end), whatever it is wired or dirty, and its slot of swap; waits
  // for busy ones.
  void FreeRange(PageStore* pages, PageIndex first, PageIndex end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // NetBSD: uvm_obj_clean_p(), uvm_obj_nowriteback_p(): no page has the tag.
  bool Has(PageTags tag) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    return pages_.root() != nullptr && (pages_.root()->subtree_tags & tag) != 0;
  }
  // One more reference for somebody who holds the lock (ObjectStore::Reference takes it).
  void AddReference() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (refs != kKernelRefs) ++refs;
  }

  // For checkers, without the lock.
  const Page* DebugLookup(PageIndex index) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return Find(index);
  }
  Page* DebugFirstPage() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return pages_.First(); }
  // The first at or above an index.
  Page* DebugPageFrom(PageIndex index) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    Page* best = nullptr;
    for (Page* at = pages_.root(); at != nullptr;) {
      const bool below = at->index < index;
      if (!below) best = at;
      at = at->rb_child[below ? 1 : 0];
    }
    return best;
  }
  static Page* DebugNextPage(Page* page) { return Tree::Next(page); }
  uint64_t DebugPageCount() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return page_count_; }
  uint64_t DebugRefs() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return refs; }

  Mutex& mu;
  uint64_t refs ABSL_GUARDED_BY(mu) = 1;
  base::ListLink store_link;   // (T) ObjectStore's list
  uint32_t id = 0;             // constant; for dumps
  bool no_exec = false;        // constant; what it holds may not be executed (a mount option)
  bool executable = false;     // (T) was mapped to be executed. NetBSD: VI_EXECMAP, uvn_text_p()
  void* pager_data = nullptr;  // constant; the pager's own
  // Wired pages were cut off: pages that come in their places may lack the wirings of entries that
  // go on being wired (FaultHandler::CatchUpWirings).
  bool lost_wirings ABSL_GUARDED_BY(mu) = false;
  uint32_t windows = 0;     // (W) buffer cache windows that show it (ubc.h)
  uint32_t debug_refs = 0;  // for checkers only: entries counted by the walk under way

  // The tags of one page, by its state.
  static uint8_t TagsOf(const Page& page) {
    return static_cast<uint8_t>((page.dirty != Dirty::kClean ? kTagDirty : 0) |
                                (page.busy == BusyReason::kClean ? kTagWriteback : 0));
  }

 private:
  struct ByIndex {
    static bool Less(const Page& a, const Page& b) { return a.index < b.index; }
    static bool Update(Page* page) {
      uint8_t tags = TagsOf(*page);
      for (const Page* child : page->rb_child) {
        if (child != nullptr) tags |= child->subtree_tags;
      }
      const bool changed = tags != page->subtree_tags;
      page->subtree_tags = tags;
      return changed;
    }
  };
  using Tree = base::RbTree<Page, ByIndex>;
  Page* Find(PageIndex index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    Page* at = pages_.root();
    while (at != nullptr && at->index != index) at = at->rb_child[at->index < index ? 1 : 0];
    return at;
  }

  Page* FirstFrom(PageIndex index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Retag(Page* page) { Tree::Propagate(page); }

  ObjectLock* const lock_;
  Pager* const pager_;
  const uint64_t key_;
  Tree pages_ ABSL_GUARDED_BY(mu);
  uint64_t page_count_ ABSL_GUARDED_BY(mu) = 0;
  mutable Page* hint_ ABSL_GUARDED_BY(mu) = nullptr;  // a page asked for lately, or null
};

class ObjectStore {
 public:
  ObjectStore(Core* core, PageStore* pages)
      : core_(core), pages_(pages), pool_(core->memory), locks_(core->memory) {}

  // NetBSD: uvm_obj_init(). One reference; null when objects ran out. `pager` outlives the object.
  Object* Create(Pager* pager, uint64_t key) { return CreateWithLock(pager, key, nullptr); }
  // NetBSD: uvm_obj_init() and uvm_obj_setlock(): an object that is locked by `with`'s lock, which
  // lives until the last object that uses it is gone.
  Object* CreateSharingLock(Pager* pager, uint64_t key, Object* with);
  // NetBSD: pgo_reference(): uao_reference(), uvn_reference(), udv_reference().
  void Reference(Object* object);
  // NetBSD: pgo_detach(): uao_detach(), uvn_detach(), udv_detach(). Drops a reference. The last one
  // has the pager write what is dirty, frees all pages and tells the pager. What cannot be written
  // is lost.
  void Release(Object* object);
  // NetBSD: uvm_obj_destroy(). For an object with kKernelRefs or one reference that the caller
  // holds: frees it whatever it is.
  void Destroy(Object* object);

  // `purge(context, object)` is called before an object that has windows dies (ubc.h).
  void SetPurge(void (*purge)(void*, Object*), void* context) {
    purge_ = purge;
    purge_context_ = context;
  }

  using List = base::List<Object, &Object::store_link>;
  // Every object there is, oldest first. One that is referenced stays in the list.
  const List& all() const { return all_; }
  const List& DebugAll() const { return all_; }
  // Locks of objects: no more than there are objects.
  uint64_t DebugLocks() const { return locks_.live(); }

 private:
  Object* CreateWithLock(Pager* pager, uint64_t key, ObjectLock* lock);
  // Returns true when the caller's was the last reference, with the lock released either way.
  bool DropReference(Object* object);

  Core* const core_;
  PageStore* const pages_;
  base::Pool<Object> pool_;
  base::Pool<ObjectLock> locks_;
  List all_;
  void (*purge_)(void*, Object*) = nullptr;
  void* purge_context_ = nullptr;
  uint32_t next_id_ = 1;
};

}  // namespace uvm

#endif  // UVM_OBJECT_H_
