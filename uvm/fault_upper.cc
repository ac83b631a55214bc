// Faults on pages of the upper layer: cases 1A and 1B.

#include "base/check.h"
#include "uvm/fault.h"

namespace uvm {

// Marks what the upper layer has as nobody's business below, maps its resident neighbours, and
// returns the anon of the faulting page, if there is one. NetBSD: uvm_fault_upper_lookup(). LOCKS:
// map read, amap.
Anon* FaultHandler::LookUpUpper(Attempt* a) {
  FaultInfo& info = a->info;
  if (info.amap == nullptr) {
    for (uint32_t i = 0; i < info.count; ++i) a->pages[i] = nullptr;
    return nullptr;
  }
  uint32_t slot = info.entry->SlotOf(info.first);
  Anon* found = nullptr;
  for (uint32_t i = 0; i < info.count; ++i) {
    Anon* anon = amaps_->Lookup(info.amap, slot + i);
    a->pages[i] = anon == nullptr ? nullptr : DontCare();
    if (anon == nullptr) continue;
    if (i == info.centre) {
      found = anon;
      continue;
    }
    Page* page = anon->page;
    if (page == nullptr || page->loan_count > 0 || page->IsBusy()) continue;
    Prot prot = info.enter_prot;
    if (anon->refs > 1) prot = prot - base::kProtWrite;
    MapNeighbour(a, i, page, prot);
  }
  return found;
}

// NetBSD: uvm_fault_upper(), with what uvmfault_anonget() does for a page that is in memory. LOCKS:
// map read, amap.
Result<FaultHandler::Step, FaultError> FaultHandler::Upper(Attempt* a, Anon* anon)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  FaultInfo& info = a->info;
  Page* page = anon->page;
  if (page == nullptr) [[unlikely]]
    return BringIn(a, anon);
  if (!info.patient && (page->IsBusy() || page->loan_count > 0)) return Refuse(a);
  // While its object works on a borrowed page the contents stand still, so there is no need to
  // wait.
  if (page->IsBusy() && page->object == nullptr) {
    core_->probes.Hit(Probe::kFaultWaitsForAnon);
    info.UnlockMap();
    info.amap_locked = false;
    pages_->WaitAndRelease(page, &info.amap->lock->mutex);
    return Step::kAgain;
  }
  if (page->loan_count > 0) {
    if (!a->copy_now && !a->wiring()) {
      core_->probes.Hit(Probe::kFaultReadsLentAnon);
      info.enter_prot = info.enter_prot - base::kProtWrite;
    } else if (anon->refs == 1 || !a->copy_now) {
      core_->probes.Hit(Probe::kFaultBreaksAnonLoan);
      if (!loans_.BreakAnonPage(anon)) return FaultError::kNoMemory;
    }  // else the copy of case 1B is not lent
  }
  if (a->copy_now && anon->refs > 1) return CopyUpper(a, anon);
  ++core_->counters.fault_1a;
  if (anon->refs > 1) info.enter_prot = info.enter_prot - base::kProtWrite;
  page = anon->page;
  // What its slot has is about to be worth nothing, or will be when the pmap says so.
  if (page->dirty != Dirty::kDirty && info.enter_prot.CanWrite()) [[unlikely]]
    page->dirty = a->write ? Dirty::kDirty : Dirty::kUnknown;
  return EnterAndFinish(a, page);
}

// Not in memory: reads it in with nothing locked. LOCKS: map read, amap.
Result<FaultHandler::Step, FaultError> FaultHandler::BringIn(Attempt* a, Anon* anon)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  FaultInfo& info = a->info;
  if (!info.patient) return Refuse(a);
  if (a->moved) core_->pmap->Update(info.pmap());
  a->moved = false;
  info.UnlockMap();
  info.amap_locked = false;  // by Get
  TRY(getter_.Get(anon));
  return Step::kAgain;
}

// Case 1B. NetBSD: uvm_fault_upper_promote().
Result<FaultHandler::Step, FaultError> FaultHandler::CopyUpper(Attempt* a, Anon* old) {
  ++core_->counters.fault_1b;
  FaultInfo& info = a->info;
  if (old->page->loan_count > 0 || old->page->wire_count > 0) {
    core_->probes.Hit(Probe::kFaultCopiesSharedAnon);
  }
  pages_->ExpectCopy(old->page);
  Anon* fresh = anons_->Allocate();
  if (fresh == nullptr) {
    core_->probes.Hit(Probe::kFaultNoFrameForAnon);
    return FaultError::kNoMemory;
  }
  bool counted_here = CountedHere(*a);
  ForgetOldTranslation(a);
  if (core_->canary.Armed(base::Canary::kPromoteFromWrongLayer)) {
    pages_->Zero(fresh->page);
  } else {
    pages_->Copy(old->page, fresh->page);
  }
  RevokeFromSharers(a, old->page, fresh->page, counted_here);
  fresh->page->busy = BusyReason::kNotBusy;
  amaps_->Replace(info.amap, info.entry->SlotOf(info.va), fresh);
  anons_->Release(old);
  return EnterAndFinish(a, fresh->page);
}

}  // namespace uvm
