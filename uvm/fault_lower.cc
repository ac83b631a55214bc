// Faults on pages of the lower layer, and where there is no page yet: cases 2A and 2B.

#include "base/check.h"
#include "uvm/fault.h"

namespace uvm {

// Whether the object's page can be had without its pager, and without waiting. LOCKS: object.
bool FaultHandler::IsAtHand(const Attempt& a) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const FaultInfo& info = a.info;
  if (info.object->pager()->HandlesFaults()) return false;
  const Page* page = info.object->Lookup(info.IndexOf(info.centre));
  return page != nullptr && !page->IsBusy() && page->loan_count == 0 && !page->read_only;
}

// NetBSD: uvm_fault_lower(). LOCKS: map read, amap if there is one.
Result<FaultHandler::Step, FaultError> FaultHandler::Lower(Attempt* a) {
  FaultInfo& info = a->info;
  Object* object = info.object;
  if (object == nullptr) return Promote(a, nullptr);
  if (!info.LockObject()) return Step::kAgain;
  if (!info.patient && !IsAtHand(*a)) return Refuse(a);
  if (object->pager()->HandlesFaults()) return LowerSpecial(a);
  GetRequest request;
  request.first = info.IndexOf(0);
  request.count = info.count;
  request.centre = info.centre;
  request.pages = a->pages;
  const bool promote = a->copy_now && info.entry->copy_on_write;
  // Who copies the page only reads it.
  request.access = promote ? Access::kRead : a->write ? Access::kWrite : info.access;
  request.advice = info.entry->advice;
  request.flags = kPgoLocked;
  Result<void, PagerError> got = object->pager()->Get(object, &request);
  Page* centre = got.ok() ? a->pages[info.centre] : nullptr;
  for (uint32_t i = 0; i < info.count; ++i) {
    Page* page = a->pages[i];
    if (i == info.centre || page == nullptr || page == DontCare()) continue;
    // Where the upper layer has a page, resident or not, the object's must not show: a pager that
    // forgot the mark is not believed (facts/uvm.md 5.B' N1).
    if (info.amap != nullptr &&
        amaps_->Lookup(info.amap, info.entry->SlotOf(info.first) + i) != nullptr)
      continue;
    Prot prot = info.enter_prot;
    if (info.entry->copy_on_write || page->loan_count > 0 || page_objects_.IsReadOnly(page))
      prot = prot - base::kProtWrite;
    MapNeighbour(a, i, page, prot);
  }
  // The first write to a hole of a file has to reach the pager.
  if (centre != nullptr && centre->read_only && a->write && !promote) {
    core_->probes.Hit(Probe::kFaultFirstWriteToHole);
    centre = nullptr;
  }
  if (centre != nullptr) return LowerResident(a, centre);
  Page* fetched = TRY(Fetch(a));
  if (fetched == nullptr) return Step::kAgain;
  return LowerResident(a, fetched);
}

// Device objects and windows of the buffer cache map their pages themselves.
Result<FaultHandler::Step, FaultError> FaultHandler::LowerSpecial(Attempt* a) {
  FaultInfo& info = a->info;
  info.restart = false;
  core_->probes.Hit(Probe::kFaultByPager);
  TRY(info.object->pager()->Fault(&info));
  CHECK(!info.map_locked && !info.amap_locked && !info.object_locked);
  return info.restart ? Step::kAgain : Step::kDone;
}

// Null: start over. Else the page, busy, with map, amap and object locked as before.
Result<Page*, FaultError> FaultHandler::Fetch(Attempt* a) {
  const bool promote = a->copy_now && a->info.entry->copy_on_write;
  if (a->moved) core_->pmap->Update(a->info.pmap());
  a->moved = false;
  return fetcher_.Fetch(&a->info, promote    ? Access::kRead
                                  : a->write ? Access::kWrite
                                             : a->info.access);
}

// The object's page is here: not busy, or busy by Fetch. LOCKS: map read, amap, object.
Result<FaultHandler::Step, FaultError> FaultHandler::LowerResident(Attempt* a, Page* page)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  FaultInfo& info = a->info;
  bool promote = a->copy_now && info.entry->copy_on_write;
  Result<Step, FaultError> step = FaultError::kNoMemory;
  if (!promote && page->loan_count > 0 && !a->copy_now && !a->wiring()) {
    core_->probes.Hit(Probe::kFaultReadsLentObjectPage);
    info.enter_prot = info.enter_prot - base::kProtWrite;
  } else if (!promote && page->loan_count > 0) {
    core_->probes.Hit(Probe::kFaultBreaksObjectLoan);
    Page* fresh = loans_.BreakObjectPage(page);
    if (fresh != nullptr) page = fresh;
  }
  bool lent = page->loan_count > 0 && (a->copy_now || a->wiring());
  if (promote) {
    step = Promote(a, page);
  } else if (!lent) {
    step = LowerDirect(a, page);
  }
  if (page->IsBusy()) info.object->Unbusy(pages_, page);
  return step;
}

// Case 2A. NetBSD: uvm_fault_lower_direct().
Result<FaultHandler::Step, FaultError> FaultHandler::LowerDirect(Attempt* a, Page* page) {
  ++core_->counters.fault_2a;
  FaultInfo& info = a->info;
  if (info.entry->copy_on_write) info.enter_prot = info.enter_prot - base::kProtWrite;
  bool may_write = info.enter_prot.CanWrite();
  // Whoever may write without a fault makes the page's status the pmap's business. A pager that
  // wants to know of the first write to a clean page learns of it here.
  if (may_write && page->dirty == Dirty::kClean && (a->write || !page_objects_.IsReadOnly(page)))
    page_objects_.MarkDirty(page, Dirty::kUnknown);
  if (page_objects_.IsReadOnly(page)) {
    // Still a hole after the pager was asked to fill it.
    if (a->write && may_write && !a->wiring()) return FaultError::kIo;
    info.enter_prot = info.enter_prot - base::kProtWrite;
  }
  return EnterAndFinish(a, page);
}

// Case 2B: a new anon with a copy of `from`, or zeroes when there is nothing below. NetBSD:
// uvm_fault_lower_promote().
Result<FaultHandler::Step, FaultError> FaultHandler::Promote(Attempt* a, Page* from) {
  ++core_->counters.fault_2b;
  FaultInfo& info = a->info;
  CHECK(info.amap != nullptr);
  Anon* fresh = anons_->Allocate();
  if (fresh == nullptr) return FaultError::kNoMemory;
  if (from == nullptr) {
    pages_->Zero(fresh->page);
    core_->probes.Hit(Probe::kPromoteZero);
  } else {
    core_->probes.Hit(Probe::kPromoteCopy);
    bool counted_here = CountedHere(*a);
    ForgetOldTranslation(a);
    pages_->Copy(from, fresh->page);
    // Whoever else shares this amap may have the object's page mapped where the anon now is.
    RevokeFromSharers(a, from, fresh->page, counted_here);
    pages_->EnsureQueued(from);
  }
  fresh->page->busy = BusyReason::kNotBusy;
  const uint32_t slot = info.entry->SlotOf(info.va);
  amaps_->Add(info.amap, slot, fresh);
  const Result<Step, FaultError> step = EnterAndFinish(a, fresh->page);
  // A write that is not going to happen binds nothing: the object's page goes on showing through.
  // Wirings that went over to the copy keep it.
  if (!step.ok() && from != nullptr && fresh->page->wire_count == 0) {
    anons_->Release(amaps_->Remove(info.amap, slot));
  }
  return step;
}

}  // namespace uvm
