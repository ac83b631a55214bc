#include "uvm/swap.h"

#include "base/check.h"
#include "base/lock_rank.h"
#include "uvm/bits.h"

namespace uvm {

SwapStore::SwapStore(Core* core)
    : core_(core),
      mu_(core->threads, base::LockRank::kSwap),
      area_pool_(core->memory),
      tables_(core->memory) {}

// ---- Devices ----

SwapStore::Area* SwapStore::FindDevice(const SwapDevice* device) const {
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    if (area->device == device) return area;
  }
  return nullptr;
}

SwapStore::Area* SwapStore::FindSlot(SwapSlot slot) const {
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    if (area->first <= slot && slot - area->first < area->pages) return area;
  }
  return nullptr;
}

bool SwapStore::MakeTables(Area* area) {
  const uint64_t words = WordsFor(area->pages);
  const uint64_t slot_bytes = SwapSlots::Bytes(area->pages);
  area->table_bytes = slot_bytes + 3 * words * sizeof(uint64_t) + area->pages * sizeof(uint32_t);
  area->tables = tables_.Allocate(static_cast<size_t>(area->table_bytes));
  if (area->tables == nullptr) return false;
  area->slots.Init(area->tables, area->pages);
  auto* next = reinterpret_cast<uint64_t*>(static_cast<unsigned char*>(area->tables) + slot_bytes);
  area->bad = next;
  area->encrypted = next + words;
  area->visited = next + 2 * words;
  area->sums = reinterpret_cast<uint32_t*>(next + 3 * words);
  return true;
}

// The lowest `pages` numbers that are no device's; kNoSlot when none are left.
SwapSlot SwapStore::FindNumbers(uint32_t pages) const {
  uint64_t at = 1;
  for (bool moved = true; moved;) {
    moved = false;
    for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
      if (at >= uint64_t{area->first} + area->pages || area->first >= at + pages) continue;
      at = uint64_t{area->first} + area->pages;
      moved = true;
    }
  }
  return at + pages <= kBadSlot ? static_cast<SwapSlot>(at) : kNoSlot;
}

// Behind its equals.
void SwapStore::InsertByPriority(Area* area) {
  Area* before = areas_.back();
  while (before != nullptr && before->priority > area->priority) before = areas_.Prev(before);
  if (before == nullptr) {
    areas_.PushFront(area);
  } else {
    areas_.InsertAfter(before, area);
  }
}

Result<void, SwapError> SwapStore::On(SwapDevice* device, int32_t priority) {
  const uint64_t size = device->size().value();
  const uint32_t label = device->HasLabel() ? 1 : 0;
  MutexLock lock(&mu_);
  if (FindDevice(device) != nullptr) return SwapError::kBusy;
  if (size == 0) return SwapError::kNotConfigured;
  if (size < 2) return SwapError::kInvalidArgument;
  if (size >= kBadSlot) return SwapError::kNoMemory;
  const auto pages = static_cast<uint32_t>(size - label);
  const SwapSlot first = FindNumbers(pages);
  if (first == kNoSlot) return SwapError::kNoMemory;
  Area* area = area_pool_.New();
  if (area == nullptr) return SwapError::kNoMemory;
  area->device = device;
  area->priority = priority;
  area->first = first;
  area->pages = pages;
  area->label = label;
  if (!MakeTables(area)) {
    area_pool_.Delete(area);
    return SwapError::kNoMemory;
  }
  area->id = next_id_++;
  InsertByPriority(area);
  pages_ += pages;
  available_ += pages;
  return {};
}

Result<void, SwapError> SwapStore::SetPriority(SwapDevice* device, int32_t priority) {
  MutexLock lock(&mu_);
  Area* area = FindDevice(device);
  if (area == nullptr) return SwapError::kNotFound;
  areas_.Remove(area);
  area->priority = priority;
  InsertByPriority(area);
  return {};
}

Result<void, SwapError> SwapStore::BeginOff(SwapDevice* device) {
  MutexLock lock(&mu_);
  Area* area = FindDevice(device);
  if (area == nullptr) return SwapError::kNotConfigured;
  if (area->going_off) return SwapError::kBusy;
  area->going_off = true;
  available_ -= area->pages;
  bad_ -= area->bad_count;
  return {};
}

bool SwapStore::EndOff(SwapDevice* device) {
  MutexLock lock(&mu_);
  Area* area = FindDevice(device);
  CHECK(area != nullptr && area->going_off);
  while (area->polls > 0) {
    mu_.Unlock();
    core_->threads->Yield();
    mu_.Lock();
  }
  if (area->in_use() > area->bad_count || area->under_way > 0) {
    area->going_off = false;
    available_ += area->pages;
    bad_ += area->bad_count;
    return false;
  }
  pages_ -= area->pages;
  in_use_ -= area->bad_count;
  areas_.Remove(area);
  if (area->key != 0) cipher_->ForgetKey(area->key);
  tables_.Free(area->tables, static_cast<size_t>(area->table_bytes));
  area_pool_.Delete(area);
  return true;
}

