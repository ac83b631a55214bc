#include "uvm/swapoff.h"

#include "base/check.h"

namespace uvm {
namespace {

// How long it waits for whoever took slots before they were taken away, and how often.
constexpr uint64_t kTickUs = 10'000;
constexpr uint32_t kMostTicks = 100;

}  // namespace

Result<void, SwapError> SwapOff::Run(SwapDevice* device) {
  SwapStore* swap = core_->swap;
  TRY(swap->BeginOff(device));
  for (uint32_t ticks = 0; ticks < kMostTicks && !swap->HoldsNothing(device);) {
    Result<Found, SwapError> found = BringInObjects(device);
    bool any = found.ok() && found.value() == Found::kSomething;
    if (found.ok()) found = BringInAnons(device);
    if (!found.ok()) {
      // It may be that nobody wants the rest any more.
      if (swap->EndOff(device)) return {};
      return found.error();
    }
    any = any || found.value() == Found::kSomething;
    if (any) continue;
    ++ticks;
    swap->Poll(core_->threads->Now());
    core_->threads->ParkUntil(core_->threads->Now() + kTickUs);
  }
  if (!swap->EndOff(device)) return SwapError::kBusy;
  return {};
}

// ---- Objects ----

// NetBSD: uao_swap_off(). An object that is referenced stays in the list. Between looking at one
// and taking a reference nobody else runs.
Result<SwapOff::Found, SwapError> SwapOff::BringInObjects(const SwapDevice* device)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const ObjectStore::List& all = objects_->all();
  Object* held = nullptr;
  Result<Found, SwapError> result = Found::kNothing;
  for (Object* object = all.front(); object != nullptr; object = all.Next(object)) {
    if (!anonymous_->CanSwap(object) || object->refs == 0) continue;
    object->AddReference();
    if (held != nullptr) objects_->Release(held);
    held = object;
    const Result<Found, SwapError> found = BringInObject(device, object);
    if (!found.ok()) result = found;
    if (!found.ok()) break;
    if (found.value() == Found::kSomething) result = found;
  }
  if (held != nullptr) objects_->Release(held);
  return result;
}

// NetBSD: uao_pagein(). LOCKS: none; the caller has a reference.
Result<SwapOff::Found, SwapError> SwapOff::BringInObject(const SwapDevice* device, Object* object) {
  constexpr uint32_t kAtOnce = 16;
  Found found = Found::kNothing;
  for (;;) {
    PageIndex indexes[kAtOnce];
    uint32_t count = 0;
    {
      MutexLock lock(&object->mu);
      anonymous_->Slots(object).ForEach(
          PageIndex(0), PageIndex(~uint64_t{0}), [&](PageIndex index, SwapSlot slot) {
            const bool wanted = slot != kBadSlot && core_->swap->IsOn(device, slot);
            if (wanted && count < kAtOnce) indexes[count++] = index;
          });
    }
    Found now = Found::kNothing;
    for (uint32_t i = 0; i < count; ++i) {
      if (TRY(BringInPage(object, indexes[i])) == Found::kSomething) now = Found::kSomething;
    }
    // Who cuts the object may wait for a busy page before it gives up the slots behind its new end:
    // they are to be waited for, not asked for again and again.
    if (now == Found::kNothing) return found;
    found = now;
  }
}

// NetBSD: uao_pagein_page(). kNothing: it was lost, or is cut off.
Result<SwapOff::Found, SwapError> SwapOff::BringInPage(Object* object, PageIndex index)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  FrameWait wait(core_);
  for (;;) {
    Page* page = nullptr;
    GetRequest request;
    request.first = index;
    request.pages = &page;
    request.flags = kPgoSyncIo;
    object->mu.Lock();
    const Result<void, PagerError> got = anonymous_->Get(object, &request);
    if (got.ok()) {
      MutexLock lock(&object->mu);
      anonymous_->DropSlot(object, index);
      pages_->Deactivate(page);
      object->Unbusy(pages_, page);
      return Found::kSomething;
    }
    if (got.error() == PagerError::kIo) {
      MutexLock lock(&object->mu);
      const SwapSlot slot = anonymous_->FindSlot(object, index);
      if (slot != kNoSlot && slot != kBadSlot) return SwapError::kAway;
    }
    if (got.error() != PagerError::kNoMemory) return Found::kNothing;
    if (!wait.Again()) return SwapError::kNoMemory;
  }
}

// ---- Anons ----

// NetBSD: amap_swap_off().
Result<SwapOff::Found, SwapError> SwapOff::BringInAnons(const SwapDevice* device) {
  Found found = Found::kNothing;
  AmapCursor cursor;
  amaps_->OpenCursor(&cursor);
  Result<Found, SwapError> result = found;
  while (cursor.at != nullptr && result.ok()) {
    result = BringInAmap(device, &cursor);
    if (result.ok() && result.value() == Found::kSomething) found = Found::kSomething;
  }
  amaps_->CloseCursor(&cursor);
  if (!result.ok()) return result;
  return found;
}

// The next anon of the amap, from used[*from] on, that has a slot of the device and whose page
// nobody is at work on, or has no page. Those that have a page give their slots up at once. LOCKS:
// the amap's.
Anon* SwapOff::FindAnon(const SwapDevice* device, const Amap* amap, uint32_t* from) {
  for (; *from < amap->used_count; ++*from) {
    Anon* anon = amap->anons[amap->used[*from]];
    if (anon->slot == kNoSlot || anon->slot == kBadSlot) continue;
    if (!core_->swap->IsOn(device, anon->slot)) continue;
    if (anon->page == nullptr || anon->page->IsBusy()) return anon;
    anons_->DropSlot(anon);
    pages_->Deactivate(anon->page);
  }
  return nullptr;
}

// NetBSD: uvm_anon_pagein() and the loop round it. All of the amap at the cursor, which is at the
// next one afterwards; or at another already, when the amap died meanwhile. What stands in used[]
// may change places while nothing is locked, so it is gone through until once nothing was found.
Result<SwapOff::Found, SwapError> SwapOff::BringInAmap(const SwapDevice* device, AmapCursor* cursor)
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Amap* const amap = cursor->at;
  Found found = Found::kNothing;
  FrameWait wait(core_);
  uint32_t from = 0;
  bool clean = true;  // since `from` was 0
  while (cursor->at == amap) {
    if (amap->refs == 0) {  // it is being taken apart
      amaps_->AdvanceCursor(cursor);
      break;
    }
    // Before anything that lets others run: the amap has a reference as long as it has refs.
    LayerLock* const lock = amap->lock;
    anons_->PinLock(lock);
    lock->mutex.Lock();
    Anon* anon = cursor->at == amap ? FindAnon(device, amap, &from) : nullptr;
    if (anon == nullptr) {
      if (cursor->at == amap && clean) amaps_->AdvanceCursor(cursor);
      lock->mutex.Unlock();
      anons_->ReleaseLock(lock);
      from = 0;
      clean = true;
      continue;
    }
    found = Found::kSomething;
    clean = false;
    const Result<void, FaultError> got = getter_.Get(anon);
    anons_->ReleaseLock(lock);
    if (getter_.away()) return SwapError::kAway;
    if (got.ok() || got.error() != FaultError::kNoMemory || wait.Again()) continue;
    return SwapError::kNoMemory;
  }
  return found;
}

}  // namespace uvm
