#include "uvm/aobj.h"

#include <cstring>

#include "base/check.h"
#include "uvm/page_array.h"

namespace uvm {

Object* AnonymousPager::Create(uint64_t bytes, uint32_t flags) {
  State* state = states_.New();
  if (state == nullptr) return nullptr;
  *state = {bytes, flags};
  Object* object = objects_->Create(this, 0);
  if (object == nullptr) {
    states_.Delete(state);
    return nullptr;
  }
  object->pager_data = state;
  MutexLock lock(&object->mu);
  if ((flags & kAobjKernObj) != 0) object->refs = Object::kKernelRefs;
  return object;
}

void AnonymousPager::Detach(Object* object) { states_.Delete(StateOf(object)); }

// The page at `index`, busy: the resident one, once nobody else has it, or a new one.
Result<Page*, PagerError> AnonymousPager::GetPage(Object* object, PageIndex index) {
  for (;;) {
    if (!Contains(*StateOf(object), index)) return PagerError::kPastEnd;
    Page* page = object->Lookup(index);
    if (page == nullptr) break;
    if (!page->IsBusy()) {
      object->SetBusy(page, BusyReason::kPagein);
      return page;
    }
    object->WaitFor(pages_, page);
  }
  Page* page = pages_->AllocateForObject(object, index);
  if (page == nullptr) return PagerError::kNoMemory;
  pages_->Zero(page);
  const bool first = !object->Has(kTagDirty);
  object->Insert(page);
  if (first) MarkDirty(object);
  return page;
}

Result<void, PagerError> AnonymousPager::Get(Object* object,
                                             GetRequest* request) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  CHECK(request->count <= kMaxGetPages && request->centre < request->count);
  if ((request->flags & kPgoLocked) != 0) {
    object->LookupWindow(request->first, request->count, request->pages);
    if (request->pages[request->centre] == nullptr) return PagerError::kBusy;
    return {};
  }
  Result<void, PagerError> result;
  const bool all = (request->flags & kPgoAllPages) != 0;
  const bool nothing = (request->flags & kPgoSyncIo) == 0;  // read-ahead of what is nowhere
  for (uint32_t i = 0; i < request->count; ++i) {
    if (request->pages[i] == DontCare()) continue;
    request->pages[i] = nullptr;
    if (nothing || !result.ok() || (i != request->centre && !all)) continue;
    Result<Page*, PagerError> page = GetPage(object, request->first + PageCount(i));
    if (page.ok()) {
      request->pages[i] = page.value();
    } else if (i == request->centre || page.error() != PagerError::kPastEnd) {
      result = page.error();
    }
  }
  if (!result.ok()) object->Unbusy(pages_, request->pages, request->count);
  object->mu.Unlock();
  return result;
}

Result<void, PagerError> AnonymousPager::Put(Object* object, PageIndex first, PageIndex end,
                                             uint32_t flags) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Result<void, PagerError> result;
  const bool all = (flags & kPgoAllPages) != 0;
  const PageIndex last = all || end.value() == 0 ? PageIndex(~uint64_t{0}) : end;
  PageIndex at = all ? PageIndex(0) : first;
  // What is to be cleaned first has nowhere to go and so stays, while anybody is left to want it.
  const bool keeps = (flags & kPgoCleanIt) != 0 && (flags & kPgoReclaim) == 0;
  const bool frees = (flags & kPgoFree) != 0 && !keeps && object->refs == 1;
  const bool acts = (flags & (kPgoFree | kPgoDeactivate)) != 0;
  PageArray array(object, 0);
  while (acts) {
    Page* page = array.FillAndPeek(at, 0);
    if (page == nullptr || page->index >= last) break;
    if (page->IsBusy() && frees) {
      if ((flags & kPgoBusyFail) != 0) {
        result = PagerError::kBusy;
        break;
      }
      object->WaitFor(pages_, page);
      array.Clear();
      continue;
    }
    array.Advance();
    at = page->index + PageCount(1);
    if (page->wire_count != 0) continue;
    if (frees) {
      object->Remove(page);
      pages_->Free(page);
    } else {
      pages_->Deactivate(page);
    }
  }
  object->mu.Unlock();
  return result;
}

// What lies beyond the lower of both ends in its page never was contents, or is not any more.
bool AnonymousPager::CutTail(Object* object, uint64_t end) {
  if (base::IsPageAligned(end)) return true;
  Page* last;
  while ((last = object->Lookup(base::ToPageIndex(end))) != nullptr && last->IsBusy()) {
    object->WaitFor(pages_, last);
  }
  if (last == nullptr) return true;
  if (last->loan_count != 0) last = loans_.BreakObjectPage(last);
  if (last == nullptr) return false;
  const uint64_t kept = end & base::kPageMask;
  std::memset(pages_->Contents(last) + kept, 0, base::kPageSize - kept);
  object->SetDirty(last, Dirty::kDirty);
  return true;
}

bool AnonymousPager::SetSize(Object* object, uint64_t bytes) {
  MutexLock lock(&object->mu);
  State* state = StateOf(object);
  if (!CutTail(object, bytes < state->size ? bytes : state->size)) return false;
  state->size = bytes;
  const uint64_t partial = base::IsPageAligned(bytes) ? 0 : 1;
  object->FreeFrom(pages_, base::ToPageIndex(bytes) + PageCount(partial));
  return true;
}

}  // namespace uvm
