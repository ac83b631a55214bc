#include "uvm/swap_in.h"

#include "base/check.h"
#include "uvm/swap.h"

namespace uvm {
namespace {

// How long somebody waits whose device could not begin for want of memory.
constexpr uint64_t kDeviceAgainUs = 10'000;

}  // namespace

SwapResult ReadSlot(Core* core, Page* page, SwapSlot slot) {
  SwapResult read;
  while ((read = core->swap->Read(page, slot)) == SwapResult::kNoMemory) {
    core->threads->ParkUntil(core->threads->Now() + kDeviceAgainUs);
  }
  Counters& counters = core->counters;
  ++(read == SwapResult::kOk ? counters.swap_in : counters.swap_in_errors);
  return read;
}

Result<void, FaultError> AnonGetter::Get(Anon* anon) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  LayerLock* const lock = anon->lock;
  DCHECK(lock->mutex.HeldBySelf());
  away_ = false;
  if (anon->page != nullptr) {
    pages_->WaitAndRelease(anon->page, &lock->mutex);
    return {};
  }
  CHECK(anon->slot != kNoSlot);
  Page* page = anon->slot == kBadSlot ? nullptr : pages_->AllocateForAnon(anon);
  if (page == nullptr) {
    const bool lost = anon->slot == kBadSlot;
    lock->mutex.Unlock();
    return lost ? FaultError::kIo : FaultError::kNoMemory;
  }
  const SwapSlot slot = anon->slot;
  anon->page = page;
  core_->swap->AddOnlyOnSwap(-1);
  anons_->BeginTransfer(anon, BusyReason::kPagein);
  lock->mutex.Unlock();
  const SwapResult result = ReadSlot(core_, page, slot);
  const bool read = result == SwapResult::kOk;
  const bool away = result == SwapResult::kAway;
  away_ = away;
  lock->mutex.Lock();
  core_->probes.Hit(read ? Probe::kSwapInAnon : Probe::kSwapInFails);
  if (read) {
    page->dirty = Dirty::kUnknown;  // it will be mapped before long
  } else if (away) {
    page->dirty = Dirty::kClean;  // the slot is what counts
  } else {
    core_->swap->MarkBad(slot, 1);
    anon->slot = kBadSlot;
  }
  if (!anons_->EndTransfer(anon)) {
    core_->probes.Hit(Probe::kSwapInTooLate);
  } else if (away) {
    anons_->Evict(anon);
  } else if (!read) {
    anons_->LoseFrame(anon);
  }
  lock->mutex.Unlock();
  anons_->ReleaseLock(lock);
  if (!read) return FaultError::kIo;
  return {};
}

}  // namespace uvm
