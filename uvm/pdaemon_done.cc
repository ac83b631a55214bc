// What becomes of pages that were written, or could not be. NetBSD: uvm_aio_aiodone_pages(),
// swapcluster's part of it, and uvm_pageout_done().

#include "base/check.h"
#include "uvm/pdaemon.h"

namespace uvm {

// NetBSD: uvm_aio_aiodone(), uvm_aiodone_worker(). In any thread, with no lock held: inside
// StartWrite, in Poll, or from a device's own.
void PageDaemon::WriteIsDone(SwapTransfer* transfer) {
  auto* cluster = static_cast<Cluster*>(transfer->context);
  cluster->daemon->FinishCluster(cluster);
}

void PageDaemon::FinishCluster(Cluster* cluster) {
  const SwapResult result = cluster->transfer.result;
  const uint32_t count = cluster->count;
  for (uint32_t i = 0; i < count; ++i) {
    Page* page = cluster->pages[i];
    const SwapSlot slot = cluster->first + i;
    // A busy page's owner is not exchanged, and does not go away.
    if (page->object != nullptr) {
      FinishObjectPage(page, slot, result);
    } else {
      FinishAnonPage(page, slot, result);
    }
  }
  guard_.Acquire(core_->threads);
  paging_ -= count;
  idle_.PushBack(cluster);
  const bool wake = !waiters_.empty();
  const bool drained = draining_ && paging_ == 0;
  guard_.Release();
  const bool found = HasFrames();
  if (wake && found) WakeWaiters();
  // What they wait for has to be looked for elsewhere; or it was this.
  if (drained || (wake && !found)) Kick();
}

void PageDaemon::NoteFailure(SwapSlot slot, SwapResult result) {
  if (result == SwapResult::kNoMemory) {
    ++counters_.write_shortages;
    swap_->Free(slot, 1);
  } else if (result == SwapResult::kAway) {
    ++counters_.write_refusals;
    swap_->Free(slot, 1);
  } else {
    ++counters_.write_errors;
    swap_->MarkBad(slot, 1);
  }
}

// Written: the frame goes. Not written: the page stays, dirty, and its slot is nobody's any more
// (the original loses the page to the error; docs/DIFFERENCES.md).
void PageDaemon::FinishAnonPage(Page* page, SwapSlot slot,
                                SwapResult result) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Anon* anon = page->anon;
  LayerLock* lock = anon->lock;
  lock->mutex.Lock();
  CHECK(page->pageout && anon->page == page && anon->slot == slot);
  page->pageout = false;
  if (result != SwapResult::kOk) {
    anon->slot = kNoSlot;
    NoteFailure(slot, result);
  }
  page->dirty = result == SwapResult::kOk ? Dirty::kClean : Dirty::kDirty;
  // Where nobody wants the anon any more, page and slot go at once and never count as on swap only.
  if (anons_->EndTransfer(anon)) {
    if (result == SwapResult::kOk) {
      anons_->Evict(anon);
      ++counters_.freed_written;
    } else {
      pages_->Activate(page);
    }
  }
  lock->mutex.Unlock();
  anons_->ReleaseLock(lock);
}

void PageDaemon::FinishObjectPage(Page* page, SwapSlot slot,
                                  SwapResult result) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Object* object = page->object;
  object->mu.Lock();
  CHECK(page->pageout && anonymous_->FindSlot(object, page->index) == slot);
  page->pageout = false;
  if (result != SwapResult::kOk) {
    const Result<SwapSlot, PagerError> old = anonymous_->SetSlot(object, page->index, kNoSlot);
    CHECK(old.ok());  // taking a slot away needs no memory
    NoteFailure(slot, result);
  }
  object->SetDirty(page, result == SwapResult::kOk ? Dirty::kClean : Dirty::kDirty);
  object->Unbusy(pages_, page);
  if (result == SwapResult::kOk) {
    anonymous_->Evict(object, page);
    ++counters_.freed_written;
  } else {
    pages_->Activate(page);
  }
  object->mu.Unlock();
}

}  // namespace uvm
