#include "uvm/loan.h"

#include "base/check.h"
#include "uvm/frame_wait.h"

namespace uvm {

// ---- The zero page ----

Result<void, PagerError> ZeroPager::Get(Object*, GetRequest*) {
  UNREACHABLE("somebody asks for more than the zero page");
}

// There is nothing to write back, and somebody has the page on loan as long as it exists.
Result<void, PagerError> ZeroPager::Put(Object* object, PageIndex, PageIndex,
                                        uint32_t) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  object->mu.Unlock();
  return {};
}

bool LoanStore::MakeZeroPageLocked() {
  if (zero_ != nullptr) return true;
  Object* zero = objects_->Create(&zero_pager_, 0);
  if (zero == nullptr) return false;
  {
    MutexLock lock(&zero->mu);
    Page* page = pages_->AllocateForObject(zero, PageIndex(0));
    if (page != nullptr) {
      pages_->Zero(page);
      zero->Insert(page);
      zero->Unbusy(pages_, page);
      pages_->Activate(page);
      zero_ = zero;
    }
  }
  if (zero_ == nullptr) objects_->Destroy(zero);
  return zero_ != nullptr;
}

void LoanStore::Trim() {
  MutexLock lock(&zero_mu_);
  if (zero_ == nullptr) return;
  {
    MutexLock object_lock(&zero_->mu);
    if (zero_->FirstPage()->loan_count > 0) return;
  }
  objects_->Destroy(zero_);
  zero_ = nullptr;
}

// ---- Lending ----

Result<void, MapError> LoanStore::LendPages(Map* map, Range range, Page** out) {
  uint64_t count = range.pages().value();
  for (uint64_t i = 0; i < count; ++i) {
    Target target;
    Result<void, MapError> lent = LendOne(map, range.start + i * base::kPageSize, &target);
    if (!lent.ok()) {
      ReturnPages(out, i);
      return lent.error();
    }
    out[i] = target.page;
  }
  return {};
}

Result<void, MapError> LoanStore::LendAnons(Map* map, Range range, Anon** out) {
  uint64_t count = range.pages().value();
  for (uint64_t i = 0; i < count; ++i) {
    Target target;
    target.as_anon = true;
    Result<void, MapError> lent = LendOne(map, range.start + i * base::kPageSize, &target);
    if (!lent.ok()) {
      ReturnAnons(out, i);
      return lent.error();
    }
    out[i] = target.anon;
  }
  return {};
}

Result<void, MapError> LoanStore::LendOne(Map* map, Vaddr va, Target* target) {
  FrameWait wait(core_);
  for (;;) {
    FaultInfo info;
    info.origin = map;
    info.va = va;
    Result<Step, MapError> step = Try(&info, target);
    info.UnlockAll();
    if (!step.ok()) {
      if (wait.Again()) continue;
      return step.error();
    }
    if (step.value() == Step::kDone) break;
  }
  ++core_->counters.loans;
  if (target->as_anon) ++anon_loans_;
  return {};
}

Result<LoanStore::Step, MapError> LoanStore::Try(FaultInfo* info, Target* target) {
  if (!info->LookUp()) return MapError::kNotFound;
  info->LockAmap();
  Anon* anon =
      info->amap == nullptr ? nullptr : amaps_->Lookup(info->amap, info->entry->SlotOf(info->va));
  if (anon != nullptr) return LendAnon(info, anon, target);
  if (info->object != nullptr) return LendLower(info, target);
  // Zeroes are lent of private memory only; an entry that only keeps addresses has none.
  if (!info->entry->copy_on_write) return MapError::kInvalidArgument;
  info->UnlockAmap();
  info->UnlockMap();  // nobody can make these zeroes anything else afterwards
  return LendZero(target);
}

// NetBSD: uvm_loananon(). LOCKS: map read, amap.
Result<LoanStore::Step, MapError> LoanStore::LendAnon(FaultInfo* info, Anon* anon, Target* target)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Page* page = anon->page;
  const bool busy = page != nullptr && page->IsBusy() && page->object == nullptr;
  if (busy || (page == nullptr && !target->as_anon)) {
    info->UnlockMap();
    info->amap_locked = false;  // by Get
    if (!getter_.Get(anon).ok()) return MapError::kInvalidArgument;
    return Step::kAgain;
  }
  if (page != nullptr && page->wire_count > 0) {
    core_->probes.Hit(Probe::kLendRefused);
    return MapError::kInvalidArgument;
  }
  if (!target->as_anon) {
    core_->probes.Hit(Probe::kLendAnonPage);
    pages_->Lend(page, nullptr);
    pages_->Activate(page);
    target->page = page;
    return Step::kDone;
  }
  // A reference more makes every write a copy; those who could write so far have to ask again.
  if (anon->refs == 1 && page != nullptr)
    core_->pmap->PageProtect(page->pa, base::kProtRead | base::kProtExecute);
  ++anon->refs;
  amaps_->ReferenceLock(anon->lock);
  target->anon = anon;
  return Step::kDone;
}

