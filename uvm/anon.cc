#include "uvm/anon.h"

#include "base/check.h"
#include "uvm/page_name.h"
#include "uvm/swap.h"

namespace uvm {

Anon* AnonStore::Allocate() {
  Anon* anon = AllocateEmpty();
  if (anon == nullptr) return nullptr;
  anon->page = pages_->AllocateForAnon(anon);
  if (anon->page == nullptr) {
    pool_.Delete(anon);
    return nullptr;
  }
  return anon;
}

void AnonStore::Release(Anon* anon) {
  CHECK(anon->refs > 0);
  if (--anon->refs > 0) return;
  Page* page = anon->page;
  // While an object works on a page that was lent to us, it is none of our business.
  if (page != nullptr && page->IsBusy() && page->object == nullptr) {
    // Nobody may go on using it; whoever made it busy frees it.
    core_->pmap->PageProtect(page->pa, base::kProtNone);
    page->released = true;
    ++dying_;
    return;
  }
  Bury(anon);
}

// Page, slot and, unless its identity is held, the record.
void AnonStore::Bury(Anon* anon) {
  if (anon->page != nullptr) {
    DropSlot(anon);
    pages_->FreeFromAnon(anon->page);
    anon->page = nullptr;
  } else if (anon->slot != kNoSlot) {
    if (anon->slot != kBadSlot) core_->swap->AddOnlyOnSwap(-1);
    pages_->ForgetContents(NameOfAnonPage(anon->id));
    GiveSlotBack(anon);
  }
  if (anon->holds == 0) {
    pool_.Delete(anon);
  } else {
    ++held_only_;
  }
}

void AnonStore::ReleaseHold(Anon* anon) {
  CHECK(anon->holds > 0);
  if (--anon->holds > 0 || anon->refs > 0 || anon->page != nullptr) return;
  --held_only_;
  pool_.Delete(anon);
}

// ---- Swap ----

// A bad slot stays taken; there is nothing to free.
void AnonStore::GiveSlotBack(Anon* anon) {
  if (anon->slot != kBadSlot) core_->swap->Free(anon->slot, 1);
  anon->slot = kNoSlot;
  if (anon->page != nullptr) anon->page->dirty = Dirty::kDirty;
}

void AnonStore::BeginTransfer(Anon* anon, BusyReason reason) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  DCHECK(anon->lock != nullptr && anon->lock->mutex.HeldBySelf());
  CHECK(anon->page != nullptr && anon->page->object == nullptr);
  anon->page->busy = reason;
  ++anon->lock->refs;
}

bool AnonStore::EndTransfer(Anon* anon) {
  Page* page = anon->page;
  DCHECK(anon->lock->mutex.HeldBySelf());
  CHECK(page != nullptr && page->IsBusy());
  page->busy = BusyReason::kNotBusy;
  if (page->released) {
    --dying_;
    Bury(anon);  // wakes who waits
    return false;
  }
  page->fake = false;
  pages_->EnsureQueued(page);
  pages_->Wakeup(page);
  return true;
}

void AnonStore::LoseFrame(Anon* anon) {
  CHECK(anon->slot == kBadSlot);
  Page* page = anon->page;
  anon->page = nullptr;
  pages_->Free(page);
}

void AnonStore::Evict(Anon* anon) {
  Page* page = anon->page;
  CHECK(anon->slot != kNoSlot && anon->slot != kBadSlot);
  CHECK(page->object == nullptr && !page->IsBusy() && page->dirty == Dirty::kClean);
  CHECK(page->wire_count == 0 && page->loan_count == 0);
  anon->page = nullptr;
  pages_->Free(page);
  core_->swap->AddOnlyOnSwap(+1);
}

// ---- Locks ----

void AnonStore::ChangeLock(Anon* anon, LayerLock* lock) {
  pages_->WithQueuesLocked([&] { anon->lock = lock; });
}

void AnonStore::ReleaseLock(LayerLock* lock) {
  {
    MutexLock held(&lock->mutex);
    CHECK(lock->refs > 0);
    if (--lock->refs > 0) return;
  }
  locks_.Delete(lock);
}

}  // namespace uvm
