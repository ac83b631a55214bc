// What becomes of a page that the policy offers.

#include "base/check.h"
#include "uvm/page_name.h"
#include "uvm/pdaemon.h"

namespace uvm {

// ---- PolicyDoor ----

// Null: nobody's, or an anon's that was in no amap yet. LOCKS: the queues', or the owner's.
Mutex* PageDaemon::OwnerLockOf(const Page* page) {
  if (page->object != nullptr) return &page->object->mu;
  if (page->anon != nullptr && page->anon->lock != nullptr) return &page->anon->lock->mutex;
  return nullptr;
}

// Whoever gives a page up takes the queues' lock for that, so owner and lock are there as long as
// it is held.
bool PageDaemon::TryLockOwner(Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Mutex* owner = OwnerLockOf(page);
  if (owner == nullptr) return false;
  if (owner->TryLock() || core_->canary.Armed(base::Canary::kDaemonSkipsOwnerLock)) return true;
  ++skipped_;
  return false;
}

void PageDaemon::UnlockOwner(Page* page) { Unlock(OwnerLockOf(page)); }

void PageDaemon::Unlock(Mutex* owner) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (core_->canary.Armed(base::Canary::kDaemonSkipsOwnerLock) && !owner->HeldBySelf()) return;
  owner->Unlock();
}

PageSort PageDaemon::SortOf(const Page* page) {
  if (!page->file) return PageSort::kAnonymous;
  const bool text = page->object != nullptr && page->object->executable;
  return text ? PageSort::kExecutable : PageSort::kFile;
}

uint64_t PageDaemon::NameOf(const Page* page) {
  if (page->object != nullptr) return NameOfObjectPage(page->object->id, page->index);
  return page->anon != nullptr ? NameOfAnonPage(page->anon->id) : 0;
}

bool PageDaemon::DropSwap(Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const bool swappable = page->object == nullptr || anonymous_->CanSwap(page->object);
  if (page->IsBusy() || page->loan_count != 0 || !swappable || !IsOnSwap(page)) return false;
  if (page->object != nullptr) {
    anonymous_->DropSlot(page->object, page->index);
  } else {
    anons_->DropSlot(page->anon);
  }
  ++counters_.dropped_slots;
  return true;
}

// ---- Victims ----

// NetBSD: uvmpd_scan_queue().
void PageDaemon::ScanQueue() {
  const uint64_t target = ScanTarget();
  Cluster* cluster = nullptr;
  dirty_reactivations_ = 0;
  // A device that fails would make all its slots bad in no time.
  const uint64_t errors = counters_.write_errors;
  while (pages_->free_count().value() + paging_ < target && counters_.write_errors == errors &&
         dirty_reactivations_ < kMaxDirtyReactivations) {
    Page* page = pages_->SelectVictim();
    if (page == nullptr) break;
    ++counters_.scanned;
    TakeVictim(page, &cluster);
  }
  if (cluster != nullptr) FlushCluster(cluster);
}

// LOCKS: the owner's, which is released.
void PageDaemon::TakeVictim(Page* page, Cluster** cluster) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (page->IsBusy() || page->loan_count != 0 || page->wire_count != 0) {
    // A lent page's frame would stay with its borrowers: nothing is gained.
    if (page->IsBusy()) ++skipped_;
    ++counters_.busy;
    pages_->Activate(page);
    UnlockOwner(page);
    return;
  }
  if (page->object != nullptr && page->object->pager()->kind() != Pager::Kind::kAnonymous)
    return PutToPager(page);
  if (page->object != nullptr && !anonymous_->CanSwap(page->object)) {
    pages_->Activate(page);
    UnlockOwner(page);
    return;
  }
  // Whoever wants the page has to ask from here on, so its status does not change any more.
  core_->pmap->PageProtect(page->pa, base::kProtNone);
  const bool dirty = page_objects_.CheckDirty(page, WriteProtected::kYes) || !IsOnSwap(page);
  if (!dirty || (core_->canary.Armed(base::Canary::kPageoutForgetsDirty) && IsOnSwap(page)))
    return EvictClean(page);
  page_objects_.MarkDirty(page, Dirty::kDirty);
  Mutex* owner = OwnerLockOf(page);
  const bool full = AddToCluster(page, cluster);
  Unlock(owner);
  if (full) {
    FlushCluster(*cluster);
    *cluster = nullptr;
  }
}

