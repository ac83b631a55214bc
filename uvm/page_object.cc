#include "uvm/page_object.h"

#include "base/check.h"

namespace uvm {

void PageObjects::MarkDirty(Page* page, Dirty status) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (page->object != nullptr) {
    page->object->SetDirty(page, status);
  } else {
    page->dirty = status;
  }
}

bool PageObjects::CheckDirty(Page* page, WriteProtected write_protected) {
  if (page->dirty != Dirty::kUnknown) return page->dirty == Dirty::kDirty;
  bool clear = write_protected == WriteProtected::kYes;
  bool modified = clear ? core_->pmap->ClearModify(page->pa) : core_->pmap->IsModified(page->pa);
  if (modified) {
    MarkDirty(page, Dirty::kDirty);
  } else if (clear) {
    MarkDirty(page, Dirty::kClean);
  }
  return modified;
}

bool PageObjects::IsReadOnly(const Page* page) const {
  if (page->read_only) return true;
  return page->object != nullptr && page->dirty == Dirty::kClean &&
         page->object->pager()->NeedsWriteFault(page->object);
}

void PageObjects::Reallocate(Page* page, Object* object,
                             PageIndex index) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  CHECK(page->object != nullptr && object->Lookup(index) == nullptr);
  page->object->Remove(page);
  page->object = object;
  page->index = index;
  object->Insert(page);
}

void PageObjects::Replace(Page* old, Page* fresh) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Object* object = old->object;
  CHECK(object != nullptr && fresh->object == object && fresh->index == old->index);
  object->Remove(old);
  object->Insert(fresh);
}

}  // namespace uvm
