#include "uvm/fault_fetch.h"

#include "base/check.h"

namespace uvm {
namespace {

// How long a fault waits whose pager said "ask again later" (facts/uvm.md 2.8 D).
constexpr uint64_t kAgainUs = 500'000;

}  // namespace

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

Result<Page*, FaultError> PageFetcher::Fetch(FaultInfo* info,
                                             Access access) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Object* object = info->object;
  core_->probes.Hit(Probe::kFaultFetches);
  object->AddReference();  // keeps it alive while nothing is locked
  Page* page = nullptr;
  GetRequest request;
  request.first = info->entry->ObjectIndexOf(info->va);
  request.pages = &page;
  request.access = access;
  request.advice = info->entry->advice;
  request.flags = kPgoSyncIo;
  info->UnlockAmap();
  info->UnlockMap();
  info->object_locked = false;  // by Get
  Result<void, PagerError> got = object->pager()->Get(object, &request);
  if (!got.ok()) {
    core_->probes.Hit(Probe::kFetchFails);
    objects_->Release(object);
    if (got.error() != PagerError::kAgain) return FaultErrorOf(got.error());
    core_->threads->ParkUntil(core_->threads->Now() + kAgainUs);
    return static_cast<Page*>(nullptr);
  }
  const bool same = info->Relock();
  if (same) info->LockAmap();
  info->LockObject();
  if (same && !page->released &&
      (info->amap == nullptr ||
       amaps_->Lookup(info->amap, info->entry->SlotOf(info->va)) == nullptr)) {
    if (object->refs != Object::kKernelRefs) --object->refs;  // not the last: the entry has one
    return page;
  }
  core_->probes.Hit(Probe::kFetchComesTooLate);
  object->Unbusy(pages_, page);
  info->UnlockAll();
  objects_->Release(object);
  return static_cast<Page*>(nullptr);
}

}  // namespace uvm
