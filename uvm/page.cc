#include "uvm/page.h"

#include <new>

#include "base/check.h"
#include "uvm/pdpolicy.h"

namespace uvm {

PageStore::PageStore(Core* core, const FrameRange* plugged, uint32_t count)
    : core_(core),
      mu_(core->threads, base::LockRank::kPageQueues),
      segments_(core->memory),
      free_(core->memory),
      caches_(core->memory, core->threads) {
  waiters_ = static_cast<Waiters*>(core->memory->AllocateChunk(sizeof(Waiters) * kWaitBuckets));
  CHECK(waiters_ != nullptr);
  for (uint32_t i = 0; i < kWaitBuckets; ++i) new (&waiters_[i]) Waiters{CondVar(core->threads)};
  const uint32_t reachable = core->pmap->segment_count();
  CHECK(reachable > 0);
  MutexLock lock(&mu_);
  for (uint32_t s = 0; s < reachable; ++s) {
    const PhysicalSegment segment = core->pmap->segment(s);
    if (segment.pages.value() == 0) continue;
    const bool added = segments_.AddReachable(segment.start, segment.pages);
    CHECK(added);
    if (count > 0) continue;
    const bool all_plugged = PlugLocked({segment.start, segment.pages});
    CHECK(all_plugged);
  }
  for (uint32_t i = 0; i < count; ++i) {
    const bool range_plugged = PlugLocked(plugged[i]);
    CHECK(range_plugged);
  }
}

// ---- Allocating and freeing ----

// Whether so many frames are free that one may be taken by who says so.
bool PageStore::MayTake(uint32_t flags) const {
  const uint64_t free = free_.size();
  const uint64_t daemons = reserves_.pagedaemon.value();
  if (free > daemons + reserves_.kernel.value()) return true;
  if ((flags & kAllocForDaemon) != 0) return free > 0;
  return (flags & kAllocUseReserve) != 0 && free > daemons;
}

Page* PageStore::TakeFromQueues(const FrameRequest& request, const Page** next) {
  Page* page = MayTake(request.flags) ? free_.Take(request, 0, next) : nullptr;
  if (page != nullptr) segments_.NoteUse(page);
  return page;
}

Page* PageStore::Allocate(const FrameRequest& request) {
  Page* page = cached_processors_ != 0 && request.IsPlain() ? TakeCached() : nullptr;
  if (page == nullptr) {
    const Page* next = nullptr;
    bool low;
    {
      MutexLock lock(&mu_);
      page = cached_processors_ == 0 ? TakeFromQueues(request, &next) : TakeWithCaches(request);
      low = free_.size() < kick_below_.value();
      // Who finds none of a free list finds nothing by waiting.
      if (page == nullptr && !MayTake(request.flags)) ++core_->counters.frame_shortages;
    }
    if (low && core_->frames != nullptr) core_->frames->Kick();
    if (page == nullptr) return nullptr;
    if (next != nullptr) core_->pmap->Expect(next->pa, base::Access::kWrite);
  }
  page->dirty = Dirty::kClean;
  page->fake = true;
  if ((request.flags & kAllocZero) != 0) Zero(page);
  Counters& counters = core_->counters;
  if (++counters.frames_in_use > counters.frames_peak)
    counters.frames_peak = counters.frames_in_use;
  return page;
}

Page* PageStore::AllocateForAnon(Anon* anon, const FrameRequest& request) {
  Page* page = Allocate(request);
  if (page != nullptr) {
    page->anon = anon;
    page->busy = BusyReason::kPromote;
  }
  return page;
}

Page* PageStore::AllocateForObject(Object* object, PageIndex index, const FrameRequest& request) {
  Page* page = Allocate(request);
  if (page != nullptr) {
    page->object = object;
    page->index = index;
    page->busy = BusyReason::kPagein;
  }
  return page;
}

void PageStore::ForgetTranslations(Page* page) {
  // No client may keep using a frame that is about to become somebody else's.
  core_->pmap->PageProtect(page->pa, base::kProtNone);
  core_->pmap->ClearModify(page->pa);
  core_->pmap->ClearReference(page->pa);
}

void PageStore::FreeLocked(Page* page) {
  if (page->wire_count > 0) {
    --wired_;
    if (page->object != nullptr) ++core_->counters.wired_freed;
  }
  DequeueLocked(page);
  page->object = nullptr;
  page->anon = nullptr;
  page->wire_count = 0;
  page->busy = BusyReason::kNotBusy;
  page->fake = page->read_only = page->read_ahead = page->released = false;
  ForgetFileLocked(page);
  --core_->counters.frames_in_use;
  if (cached_processors_ != 0 && MayFillCaches() && caches_.Put(page, free_)) return;
  if (core_->canary.Armed(base::Canary::kFreedFrameIsLost)) {
    page->free = true;
    return;
  }
  free_.Put(page);
}

void PageStore::Free(Page* page) {
  CHECK(!page->free);
  ForgetTranslations(page);
  {
    MutexLock lock(&mu_);
    if (page->loan_count == 0) {
      FreeLocked(page);
    } else if (page->object != nullptr && page->anon != nullptr) {
      // The borrower keeps the page, which becomes its own: one loan less.
      page->object = nullptr;
      page->dirty = Dirty::kDirty;
      ForgetFileLocked(page);
      if (--page->loan_count == 0) --lent_;
    } else {
      CHECK(page->object != nullptr || page->anon != nullptr);
      page->object = nullptr;
      page->anon = nullptr;
      ForgetFileLocked(page);
      DequeueLocked(page);
    }
    if (!page->free) {
      page->busy = BusyReason::kNotBusy;
      page->read_only = page->read_ahead = page->released = false;
    }
  }
  Wakeup(page);
}

// ---- Wiring and queues ----

void PageIntents::Fulfil(Page* page, PagePolicy* policy) {
  const Intent intent = Of(*page);
  Cancel(page);
  switch (intent) {
    case Intent::kActivate:
      return policy->Activate(page);
    case Intent::kDeactivate:
      return policy->Deactivate(page);
    case Intent::kEnqueue:
      return policy->Enqueue(page);
    case Intent::kDequeue:
      return policy->Dequeue(page);
    case Intent::kNone:
      return;
  }
}

void PageIntents::Flush(PagePolicy* policy) {
  constexpr uint32_t kAhead = 6;  // pages of which the descriptor is under way
  for (uint32_t i = 0; i < count_; ++i) {
    if (i + kAhead < count_) __builtin_prefetch(pages_[i + kAhead], 1);
    Page* page = pages_[i];
    if (policy != nullptr) {
      Fulfil(page, policy);
    }
    page->intent = 0;
  }
  count_ = 0;
}

void PageStore::FlushIntents() {
  MutexLock lock(&mu_);
  intents_.Flush(policy_);
}

void PageStore::FlushAndNote(Page* page, Intent intent) {
  do {
    FlushIntents();  // others may note while this waits for the lock, or right after
  } while (!intents_.Note(page, intent));
}

void PageStore::NoteDisuse(Page* page) {
  core_->pmap->ClearReference(page->pa);
  Note(page, Intent::kDeactivate);
}

void PageStore::DequeueLocked(Page* page) {
  PageIntents::Cancel(page);
  if (page->queue != PageQueue::kNone) policy_->Dequeue(page);
}

void PageStore::EnqueueLocked(Page* page) {
  PageIntents::Cancel(page);
  if (policy_ != nullptr) policy_->Activate(page);
}

PageCount PageStore::active_count() const {
  PageCount active, inactive;
  if (policy_ != nullptr) policy_->EstimatePageable(&active, &inactive);
  return active;
}

PageCount PageStore::inactive_count() const {
  PageCount active, inactive;
  if (policy_ != nullptr) policy_->EstimatePageable(&active, &inactive);
  return inactive;
}

void PageStore::Wire(Page* page) {
  CHECK(page->loan_count == 0);
  MutexLock lock(&mu_);
  if (page->wire_count++ > 0) return;
  DequeueLocked(page);
  ++wired_;
}

void PageStore::Unwire(Page* page) {
  CHECK(page->wire_count > 0);
  MutexLock lock(&mu_);
  if (--page->wire_count > 0) return;
  --wired_;
  EnqueueLocked(page);
}

void PageStore::MoveWirings(Page* from, Page* to, uint32_t count) {
  CHECK(from->wire_count >= count);
  for (; count > 0; --count) {
    Wire(to);
    Unwire(from);
  }
}

// ---- Loans ----

void PageStore::Lend(Page* page, Anon* borrower) {
  CHECK(page->wire_count == 0);
  CHECK(borrower == nullptr || (page->object != nullptr && page->anon == nullptr));
  if (page->loan_count == 0)
    core_->pmap->PageProtect(page->pa, base::kProtRead | base::kProtExecute);
  MutexLock lock(&mu_);
  if (page->loan_count++ == 0) ++lent_;
  if (borrower != nullptr) page->anon = borrower;
}

void PageStore::ReturnLoan(Page* page) {
  MutexLock lock(&mu_);
  CHECK(page->loan_count > 0);
  if (--page->loan_count > 0) return;
  --lent_;
  if (page->object == nullptr && page->anon == nullptr) {
    FreeLocked(page);  // its translations went with its owner
  } else if (QueueOf(page) == PageQueue::kNone && page->wire_count == 0) {
    EnqueueLocked(page);
  }
}

void PageStore::FreeFromAnon(Page* page) {
  {
    MutexLock lock(&mu_);
    CHECK(page->anon != nullptr);
    if (page->object != nullptr) {
      page->anon = nullptr;
      if (--page->loan_count > 0) return;
      --lent_;
      if (QueueOf(page) == PageQueue::kNone && page->wire_count == 0) EnqueueLocked(page);
      return;
    }
  }
  Free(page);  // an object never gets a page back, so this is still true
}

// ---- Waiting ----

void PageStore::WaitAndRelease(Page* page, Mutex* owner) {
  page->wanted = true;
  WaitersOf(page).WaitAndRelease(owner);
}

void PageStore::WakeWaiters(Page* page) {
  page->wanted = false;
  WaitersOf(page).WakeAll();
}

// ---- Contents ----

void PageStore::Zero(Page* page) {
  ++core_->counters.zero_fill;
  if (!core_->canary.Armed(base::Canary::kZeroFillSkipped)) core_->pmap->ZeroPage(page->pa);
  page->dirty = Dirty::kDirty;
  page->fake = false;
}

void PageStore::Copy(const Page* from, Page* to) {
  ++core_->counters.page_copy;
  core_->pmap->CopyPage(from->pa, to->pa);
  to->dirty = Dirty::kDirty;
  to->fake = false;
}

}  // namespace uvm
