#include "uvm/object.h"

#include "base/check.h"

namespace uvm {

// ---- Object ----

// The nearest page, leaving tags aside; then along the tree, past subtrees that have none of them.
Page* Object::Search(PageIndex index, Towards towards, uint8_t tags) const {
  const int ahead = towards == Towards::kUp ? 1 : 0;
  Page* found = nullptr;
  for (Page* at = pages_.root(); at != nullptr;) {
    if (at->index == index) {
      found = at;
      break;
    }
    const bool beyond = (at->index > index) == (towards == Towards::kUp);
    if (beyond) found = at;
    at = at->rb_child[beyond ? 1 - ahead : ahead];
  }
  if (tags == 0 || found == nullptr || (TagsOf(*found) & tags) != 0) return found;
  for (Page* at = found;;) {
    Page* child = at->rb_child[ahead];
    if (child != nullptr && (child->subtree_tags & tags) != 0) {
      // The one of that subtree that comes first in our direction.
      for (at = child;;) {
        Page* nearer = at->rb_child[1 - ahead];
        if (nearer != nullptr && (nearer->subtree_tags & tags) != 0) {
          at = nearer;
        } else if ((TagsOf(*at) & tags) != 0) {
          return at;
        } else {
          at = at->rb_child[ahead];
        }
      }
    }
    Page* parent = at->rb_parent;
    while (parent != nullptr && parent->rb_child[ahead] == at) {
      at = parent;
      parent = at->rb_parent;
    }
    if (parent == nullptr || (TagsOf(*parent) & tags) != 0) return parent;
    at = parent;
  }
}

// Pages come in order more often than not, so the place is most likely next to the last one.
void Object::Insert(Page* page) {
  Page* const hint = hint_;
  const Page* next = hint != nullptr ? Tree::Next(hint) : nullptr;
  if (hint != nullptr && hint->index < page->index &&
      (next == nullptr || page->index < next->index)) {
    pages_.InsertAfter(hint, page);
  } else {
    pages_.Insert(page);
  }
  hint_ = page;
  ++page_count_;
}

// Search(index, kUp, 0). Windows of faults follow each other: the way from the last one is short.
Page* Object::FirstFrom(PageIndex index) const {
  constexpr uint64_t kNear = 8;  // pages; about as many steps as a search from the root takes
  Page* page = hint_;
  if (page == nullptr || page->index + PageCount(1) < index ||
      page->index > index + PageCount(kNear))
    return Search(index, Towards::kUp, 0);
  if (page->index < index) return Tree::Next(page);
  for (Page* before = Tree::Prev(page); before != nullptr && before->index >= index;
       before = Tree::Prev(before)) {
    page = before;
  }
  return page;
}

void Object::LookupWindow(PageIndex first, uint32_t count, Page** pages) const {
  if (count == 1) {
    if (pages[0] == DontCare()) return;
    Page* page = Lookup(first);
    pages[0] = page != nullptr && !page->IsBusy() ? page : nullptr;
    return;
  }
  Page* next = FirstFrom(first);
  for (uint32_t i = 0; i < count; ++i) {
    Page* here = nullptr;
    if (next != nullptr && next->index == first + PageCount(i)) {
      here = hint_ = next;
      next = NextPage(next);
    }
    if (pages[i] == DontCare()) continue;
    pages[i] = here != nullptr && !here->IsBusy() ? here : nullptr;
  }
}

void Object::SetDirty(Page* page, Dirty status) {
  const bool first = status != Dirty::kClean && !Has(kTagDirty);
  page->dirty = status;
  Retag(page);
  if (first) pager_->MarkDirty(this);
}

void Object::SetBusy(Page* page, BusyReason reason) {
  page->busy = reason;
  if (reason == BusyReason::kClean) Retag(page);
}

void Object::Unbusy(PageStore* store, Page** pages, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    Page* page = pages[i];
    if (page == nullptr || page == DontCare()) continue;
    const bool written = page->busy == BusyReason::kClean;
    page->busy = BusyReason::kNotBusy;
    if (written) Retag(page);
    if (page->released) {
      Remove(page);
      store->Free(page);
    } else {
      page->fake = false;  // whoever made it busy filled it
      store->EnsureQueued(page);
      store->Wakeup(page);
    }
  }
}

void Object::WaitFor(PageStore* store, Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  store->WaitAndRelease(page, &mu);
  mu.Lock();
}

void Object::FreeRange(PageStore* pages, PageIndex first, PageIndex end) {
  Page* page;
  while ((page = Search(first, Towards::kUp, 0)) != nullptr && page->index < end) {
    if (page->IsBusy()) {
      WaitFor(pages, page);
      continue;
    }
    lost_wirings = lost_wirings || page->wire_count != 0;
    pager_->DropSlot(this, page->index);
    Remove(page);
    pages->Free(page);
  }
}

// ---- ObjectStore ----

Object* ObjectStore::CreateWithLock(Pager* pager, uint64_t key, ObjectLock* lock) {
  CHECK(pager != nullptr);
  ObjectLock* own = lock == nullptr ? locks_.New(core_) : nullptr;
  if (lock == nullptr && own == nullptr) return nullptr;
  Object* object = pool_.New(pager, key, lock == nullptr ? own : lock);
  if (object == nullptr) {
    if (own != nullptr) locks_.Delete(own);
    return nullptr;
  }
  object->id = next_id_++;
  all_.PushBack(object);
  return object;
}

Object* ObjectStore::CreateSharingLock(Pager* pager, uint64_t key, Object* with) {
  Object* object = CreateWithLock(pager, key, with->lock());
  if (object == nullptr) return nullptr;
  MutexLock lock(&with->lock()->mutex);
  ++with->lock()->refs;
  return object;
}

void ObjectStore::Reference(Object* object) {
  MutexLock lock(&object->mu);
  object->AddReference();
}

// Pages are written while the reference is still counted: whoever finds the object meanwhile may
// take one of its own and keep it alive.
bool ObjectStore::DropReference(Object* object) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  object->mu.Lock();
  if (object->refs == Object::kKernelRefs) {
    object->mu.Unlock();
    return false;
  }
  CHECK(object->refs > 0);
  if (object->refs == 1 && object->FirstPage() != nullptr) {
    Result<void, PagerError> written =
        object->pager()->Put(object, PageIndex(0), PageIndex(0),
                             kPgoCleanIt | kPgoFree | kPgoAllPages | kPgoSyncIo | kPgoReclaim);
    (void)written.ok();  // nobody is left to be told
    object->mu.Lock();
  }
  const bool last = --object->refs == 0;
  object->mu.Unlock();
  return last;
}

void ObjectStore::Release(Object* object) {
  if (DropReference(object)) Destroy(object);
}

void ObjectStore::Destroy(Object* object) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (object->windows != 0) purge_(purge_context_, object);
  ObjectLock* lock = object->lock();
  bool lock_dies;
  {
    MutexLock held(&object->mu);
    // Some may be busy: the page daemon needs no reference to write one.
    object->FreeRange(pages_, PageIndex(0), PageIndex(~uint64_t{0}));
    lock_dies = --lock->refs == 0;
  }
  object->pager()->Detach(object);
  all_.Remove(object);
  pool_.Delete(object);
  if (lock_dies) locks_.Delete(lock);
}

}  // namespace uvm
