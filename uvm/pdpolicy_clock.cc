#include "uvm/pdpolicy_clock.h"

#include "base/check.h"

namespace uvm {

Result<void, MapError> ClockPolicy::SetTunables(const ClockTunables& tunables) {
  uint32_t minima = 0;
  for (uint32_t sort = 0; sort < kPageSorts; ++sort) {
    if (tunables.max[sort] > 100) return MapError::kInvalidArgument;
    minima += tunables.min[sort];
  }
  if (minima > 95 || tunables.inactive > 100) return MapError::kInvalidArgument;
  tunables_ = tunables;
  return {};
}

uint64_t ClockPolicy::InactiveTarget() const {
  if (futile_) return managed();
  const uint64_t target = managed() * tunables_.inactive / 100;
  // Of however few pages, one is to be had.
  return target == 0 && managed() > 0 ? 1 : target;
}

// ---- The queues ----

void ClockPolicy::Insert(Page* page, PageQueue queue) {
  (queue == PageQueue::kActive ? active_ : inactive_).PushBack(page);
  page->queue = queue;
}

void ClockPolicy::Remove(Page* page) {
  if (page == next_) next_ = inactive_.Next(page);
  (page->queue == PageQueue::kActive ? active_ : inactive_).Remove(page);
}

void ClockPolicy::Activate(Page* page) {
  if (page->queue == PageQueue::kNone) return Enqueue(page);
  Remove(page);
  Insert(page, PageQueue::kActive);
}

void ClockPolicy::Deactivate(Page* page) {
  if (page->queue == PageQueue::kNone) Enqueue(page);
  Remove(page);
  Insert(page, PageQueue::kInactive);
}

void ClockPolicy::Enqueue(Page* page) {
  if (page->queue != PageQueue::kNone) return;
  const PageSort sort = door_ == nullptr ? PageSort::kAnonymous : door_->SortOf(page);
  page->policy = static_cast<uint8_t>(sort);
  ++by_sort_[page->policy];
  Insert(page, PageQueue::kActive);
}

void ClockPolicy::Dequeue(Page* page) {
  if (page->queue == PageQueue::kNone) return;
  Remove(page);
  page->queue = PageQueue::kNone;
  --by_sort_[page->policy];
  ++gone_;
}

// ---- A scan ----

void ClockPolicy::BeginScan() {
  next_ = inactive_.front();
  left_ = inactive_.size();
  kept_ = stuck_ = gone_ = 0;
  bool under[kPageSorts], over[kPageSorts];
  bool any_over = false;
  for (uint32_t sort = 0; sort < kPageSorts; ++sort) {
    under[sort] = by_sort_[sort] * 100 <= managed() * tunables_.min[sort];
    over[sort] = by_sort_[sort] * 100 > managed() * tunables_.max[sort];
    any_over |= over[sort];
  }
  // Who is over the maximum is not spared for anybody else's sake, so "others are over" is "any".
  for (uint32_t sort = 0; sort < kPageSorts; ++sort)
    spared_[sort] = !spare_none_ && (under[sort] || (!over[sort] && any_over));
}

void ClockPolicy::EndScan() {
  next_ = nullptr;
  left_ = 0;
  // PR 40027: a daemon that looped for ever.
  spare_none_ = gone_ == 0 && kept_ > 0;
  futile_ = gone_ == 0 && stuck_ > 0;
}

bool ClockPolicy::Offered(Page* page) {
  if (PageIntents::Of(*page) != Intent::kNone) {
    PageIntents::Fulfil(page, this);
    return false;
  }
  if (door_->ClearReference(page)) {
    ++counters_.reactivated;
  } else if (spared_[page->policy]) {
    ++counters_.spared_sort[page->policy];
    ++kept_;
  } else {
    ++counters_.victims;
    ++stuck_;
    return true;
  }
  Activate(page);
  return false;
}

Page* ClockPolicy::SelectVictim() {
  if (door_ == nullptr) return nullptr;
  while (next_ != nullptr && left_ > 0) {
    Page* page = next_;
    next_ = inactive_.Next(page);
    --left_;
    ++counters_.scanned;
    if (!door_->TryLockOwner(page)) {
      ++counters_.owners_locked;
      ++stuck_;
      continue;
    }
    if (Offered(page)) return page;
    door_->UnlockOwner(page);
  }
  return nullptr;
}

// ---- Balance ----

void ClockPolicy::DropSlots(uint64_t shortage) {
  // Active pages first: a slot spares an inactive page its next write.
  for (const Queue* queue : {&active_, &inactive_}) {
    for (Page* page = queue->front(); page != nullptr && shortage > 0; page = queue->Next(page))
      shortage = DropSlotOf(page, shortage);
  }
}

void ClockPolicy::Balance(PageCount swap_shortage) {
  if (door_ == nullptr) return;
  DropSlots(swap_shortage.value());
  const uint64_t target = InactiveTarget();
  Page* page = active_.front();
  while (page != nullptr && inactive_.size() < target) {
    Page* next = active_.Next(page);
    if (door_->TryLockOwner(page)) {
      (void)door_->ClearReference(page);
      Deactivate(page);
      ++counters_.deactivated;
      door_->UnlockOwner(page);
    } else {
      ++counters_.owners_locked;
    }
    page = next;
  }
}

bool ClockPolicy::Valid(base::TextSink* text) const {
  uint64_t sorts[kPageSorts] = {};
  for (const Queue* queue : {&active_, &inactive_}) {
    const PageQueue mark = queue == &active_ ? PageQueue::kActive : PageQueue::kInactive;
    uint64_t pages = 0;
    for (const Page* page = queue->front(); page != nullptr; page = queue->Next(page), ++pages) {
      if (page->queue != mark || page->policy >= kPageSorts || page->free || page->wire_count > 0) {
        *text << "frame " << page->pa << " does not belong in the queue it is in";
        return false;
      }
      ++sorts[page->policy];
    }
    if (pages != queue->size()) {
      *text << "a queue of " << pages << " pages says " << uint64_t{queue->size()};
      return false;
    }
  }
  for (uint32_t sort = 0; sort < kPageSorts; ++sort) {
    if (sorts[sort] == by_sort_[sort]) continue;
    *text << "sort " << sort << ": " << sorts[sort] << " pages, " << by_sort_[sort] << " counted";
    return false;
  }
  return true;
}

}  // namespace uvm
