#include "uvm/object_wire.h"

#include "uvm/frame_wait.h"

namespace uvm {

Result<void, PagerError> ObjectWiring::Wire(Object* object, PageIndex first, PageIndex end,
                                            Page** list) {
  FrameWait wait(core_);
  for (PageIndex at = first; at < end;) {
    Page* pages[kMaxGetPages] = {};
    const uint64_t left = end.value() - at.value();
    const uint32_t count = static_cast<uint32_t>(left < kMaxGetPages ? left : kMaxGetPages);
    Result<void, PagerError> wired = WireSome(object, at, count, pages);
    if (!wired.ok() && wired.error() == PagerError::kNoMemory && wait.Again()) continue;
    if (!wired.ok()) {
      Unwire(object, first, at);
      return wired.error();
    }
    for (uint32_t i = 0; list != nullptr && i < count; ++i) *list++ = pages[i];
    at = at + PageCount(count);
  }
  return {};
}

// All of `count` pages, or none.
Result<void, PagerError> ObjectWiring::WireSome(Object* object, PageIndex first, uint32_t count,
                                                Page** pages) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  GetRequest request;
  request.first = first;
  request.count = count;
  request.pages = pages;
  request.access = Access::kWrite;
  request.advice = Advice::kRandom;
  request.flags = kPgoSyncIo | kPgoAllPages;
  object->mu.Lock();
  TRY(object->pager()->Get(object, &request));
  MutexLock lock(&object->mu);
  Result<void, PagerError> result;
  for (uint32_t i = 0; i < count && result.ok(); ++i) {
    if (pages[i] == nullptr) {
      result = PagerError::kPastEnd;
    } else if (pages[i]->loan_count != 0) {
      Page* fresh = loans_.BreakObjectPage(pages[i]);
      if (fresh == nullptr) {
        result = PagerError::kNoMemory;
      } else {
        pages[i] = fresh;
      }
    }
  }
  for (uint32_t i = 0; i < count && result.ok(); ++i) {
    object->SetDirty(pages[i], Dirty::kDirty);
    pages_->Wire(pages[i]);
    // By the page's own index, not its place in the batch (facts/uvm.md 5.B item 8a).
    object->pager()->DropSlot(object, pages[i]->index);
    ++core_->counters.kernel_wirings;
  }
  object->Unbusy(pages_, pages, count);
  return result;
}

void ObjectWiring::Unwire(Object* object, PageIndex first, PageIndex end) {
  MutexLock lock(&object->mu);
  for (PageIndex at = first; at < end; at = at + PageCount(1)) {
    --core_->counters.kernel_wirings;
    Page* page = object->Lookup(at);
    if (page != nullptr && page->wire_count > 0) pages_->Unwire(page);
  }
}

}  // namespace uvm
