#include "uvm/fault.h"

#include "base/check.h"

namespace uvm {
namespace {

// Holds a mutex that may be absent. The analysis cannot follow a lock that depends on the entry, so
// it is told nothing; the functions of amap.h and object.h say which lock they want.
class OptionalLock {
 public:
  explicit OptionalLock(Mutex* mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS : mutex_(mutex) {
    if (mutex_ != nullptr) mutex_->Lock();
  }
  ~OptionalLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (mutex_ != nullptr) mutex_->Unlock();
  }
  OptionalLock(const OptionalLock&) = delete;
  OptionalLock& operator=(const OptionalLock&) = delete;

 private:
  Mutex* const mutex_;
};

// docs/decisions/0010: every access needs read; writing and executing need their own right as well.
bool Permits(Prot prot, Access access) {
  return (base::kProtRead | base::ProtFor(access)).IsSubsetOf(prot);
}

}  // namespace

Result<void, FaultError> FaultHandler::Fault(Map* map, Vaddr va, Access access) {
  ++core_->counters.faults;
  Attempt attempt{map, va.Trunc(), access, nullptr, base::kProtNone, nullptr, PageIndex(0)};
  for (;;) {
    Result<Step, FaultError> step = Try(&attempt);
    if (step.ok() && step.value() == Step::kDone) return {};
    Result<void, FaultError> progress;
    if (!step.ok()) {
      progress = step.error();
    } else if (step.value() == Step::kFetch) {
      progress = FetchPage(attempt.object, attempt.index);
      objects_->Release(attempt.object);
    }
    if (!progress.ok()) {
      ++core_->counters.fault_errors;
      return progress.error();
    }
    ++core_->counters.fault_restarts;
  }
}

Result<FaultHandler::Step, FaultError> FaultHandler::Try(Attempt* attempt) {
  Map* map = attempt->map;
  {
    ReaderLock lock(&map->lock());
    MapEntry* entry = map->LookupLocked(attempt->va);
    if (entry == nullptr) return FaultError::kNoEntry;
    if (!Permits(entry->prot, attempt->access)) return FaultError::kProtection;
    attempt->entry = entry;
    bool owes_copy = entry->needs_copy && (attempt->write() || entry->object == nullptr);
    if (!owes_copy) return Resolve(attempt);
  }
  // Giving the entry its own amap changes the map, so it needs the write lock; meanwhile anything
  // may have happened.
  Map::Change change(map, "FaultHandler::Try");
  MapEntry* entry = map->LookupLocked(attempt->va);
  if (entry != nullptr && entry->needs_copy &&
      !map->CopyAmapLocked(entry, attempt->va, Map::Chunk::kYes)) {
    return FaultError::kNoMemory;
  }
  return Step::kAgain;
}

Result<FaultHandler::Step, FaultError> FaultHandler::Resolve(Attempt* attempt) {
  MapEntry* entry = attempt->entry;
  Amap* amap = entry->aref.amap;
  if (amap == nullptr && entry->object == nullptr) return FaultError::kLayerless;
  attempt->enter_prot = EffectiveProt(entry->prot);
  if (entry->needs_copy) attempt->enter_prot = attempt->enter_prot - base::kProtWrite;
  OptionalLock lock(amap == nullptr ? nullptr : &amap->lock->mutex);
  Anon* anon = amap == nullptr ? nullptr : amaps_->Lookup(amap, entry->SlotOf(attempt->va));
  if (anon == nullptr) return Lower(attempt);
  TRY(Upper(attempt, anon));
  return Step::kDone;
}

// LOCKS: map read, amap.
Result<void, FaultError> FaultHandler::Upper(Attempt* attempt, Anon* anon) {
  CHECK(anon->page != nullptr && !anon->page->IsBusy());
  if (attempt->write() && anon->refs > 1) return CopyUpper(attempt, anon);
  ++core_->counters.fault_1a;
  if (anon->refs > 1) attempt->enter_prot = attempt->enter_prot - base::kProtWrite;
  return EnterPage(*attempt, anon->page);
}

// Case 1B.
Result<void, FaultError> FaultHandler::CopyUpper(Attempt* attempt, Anon* old) {
  ++core_->counters.fault_1b;
  Anon* fresh = anons_->Allocate();
  if (fresh == nullptr) return FaultError::kNoMemory;
  ForgetOldTranslation(*attempt);
  if (core_->canary.Armed(base::Canary::kPromoteFromWrongLayer)) {
    pages_->Zero(fresh->page);
  } else {
    pages_->Copy(old->page, fresh->page);
  }
  fresh->page->busy = BusyReason::kNotBusy;
  Amap* amap = attempt->entry->aref.amap;
  amaps_->Replace(amap, attempt->entry->SlotOf(attempt->va), fresh);
  anons_->Release(old);
  return EnterPage(*attempt, fresh->page);
}

// LOCKS: map read, amap if there is one.
Result<FaultHandler::Step, FaultError> FaultHandler::Lower(Attempt* attempt) {
  MapEntry* entry = attempt->entry;
  Object* object = entry->object;
  if (object == nullptr) {
    TRY(Promote(attempt, nullptr));
    return Step::kDone;
  }
  MutexLock lock(&object->mu);
  PageIndex index = entry->ObjectIndexOf(attempt->va);
  Page* page = object->Lookup(index);
  if (page == nullptr || page->IsBusy()) {
    ++object->refs;  // keeps it alive while nothing is locked
    attempt->object = object;
    attempt->index = index;
    return Step::kFetch;
  }
  if (attempt->write() && entry->copy_on_write) {
    TRY(Promote(attempt, page));
    return Step::kDone;
  }
  ++core_->counters.fault_2a;
  if (entry->copy_on_write) attempt->enter_prot = attempt->enter_prot - base::kProtWrite;
  if (page->read_only) attempt->enter_prot = attempt->enter_prot - base::kProtWrite;
  if (attempt->enter_prot.CanWrite() && page->dirty == Dirty::kClean) {
    object->SetDirty(page, Dirty::kUnknown);
  }
  TRY(EnterPage(*attempt, page));
  return Step::kDone;
}

// Case 2B: a new anon with a copy of `from`, or zeroes when there is nothing below. NetBSD:
// uvm_fault_lower_promote().
Result<void, FaultError> FaultHandler::Promote(Attempt* attempt, Page* from) {
  ++core_->counters.fault_2b;
  Amap* amap = attempt->entry->aref.amap;
  CHECK(amap != nullptr);
  Anon* fresh = anons_->Allocate();
  if (fresh == nullptr) return FaultError::kNoMemory;
  if (from == nullptr) {
    pages_->Zero(fresh->page);
  } else {
    ForgetOldTranslation(*attempt);
    pages_->Copy(from, fresh->page);
    // Whoever else shares this amap may have the object's page mapped where the anon now is.
    if (amap->shared) core_->pmap->PageProtect(from->pa, base::kProtNone);
  }
  fresh->page->busy = BusyReason::kNotBusy;
  amaps_->Add(amap, attempt->entry->SlotOf(attempt->va), fresh);
  return EnterPage(*attempt, fresh->page);
}

void FaultHandler::ForgetOldTranslation(const Attempt& attempt) {
  Pmap* pmap = attempt.map->pmap();
  core_->pmap->Remove(pmap, {attempt.va, attempt.va + base::kPageSize});
  core_->pmap->Update(pmap);
}

Result<void, FaultError> FaultHandler::EnterPage(const Attempt& attempt, Page* page) {
  Prot access = base::ProtFor(attempt.access);
  Result<void, PmapError> entered = core_->pmap->Enter(attempt.map->pmap(), attempt.va, page->pa,
                                                       attempt.enter_prot, {.access = access});
  if (!entered.ok()) return FaultError::kNoMemory;
  core_->pmap->Update(attempt.map->pmap());
  return {};
}

FaultError FaultErrorOf(PagerError error) {
  switch (error) {
    case PagerError::kPastEnd:
      return FaultError::kPastEnd;
    case PagerError::kNoMemory:
      return FaultError::kNoMemory;
    case PagerError::kBusy:
    case PagerError::kIo:
    case PagerError::kAgain:
    case PagerError::kRestart:
      return FaultError::kIo;
  }
  UNREACHABLE("no such pager error");
}

// Called with nothing locked; the caller holds a reference.
Result<void, FaultError> FaultHandler::FetchPage(Object* object,
                                                 PageIndex index) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Page* page = nullptr;
  GetRequest request;
  request.first = index;
  request.pages = &page;
  request.flags = kPgoSyncIo;
  object->mu.Lock();
  Result<void, PagerError> got = object->pager()->Get(object, &request);
  if (!got.ok()) return FaultErrorOf(got.error());
  {
    MutexLock lock(&object->mu);
    page->busy = BusyReason::kNotBusy;
  }
  pages_->Wakeup(page);
  return {};
}

}  // namespace uvm