// LOCKS: the object's, which is released.
void PageDaemon::PutToPager(Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  ++counters_.pager_puts;
  Object* object = page->object;
  const PageIndex index = page->index;
  // Where it stays if it cannot be written, so that it is not the next victim again. Afterwards
  // the object may be gone.
  pages_->Activate(page);
  if (!object->mu.HeldBySelf()) return;  // kDaemonSkipsOwnerLock
  Result<void, PagerError> put = object->pager()->Put(
      object, index, index + PageCount(1), kPgoCleanIt | kPgoFree | kPgoBusyFail | kPgoPageout);
  if (!put.ok() && put.error() == PagerError::kBusy) ++skipped_;
}

// Whether what the page holds has a place on swap, as good as the page or not.
bool PageDaemon::IsOnSwap(const Page* page) const {
  const SwapSlot slot =
      page->object != nullptr ? anonymous_->FindSlot(page->object, page->index) : page->anon->slot;
  return slot != kNoSlot && slot != kBadSlot;
}

// LOCKS: the owner's, which is released.
void PageDaemon::EvictClean(Page* page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Mutex* owner = OwnerLockOf(page);
  page->dirty = Dirty::kClean;
  ++counters_.freed_clean;
  if (page->object != nullptr) {
    anonymous_->Evict(page->object, page);
  } else {
    anons_->Evict(page->anon);
  }
  Unlock(owner);
}

// ---- Clusters ----

// NetBSD: swapcluster_allocslots(). False: no slots, or too much is in flight.
bool PageDaemon::StartCluster(Cluster** cluster) {
  guard_.Acquire(core_->threads);
  Cluster* fresh = idle_.PopFront();
  guard_.Release();
  if (fresh == nullptr) return false;
  fresh->slots = kSwapClusterPages;
  fresh->first = swap_->Allocate(&fresh->slots, SwapStore::LessOk::kYes);
  if (fresh->first == kNoSlot) {
    guard_.Acquire(core_->threads);
    idle_.PushFront(fresh);
    guard_.Release();
    return false;
  }
  fresh->count = 0;
  *cluster = fresh;
  return true;
}

// The old slot goes back. False, nothing changed: no memory for the object's table.
bool PageDaemon::AssignSlot(Page* page, SwapSlot slot) {
  if (page->object == nullptr) {
    anons_->DropSlot(page->anon);
    page->anon->slot = slot;
    return true;
  }
  Result<SwapSlot, PagerError> old = anonymous_->SetSlot(page->object, page->index, slot);
  if (!old.ok()) return false;
  if (old.value() != kNoSlot && old.value() != kBadSlot) swap_->Free(old.value(), 1);
  return true;
}

// Marks a dirty page for the next slot. True: the cluster is full. NetBSD: swapcluster_add(), and
// uvm_pageout_start() for one page. LOCKS: the owner's.
bool PageDaemon::AddToCluster(Page* page, Cluster** cluster) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (IsOnSwap(page)) (void)AssignSlot(page, kNoSlot);  // it may be the last there is
  const bool has_slot = *cluster != nullptr || StartCluster(cluster);
  if (!has_slot || !AssignSlot(page, (*cluster)->first + (*cluster)->count)) {
    ++dirty_reactivations_;
    ++counters_.dirty_reactivations;
    pages_->Activate(page);
    return false;
  }
  if (page->object != nullptr) {
    page->object->SetBusy(page, BusyReason::kPageout);
  } else {
    anons_->BeginTransfer(page->anon, BusyReason::kPageout);
  }
  page->pageout = true;
  pages_->Dequeue(page);
  guard_.Acquire(core_->threads);
  ++paging_;
  guard_.Release();
  (*cluster)->pages[(*cluster)->count++] = page;
  return (*cluster)->count == (*cluster)->slots;
}

// NetBSD: swapcluster_flush(). LOCKS: none.
void PageDaemon::FlushCluster(Cluster* cluster) {
  if (cluster->count < cluster->slots)
    swap_->Free(cluster->first + cluster->count, cluster->slots - cluster->count);
  if (cluster->count == 0) {
    guard_.Acquire(core_->threads);
    idle_.PushFront(cluster);
    guard_.Release();
    return;
  }
  ++counters_.clusters;
  counters_.cluster_pages += cluster->count;
  cluster->transfer.done = WriteIsDone;
  cluster->transfer.context = cluster;
  swap_->StartWrite(cluster->first, cluster->pages, cluster->count, &cluster->transfer);
}

}  // namespace uvm
