#include "uvm/fault.h"

#include "base/check.h"
#include "uvm/frame_wait.h"

namespace uvm {
namespace {

// docs/decisions/0010: every access needs read; writing and executing need their own right as well.
bool Permits(Prot prot, Access access) {
  return (base::kProtRead | base::ProtFor(access)).IsSubsetOf(prot);
}

}  // namespace

Result<void, FaultError> FaultHandler::Fault(Map* map, Vaddr va, Access access) {
  Attempt attempt;
  attempt.info.origin = map;
  attempt.info.va = va.Trunc();
  attempt.info.access = access;
  return Run(&attempt);
}

Result<FaultHandler::Prompt, FaultError> FaultHandler::FaultPromptly(Map* map, Vaddr va,
                                                                     Access access) {
  Attempt attempt;
  attempt.info.origin = map;
  attempt.info.va = va.Trunc();
  attempt.info.access = access;
  attempt.info.patient = false;
  TRY(Run(&attempt));
  return attempt.info.refused ? Prompt::kWouldWait : Prompt::kDone;
}

Result<void, FaultError> FaultHandler::FaultMaxProt(Map* map, Vaddr va, Access access) {
  Attempt attempt;
  attempt.info.origin = map;
  attempt.info.va = va.Trunc();
  attempt.info.access = access;
  attempt.kind = Kind::kMaxProt;
  return Run(&attempt);
}

Result<void, FaultError> FaultHandler::FaultIn(Map* map, Vaddr va, Access access) {
  Attempt attempt;
  attempt.info.origin = map;
  attempt.info.va = va.Trunc();
  attempt.info.access = access;
  attempt.kind = Kind::kForCall;
  return Run(&attempt);
}

Result<void, FaultError> FaultHandler::Run(Attempt* a) {
  ++core_->counters.faults;
  FrameWait wait(core_);
  for (;;) {
    Result<Step, FaultError> step = Try(a);
    if (a->moved) {
      // Before the locks that keep other faults from what was entered or removed.
      core_->pmap->Update(a->info.pmap());
      a->moved = false;
    }
    a->info.UnlockAll();
    if (!step.ok() && step.error() == FaultError::kNoMemory) {
      // Who may wait may get some after all.
      if (!a->info.patient) {
        step = Refuse(a);
      } else if (wait.Again()) {
        core_->probes.Hit(Probe::kFaultWaitsForFrame);
        step = Step::kAgain;
      }
    }
    if (!step.ok()) {
      ++core_->counters.fault_errors;
      return step.error();
    }
    if (step.value() == Step::kDone) return {};
    if (a->info.refused) {
      core_->probes.Hit(Probe::kFaultRefused);
      --core_->counters.faults;  // it is yet to come
      return {};
    }
    ++core_->counters.fault_restarts;
    core_->probes.Hit(Probe::kFaultRestarted);
  }
}

Result<FaultHandler::Step, FaultError> FaultHandler::Try(Attempt* a) {
  if (TRY(Check(a)) == Step::kAgain) return Step::kAgain;
  FaultInfo& info = a->info;
  ChooseWindow(a);
  if (!core_->canary.Armed(base::Canary::kFaultSkipsAmapLock) && !info.LockAmap())
    return Step::kAgain;
  if (info.entry->advice == Advice::kSequential && info.centre > 0) {
    if (!info.patient) return Refuse(a);
    DeactivateBehind(a);
    core_->probes.Hit(Probe::kFaultDeactivatesBehind);
  }
  a->mapped = info.count > 1 ? core_->pmap->Mapped(info.pmap(), info.first, info.count) : 0;
  Anon* anon = LookUpUpper(a);
  if (core_->probes.counts_faults()) [[unlikely]]
    CountCase(*a, anon);
  return anon != nullptr ? Upper(a, anon) : Lower(a);
}

// ---- Looking up ----

// Rights and debts. kDone: the entry, its layers and what may be entered stand in a->info.
Result<FaultHandler::Step, FaultError> FaultHandler::Check(Attempt* a) {
  FaultInfo& info = a->info;
  if (!info.LookUp()) {
    if (info.refused) return Step::kAgain;
    return FaultError::kNoEntry;
  }
  MapEntry* entry = info.entry;
  Prot prot = a->kind == Kind::kMaxProt ? entry->max_prot : entry->prot;
  // Wiring is not an access: what has any right at all can be wired. A call has looked itself
  // whether it may do what it is about.
  const bool for_call = a->kind == Kind::kForCall;
  if (a->wiring() ? prot.IsNone() : !for_call && !Permits(prot, info.access)) {
    return FaultError::kProtection;
  }
  // Not more to a debugger: the translation is its owner's.
  info.enter_prot = EffectiveProt(entry->prot);
  bool wired = a->wiring() || entry->wired_count > 0;
  info.wired = wired ? Wired::kYes : Wired::kNo;
  if (wired) {
    if (!info.patient) return Refuse(a);
    if (!a->wiring()) ++core_->counters.fault_wired;
    a->narrow = true;
    // Nothing may fault later, so everything is done now.
    info.access_prot = info.enter_prot;
    a->write = info.enter_prot.CanWrite() || (for_call && info.access == Access::kWrite);
    // A wired page stays where it is, so one that could ever be written is the entry's own from the
    // start.
    a->copy_now = a->wiring() ? entry->max_prot.CanWrite() : a->write;
  } else {
    info.access_prot = base::ProtFor(info.access);
    a->copy_now = a->write = info.access == Access::kWrite;
  }
  if (entry->needs_copy) {
    a->owed_copy = true;
    if (a->copy_now || entry->object == nullptr) return CopyOwed(a);
    info.enter_prot = info.enter_prot - base::kProtWrite;
  }
  if (info.amap == nullptr && info.object == nullptr) return FaultError::kLayerless;
  // Who writes to a page of a private mapping has most likely read its neighbours.
  if (info.amap != nullptr && info.object != nullptr && info.access == Access::kWrite)
    a->narrow = true;
  return Step::kDone;
}

// Giving the entry its own amap changes the map, so it needs the write lock; meanwhile anything may
// have happened.
Result<FaultHandler::Step, FaultError> FaultHandler::CopyOwed(Attempt* a) {
  if (!a->info.patient) return Refuse(a);
  Map* map = a->info.map;
  a->info.UnlockMap();
  core_->probes.Hit(Probe::kFaultCopiesOwed);
  Map::Change change(map, "FaultHandler");
  MapEntry* entry = map->LookupLocked(a->info.va);
  if (entry != nullptr && entry->needs_copy &&
      !map->CopyAmapLocked(entry, a->info.va, Map::Chunk::kYes)) {
    core_->probes.Hit(Probe::kFaultCopyFails);
    return FaultError::kNoMemory;
  }
  return Step::kAgain;
}

// Which cell of the matrix this attempt is. LOCKS: map read, amap.
void FaultHandler::CountCase(const Attempt& a, const Anon* anon) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const FaultInfo& info = a.info;
  base::FaultCase c;
  c.shared = !info.entry->copy_on_write;
  c.write = info.access == Access::kWrite;
  c.owed_copy = a.owed_copy;
  const Page* page = nullptr;
  bool swapped = false;
  if (anon != nullptr) {
    c.from = base::FaultCase::From::kAnon;
    page = anon->page;
    swapped = page == nullptr;
  } else if (info.object != nullptr) {
    c.from = base::FaultCase::From::kObject;
    const PageIndex index = info.IndexOf(info.centre);
    page = info.object->Lookup(index);
    swapped = page == nullptr && info.object->pager()->IsOnSwap(info.object, index);
  } else {
    c.from = base::FaultCase::From::kZero;
  }
  using Page = base::FaultCase::Page;
  const bool wired = info.wired == Wired::kYes || (page != nullptr && page->wire_count > 0);
  c.page = page != nullptr && page->IsBusy()         ? Page::kBusy
           : page != nullptr && page->loan_count > 0 ? Page::kLent
           : swapped                                 ? Page::kSwapped
           : wired                                   ? Page::kWired
           : page == nullptr                         ? Page::kAbsent
                                                     : Page::kResident;
  core_->probes.HitFault(c);
}

