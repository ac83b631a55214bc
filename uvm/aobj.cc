#include "uvm/aobj.h"

#include <cstring>

#include "base/check.h"
#include "uvm/frame_wait.h"
#include "uvm/page_array.h"
#include "uvm/page_name.h"
#include "uvm/swap.h"
#include "uvm/swap_in.h"

namespace uvm {

Object* AnonymousPager::Create(uint64_t bytes, uint32_t flags) {
  State* state = states_.New();
  if (state == nullptr) return nullptr;
  state->size = bytes;
  state->flags = flags;
  if ((flags & kAobjKernObj) != 0) state->frames.flags = kAllocUseReserve;
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

void AnonymousPager::SetFreeList(Object* object, uint32_t free_list) {
  CHECK(free_list < kMaxFreeLists);
  MutexLock lock(&object->mu);
  StateOf(object)->frames.strategy = FrameStrategy::kOnly;
  StateOf(object)->frames.free_list = free_list;
}

void AnonymousPager::Detach(Object* object) {
  State* state = StateOf(object);
  {
    MutexLock lock(&object->mu);
    FreeRange(object, PageIndex(0), PageIndex(~uint64_t{0}));
  }
  state->slots.Clear(&slots_);
  states_.Delete(state);
}

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
  const SwapSlot slot = FindSlot(object, index);
  if (slot == kBadSlot) return PagerError::kIo;
  Page* page = pages_->AllocateForObject(object, index, StateOf(object)->frames);
  if (page == nullptr) return PagerError::kNoMemory;
  if (slot != kNoSlot) {
    if (!ReadIn(object, page, slot)) return PagerError::kIo;
    return page;
  }
  pages_->Zero(page);
  const bool first = !object->Has(kTagDirty);
  object->Insert(page);
  if (first) MarkDirty(object);
  return page;
}

// Puts `page`, which is busy, into the object and fills it from its slot. False: its contents
// are lost, or cannot be had now. Lets go of the object's lock meanwhile.
bool AnonymousPager::ReadIn(Object* object, Page* page,
                            SwapSlot slot) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  object->Insert(page);
  core_->swap->AddOnlyOnSwap(-1);
  object->mu.Unlock();
  const SwapResult result = ReadSlot(core_, page, slot);
  const bool read = result == SwapResult::kOk;
  object->mu.Lock();
  core_->probes.Hit(read ? Probe::kSwapInObject : Probe::kSwapInFails);
  if (read) {
    page->fake = false;
    object->SetDirty(page, Dirty::kUnknown);
    return true;
  }
  if (result == SwapResult::kAway) {
    core_->swap->AddOnlyOnSwap(+1);
  } else {
    core_->swap->MarkBad(slot, 1);
    MUST(SetSlot(object, page->index, kBadSlot), "there is a slot already");
  }
  object->Remove(page);
  pages_->Free(page);
  return false;
}

// ---- Slots ----

Result<SwapSlot, PagerError> AnonymousPager::SetSlot(Object* object, PageIndex index,
                                                     SwapSlot slot) {
  State* state = StateOf(object);
  SwapSlot old;
  if (!state->slots.Set(&slots_, base::ToPages(base::RoundPage(state->size)), index, slot, &old)) {
    return PagerError::kNoMemory;
  }
  return old;
}

void AnonymousPager::DropSlot(Object* object, PageIndex index) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (StateOf(object)->slots.used() == 0) return;
  const SwapSlot slot = MUST(SetSlot(object, index, kNoSlot), "no memory is needed for none");
  if (slot == kNoSlot) return;
  Page* page = object->Lookup(index);
  if (page != nullptr) object->SetDirty(page, Dirty::kDirty);
  if (page == nullptr) pages_->ForgetContents(NameOfObjectPage(object->id, index));
  if (slot == kBadSlot) return;  // stays taken
  if (page == nullptr) core_->swap->AddOnlyOnSwap(-1);
  core_->swap->Free(slot, 1);
}

void AnonymousPager::FreeRange(Object* object, PageIndex first,
                               PageIndex end) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  object->FreeRange(pages_, first, end);
  StateOf(object)->slots.ForEach(first, end,
                                 [&](PageIndex index, SwapSlot) { DropSlot(object, index); });
}

void AnonymousPager::Evict(Object* object, Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const SwapSlot slot = FindSlot(object, page->index);
  CHECK(slot != kNoSlot && slot != kBadSlot);
  CHECK(!page->IsBusy() && page->dirty == Dirty::kClean);
  CHECK(page->wire_count == 0 && page->loan_count == 0);
  object->Remove(page);
  pages_->Free(page);
  core_->swap->AddOnlyOnSwap(+1);
}

// ---- Pager ----

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
      // Whoever may write to it does so without asking again.
      if (request->access == Access::kWrite && page.value()->dirty == Dirty::kClean) {
        object->SetDirty(page.value(), Dirty::kUnknown);
      }
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
      DropSlot(object, page->index);
      object->Remove(page);
      pages_->Free(page);
    } else {
      pages_->Deactivate(page);
    }
  }
  if (frees && result.ok()) {
    StateOf(object)->slots.ForEach(all ? PageIndex(0) : first, last,
                                   [&](PageIndex index, SwapSlot) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                                     if (object->Lookup(index) == nullptr) DropSlot(object, index);
                                   });
  }
  object->mu.Unlock();
  return result;
}

// What lies beyond the lower of both ends in its page never was contents, or is not any more.
bool AnonymousPager::CutTail(Object* object, uint64_t end) {
  if (base::IsPageAligned(end)) return true;
  const PageIndex index = base::ToPageIndex(end);
  if (object->Lookup(index) == nullptr && FindSlot(object, index) == kNoSlot) return true;
  Result<Page*, PagerError> got = GetPage(object, index);
  // What cannot be read has no tail to cut.
  if (!got.ok()) return got.error() != PagerError::kNoMemory;
  Page* last = got.value();
  Page* fresh = last->loan_count != 0 ? loans_.BreakObjectPage(last) : last;
  if (fresh != nullptr) {
    last = fresh;
    const uint64_t kept = end & base::kPageMask;
    std::memset(pages_->Contents(last) + kept, 0, base::kPageSize - kept);
    object->SetDirty(last, Dirty::kDirty);
    DropSlot(object, index);
  }
  object->Unbusy(pages_, last);
  return fresh != nullptr;
}

bool AnonymousPager::SetSize(Object* object, uint64_t bytes) {
  FrameWait wait(core_);
  for (;;) {
    {
      MutexLock lock(&object->mu);
      State* state = StateOf(object);
      if (CutTail(object, bytes < state->size ? bytes : state->size)) {
        state->size = bytes;
        const uint64_t partial = base::IsPageAligned(bytes) ? 0 : 1;
        FreeRange(object, base::ToPageIndex(bytes) + PageCount(partial), PageIndex(~uint64_t{0}));
        return true;
      }
    }
    if (!wait.Again()) return false;
  }
}

}  // namespace uvm
