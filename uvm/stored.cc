#include "uvm/stored.h"

#include "base/check.h"

namespace uvm {

Result<void, PagerError> StoredPager::GetResident(Object* object, GetRequest* request) {
  for (uint32_t i = 0; i < request->count; ++i) {
    if (request->pages[i] == DontCare()) continue;
    Page* page = object->Lookup(request->first + PageCount(i));
    request->pages[i] = page != nullptr && !page->IsBusy() ? page : nullptr;
  }
  if (request->pages[request->centre] == nullptr) return PagerError::kBusy;
  return {};
}

// The centre page only: a real store is asked for what is needed, and read-ahead (readahead.h) asks
// for more.
Result<void, PagerError> StoredPager::Get(Object* object,
                                          GetRequest* request) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if ((request->flags & kPgoLocked) != 0) return GetResident(object, request);
  PageIndex index = request->first + PageCount(request->centre);
  Page** out = &request->pages[request->centre];
  Page* page;
  while ((page = object->Lookup(index)) != nullptr && page->IsBusy()) {
    object->page_ready.Wait(&object->mu);
  }
  bool resident = page != nullptr;
  if (!resident) {
    page = pages_->AllocateForObject(object, index);
    if (page == nullptr) {
      object->mu.Unlock();
      return PagerError::kNoMemory;
    }
    object->Insert(page);
  }
  page->busy = BusyReason::kPagein;
  object->mu.Unlock();
  *out = page;
  if (resident) return {};
  ++core_->counters.pager_get;
  Result<void, PagerError> got = StoreOf(object)->ReadPage(object, index, pages_->Contents(page));
  if (got.ok()) return {};
  {
    MutexLock lock(&object->mu);
    object->Remove(page);
    pages_->Free(page);
  }
  object->page_ready.WakeAll();
  *out = nullptr;
  return got.error();
}

Result<void, PagerError> StoredPager::Put(Object* object, PageIndex, PageIndex,
                                          uint32_t) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  object->mu.Unlock();
  UNREACHABLE("TODO(#4)");
}

}  // namespace uvm