// ---- The window ----

void FaultHandler::ChooseWindow(Attempt* a) {
  FaultInfo& info = a->info;
  FaultWindow window{0, 0};
  if (!a->narrow) {
    window = FaultWindowOf(info.entry->advice);
    a->narrow = true;
  }
  uint64_t before = (info.va - info.entry->start) >> base::kPageShift;
  uint64_t behind = ((info.entry->end - info.va) >> base::kPageShift) - 1;
  info.centre = window.back < before ? window.back : static_cast<uint32_t>(before);
  info.count =
      info.centre + 1 + (window.forward < behind ? window.forward : static_cast<uint32_t>(behind));
  info.first = info.va - info.centre * base::kPageSize;
  info.pages = a->pages;
}

// What a sequential reader has passed may go first. It is not mapped again either.
void FaultHandler::DeactivateBehind(Attempt* a) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  FaultInfo& info = a->info;
  uint32_t slot = info.amap != nullptr ? info.entry->SlotOf(info.first) : 0;
  for (uint32_t i = 0; info.amap != nullptr && i < info.centre; ++i) {
    const Anon* anon = amaps_->Lookup(info.amap, slot + i);
    Page* page = anon != nullptr ? anon->page : nullptr;
    if (page != nullptr && page->loan_count == 0 && !page->IsBusy()) pages_->Deactivate(page);
  }
  if (info.object != nullptr) {
    MutexLock lock(&info.object->mu);
    for (uint32_t i = 0; i < info.centre; ++i) {
      Page* page = info.object->Lookup(info.IndexOf(i));
      if (page != nullptr && !page->IsBusy()) pages_->Deactivate(page);
    }
  }
  info.first = info.va;
  info.count -= info.centre;
  info.centre = 0;
}