bool SwapStore::HoldsNothing(const SwapDevice* device) const {
  MutexLock lock(&mu_);
  const Area* area = FindDevice(device);
  return area == nullptr || area->in_use() == area->bad_count;
}

bool SwapStore::IsOn(const SwapDevice* device, SwapSlot slot) const {
  if (slot == kNoSlot || slot == kBadSlot) return false;
  MutexLock lock(&mu_);
  const Area* area = FindSlot(slot);
  return area != nullptr && area->device == device;
}

uint32_t SwapStore::Stats(SwapStats* out, uint32_t max) const {
  MutexLock lock(&mu_);
  return DebugStats(out, max);
}

uint32_t SwapStore::DebugStats(SwapStats* out, uint32_t max) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  uint32_t count = 0;
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area), ++count) {
    if (count >= max) continue;
    out[count] = {area->device,
                  area->priority,
                  PageCount(area->pages),
                  PageCount(area->in_use()),
                  PageCount(area->bad_count),
                  area->going_off};
  }
  return count;
}

PageCount SwapStore::DebugBad() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  uint64_t bad = 0;
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    bad += area->bad_count;
  }
  return PageCount(bad);
}

// ---- Slots ----

bool SwapStore::IsAsked(const Area& area) const {
  return area.refusals == 0 || area.ask_again_us <= core_->threads->Now();
}

void SwapStore::AskAgain() {
  if (counters_.refusals == 0) return;
  MutexLock lock(&mu_);
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    area->ask_again_us = 0;
  }
}

SwapSlot SwapStore::AllocateLocked(uint32_t count) {
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    if (area->going_off || area->slots.free() < count) continue;
    if (!IsAsked(*area)) continue;
    const uint64_t at = area->slots.FindRun(count);
    if (at == SwapSlots::kNone) continue;
    area->slots.Take(at, count);
    in_use_ += count;
    // The next one goes to another device of this priority.
    const Area* next = areas_.Next(area);
    if (next != nullptr && next->priority == area->priority) {
      areas_.Remove(area);
      InsertByPriority(area);
    }
    return area->first + static_cast<SwapSlot>(at);
  }
  return kNoSlot;
}

SwapSlot SwapStore::Allocate(uint32_t* count, LessOk less) {
  CHECK(*count >= 1 && *count <= kSwapClusterPages);
  MutexLock lock(&mu_);
  SwapSlot first = AllocateLocked(*count);
  if (first == kNoSlot && less == LessOk::kYes && *count > 1) {
    *count = 1;
    first = AllocateLocked(1);
  }
  return first;
}

// The device that all of these slots are of.
SwapStore::Area* SwapStore::FindRun(SwapSlot first, uint32_t count) const {
  Area* area = FindSlot(first);
  CHECK(area != nullptr && count <= area->pages - (first - area->first));
  return area;
}

void SwapStore::Free(SwapSlot first, uint32_t count) {
  if (first == kNoSlot || first == kBadSlot) return;
  MutexLock lock(&mu_);
  Area* area = FindRun(first, count);
  const uint32_t at = first - area->first;
  for (uint32_t i = at; i < at + count; ++i) {
    CHECK(!Bit(area->bad, i));
    ClearBit(area->encrypted, i);
    area->sums[i] = kNothing;
  }
  area->slots.Give(at, count);
  if (core_->canary.Armed(base::Canary::kSlotFreedTwice)) area->slots.Give(at, count);
  in_use_ -= count;
}

void SwapStore::MarkBad(SwapSlot first, uint32_t count) {
  MutexLock lock(&mu_);
  Area* area = FindRun(first, count);
  const uint32_t at = first - area->first;
  for (uint32_t i = at; i < at + count; ++i) {
    CHECK(!area->slots.IsFree(i) && !Bit(area->bad, i));
    SetBit(area->bad, i);
    area->sums[i] = kNothing;
  }
  area->bad_count += count;
  if (!area->going_off) bad_ += count;
}

void SwapStore::AddOnlyOnSwap(int64_t pages) {
  MutexLock lock(&mu_);
  only_ += pages;
  DCHECK(only_ >= 0);
}

// ---- Accounts ----

PageCount SwapStore::pages() const { return PageCount(pages_); }
PageCount SwapStore::available() const { return PageCount(available_); }
PageCount SwapStore::in_use() const { return PageCount(in_use_); }
PageCount SwapStore::only_on_swap() const {
  return PageCount(only_ > 0 ? static_cast<uint64_t>(only_) : 0);
}

PageCount SwapStore::ready() const {
  MutexLock lock(&mu_);
  uint64_t free = 0;
  for (Area* area = areas_.front(); area != nullptr; area = areas_.Next(area)) {
    if (!area->going_off && IsAsked(*area)) free += area->slots.free();
  }
  return PageCount(free);
}

// Bad slots hold nothing, but nothing will be had back by waiting for them either (facts/uvm.md
// 5.B', N4).
bool SwapStore::IsFull() const {
  if (available_ == 0) return true;
  return (only_on_swap().value() + bad_) * 100 >= available_ * 99;
}

}  // namespace uvm
