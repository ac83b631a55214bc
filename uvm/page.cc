#include "uvm/page.h"

#include <new>

#include "base/check.h"

namespace uvm {

PageStore::PageStore(Core* core) : core_(core), mu_(core->threads, base::LockRank::kPageQueues) {
  segment_count_ = core->pmap->segment_count();
  CHECK(segment_count_ > 0);
  segments_ = static_cast<Segment*>(core->memory->AllocateChunk(sizeof(Segment) * segment_count_));
  CHECK(segments_ != nullptr);
  waiters_ = static_cast<Waiters*>(core->memory->AllocateChunk(sizeof(Waiters) * kWaitBuckets));
  CHECK(waiters_ != nullptr);
  for (uint32_t i = 0; i < kWaitBuckets; ++i) new (&waiters_[i]) Waiters{CondVar(core->threads)};
  for (uint32_t s = 0; s < segment_count_; ++s) {
    PhysicalSegment segment = core->pmap->segment(s);
    void* memory = core->memory->AllocateChunk(sizeof(Page) * segment.pages.value());
    CHECK(memory != nullptr);
    auto* pages = static_cast<Page*>(memory);
    segments_[s] = {segment.start, segment.pages, pages, 0};
    total_ = total_ + segment.pages;
    MutexLock lock(&mu_);
    for (uint64_t i = 0; i < segment.pages.value(); ++i) {
      Page* page = new (&pages[i]) Page;
      page->pa = segment.start + (i << base::kPageShift);
      free_.PushBack(page);
    }
  }
}

void PageStore::NoteUse(const Page* page) {
  for (uint32_t s = 0; s < segment_count_; ++s) {
    Segment& segment = segments_[s];
    if (page->pa < segment.start) continue;
    uint64_t index = (page->pa - segment.start) >> base::kPageShift;
    if (index >= segment.pages.value()) continue;
    if (index >= segment.ever_used) segment.ever_used = index + 1;
    return;
  }
}

// ---- Allocating and freeing ----

Page* PageStore::Allocate() {
  Page* page;
  const Page* next;
  {
    MutexLock lock(&mu_);
    page = free_.PopFront();
    if (page == nullptr) {
      ++core_->counters.frame_shortages;
      return nullptr;
    }
    page->free = false;
    next = free_.front();
  }
  if (next != nullptr) core_->pmap->Expect(next->pa, base::Access::kWrite);
  NoteUse(page);
  page->dirty = Dirty::kClean;
  page->fake = true;
  Counters& counters = core_->counters;
  if (++counters.frames_in_use > counters.frames_peak)
    counters.frames_peak = counters.frames_in_use;
  return page;
}

Page* PageStore::AllocateForAnon(Anon* anon) {
  Page* page = Allocate();
  if (page != nullptr) {
    page->anon = anon;
    page->busy = BusyReason::kPromote;
  }
  return page;
}

Page* PageStore::AllocateForObject(Object* object, PageIndex index) {
  Page* page = Allocate();
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
  --core_->counters.frames_in_use;
  page->free = true;
  free_.PushFront(page);
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
      --page->loan_count;
    } else {
      CHECK(page->object != nullptr || page->anon != nullptr);
      page->object = nullptr;
      page->anon = nullptr;
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

void PageStore::DequeueLocked(Page* page) {
  if (page->queue == PageQueue::kActive) active_.Remove(page);
  if (page->queue == PageQueue::kInactive) inactive_.Remove(page);
  page->queue = PageQueue::kNone;
}

void PageStore::EnqueueLocked(Page* page, PageQueue queue) {
  DequeueLocked(page);
  (queue == PageQueue::kActive ? active_ : inactive_).PushBack(page);
  page->queue = queue;
}

void PageStore::Enqueue(Page* page, PageQueue queue) {
  MutexLock lock(&mu_);
  EnqueueLocked(page, queue);
}

void PageStore::Dequeue(Page* page) {
  MutexLock lock(&mu_);
  DequeueLocked(page);
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
  EnqueueLocked(page, PageQueue::kActive);
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
  ++page->loan_count;
  if (borrower != nullptr) page->anon = borrower;
}

void PageStore::ReturnLoan(Page* page) {
  MutexLock lock(&mu_);
  CHECK(page->loan_count > 0);
  if (--page->loan_count > 0) return;
  if (page->object == nullptr && page->anon == nullptr) {
    FreeLocked(page);  // its translations went with its owner
  } else if (page->queue == PageQueue::kNone && page->wire_count == 0) {
    EnqueueLocked(page, PageQueue::kActive);
  }
}

void PageStore::FreeFromAnon(Page* page) {
  {
    MutexLock lock(&mu_);
    CHECK(page->anon != nullptr);
    if (page->object != nullptr) {
      page->anon = nullptr;
      if (--page->loan_count == 0 && page->queue == PageQueue::kNone && page->wire_count == 0)
        EnqueueLocked(page, PageQueue::kActive);
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

Page* PageStore::FromPaddr(Paddr pa) const {
  for (uint32_t s = 0; s < segment_count_; ++s) {
    uint64_t offset = pa - segments_[s].start;
    if (pa >= segments_[s].start && offset < base::ToBytes(segments_[s].pages)) {
      return &segments_[s].first[offset >> base::kPageShift];
    }
  }
  return nullptr;
}

}  // namespace uvm