// Costs nobody anything: a page that is there, at an address where nothing is yet. What the pmap
// refuses is left out.
void FaultHandler::MapNeighbour(Attempt* a, uint32_t i, Page* page, Prot prot) {
  // An entry that nobody may read is faulted on all the same, to wire its pages or to write to them
  // from elsewhere.
  if ((a->mapped >> i & 1) != 0 || prot.IsNone()) return;
  FaultInfo& info = a->info;
  Vaddr va = info.first + i * base::kPageSize;
  if (core_->pmap->Extract(info.pmap(), va, nullptr)) return;
  pages_->EnsureQueued(page);
  if (prot.CanWrite() && page->dirty == Dirty::kClean)
    page_objects_.MarkDirty(page, Dirty::kUnknown);
  Result<void, PmapError> entered =
      core_->pmap->Enter(info.pmap(), va, page->pa, prot, {.access = base::kProtNone});
  if (!entered.ok()) return;
  a->moved = true;
  ++core_->counters.neighbours;
  core_->probes.Hit(Probe::kFaultNeighbourMapped);
}

// ---- The end of every case ----

// Enters the page at the faulting address and does what a wiring wants done to it. LOCKS: the
// page's owner's.
Result<FaultHandler::Step, FaultError> FaultHandler::EnterAndFinish(Attempt* a, Page* page) {
  FaultInfo& info = a->info;
  if (!info.enter_prot.IsNone()) {
    Result<void, PmapError> entered =
        core_->pmap->Enter(info.pmap(), info.va, page->pa, info.enter_prot,
                           {.access = info.access_prot & info.enter_prot, .wired = info.wired});
    a->moved = true;
    if (!entered.ok()) {
      // The page would be lost to the page daemon without a queue.
      core_->probes.Hit(Probe::kFaultEnterFails);
      pages_->EnsureQueued(page);
      return FaultError::kNoMemory;
    }
  }
  if (a->wiring()) {
    ++core_->counters.wirings;
    if (page->object != nullptr) CatchUpWirings(page);
    pages_->Wire(page);
    DropSlotOf(page);
    return Step::kDone;
  }
  if (info.wired == Wired::kYes && page->loan_count == 0) {
    if (page->object != nullptr) {
      CatchUpWirings(page);
      if (page->wire_count > 0) DropSlotOf(page);
    } else if (page->wire_count == 0 && !info.map->IsBusy()) {
      core_->probes.Hit(Probe::kFaultRewires);
      pages_->Wire(page);  // a sharer gave up what was here: the entry is wired all the same
      DropSlotOf(page);
    }
  }
  pages_->Activate(page);
  return Step::kDone;
}

}  // namespace uvm