// NetBSD: uvm_loanuobj(). LOCKS: map read, amap if there is one.
Result<LoanStore::Step, MapError> LoanStore::LendLower(FaultInfo* info, Target* target)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Object* object = info->object;
  if (object->pager()->HandlesFaults()) return MapError::kInvalidArgument;  // no pages of ours
  info->LockObject();
  Page* page = object->Lookup(info->entry->ObjectIndexOf(info->va));
  if (page != nullptr && page->IsBusy()) {
    info->UnlockAmap();
    info->UnlockMap();
    info->object_locked = false;
    pages_->WaitAndRelease(page, &object->mu);
    return Step::kAgain;
  }
  if (page != nullptr) {
    TRY(LendObjectPage(page, target));
    return Step::kDone;
  }
  Result<Page*, FaultError> fetched = fetcher_.Fetch(info, Access::kRead);
  if (!fetched.ok()) return MapError::kInvalidArgument;
  page = fetched.value();
  if (page == nullptr) return Step::kAgain;
  Result<void, MapError> lent = LendObjectPage(page, target);
  object->Unbusy(pages_, page);
  if (!lent.ok()) return lent.error();
  return Step::kDone;
}

// LOCKS: the object's.
Result<void, MapError> LoanStore::LendObjectPage(Page* page, Target* target) {
  if (page->wire_count > 0) {
    core_->probes.Hit(Probe::kLendRefused);
    return MapError::kInvalidArgument;
  }
  if (!target->as_anon) {
    core_->probes.Hit(Probe::kLendObjectPage);
    pages_->Lend(page, nullptr);
    pages_->Activate(page);
    target->page = page;
    return {};
  }
  if (page->anon != nullptr) {
    // One anon borrows it already, and whose lock guards that one cannot be told from here.
    Anon* copy = anons_->Allocate();
    if (copy == nullptr) return MapError::kInvalidArgument;
    pages_->Copy(page, copy->page);
    copy->page->busy = BusyReason::kNotBusy;
    pages_->Activate(copy->page);
    target->anon = copy;
    return {};
  }
  Anon* borrower = anons_->AllocateEmpty();
  if (borrower == nullptr) return MapError::kInvalidArgument;
  borrower->page = page;
  pages_->Lend(page, borrower);
  pages_->Activate(page);
  target->anon = borrower;
  return {};
}

// NetBSD: uvm_loanzero(). LOCKS: none.
Result<LoanStore::Step, MapError> LoanStore::LendZero(Target* target) {
  MutexLock lock(&zero_mu_);
  if (!MakeZeroPageLocked()) return MapError::kInvalidArgument;
  MutexLock object_lock(&zero_->mu);
  core_->probes.Hit(Probe::kLendZero);
  TRY(LendObjectPage(zero_->FirstPage(), target));
  return Step::kDone;
}

Result<void, PagerError> LoanStore::LendObjectPages(Object* object, PageIndex first, uint32_t count,
                                                    Page** out) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Result<void, PagerError> result;
  FrameWait wait(core_);
  uint32_t lent = 0;
  object->mu.Lock();
  while (lent < count && result.ok()) {
    Page* page = object->Lookup(first + PageCount(lent));
    if (page != nullptr && page->IsBusy()) {
      object->WaitFor(pages_, page);
    } else if (page != nullptr && page->wire_count > 0) {
      result = PagerError::kBusy;
    } else if (page != nullptr) {
      pages_->Lend(page, nullptr);
      pages_->Activate(page);
      ++core_->counters.loans;
      out[lent++] = page;
    } else {
      Page* fetched = nullptr;
      GetRequest request;
      request.first = first + PageCount(lent);
      request.pages = &fetched;
      request.flags = kPgoSyncIo;
      result = object->pager()->Get(object, &request);
      if (!result.ok() && result.error() == PagerError::kNoMemory && wait.Again()) {
        result = {};
        object->mu.Lock();
        continue;
      }
      object->mu.Lock();
      if (result.ok()) object->Unbusy(pages_, fetched);  // and find it, if it is still there
    }
  }
  object->mu.Unlock();
  if (!result.ok()) ReturnPages(out, lent);
  return result;
}

// ---- Returning ----

void LoanStore::ReturnPages(Page* const* pages, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) pages_->ReturnLoan(pages[i]);
  Trim();
}

void LoanStore::ReturnAnons(Anon* const* anons, uint64_t count) {
  anon_loans_ -= count;
  for (uint64_t i = 0; i < count; ++i) {
    LayerLock* lock = anons[i]->lock;
    if (lock == nullptr) {  // never was in an amap
      anons_->Release(anons[i]);
      continue;
    }
    {
      MutexLock held(&lock->mutex);
      anons_->Release(anons[i]);
    }
    amaps_->ReleaseLock(lock);
  }
  Trim();
}

}  // namespace uvm
