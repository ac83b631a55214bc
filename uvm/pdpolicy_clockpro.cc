#include "uvm/pdpolicy_clockpro.h"

#include "base/check.h"

namespace uvm {

ClockProPolicy::ClockProPolicy(base::PageSource* memory, PageCount total) {
  CHECK(history_.Allocate(memory, total));
}

Result<void, MapError> ClockProPolicy::SetTunables(const ClockProTunables& tunables) {
  if (tunables.cold == 0 || tunables.cold > 100) return MapError::kInvalidArgument;
  tunables_ = tunables;
  adapted_ = 0;
  return {};
}

uint64_t ClockProPolicy::Target() const {
  if (futile_) return managed_;
  const int64_t target = static_cast<int64_t>(managed_ * tunables_.cold / 100) + adapted_;
  return target < 1 ? 1 : static_cast<uint64_t>(target);
}

uint64_t ClockProPolicy::NewTarget() const {
  const uint64_t target = Target();
  const uint64_t least = target / 2 < kNewAtLeast ? target / 2 : kNewAtLeast;
  return target / 4 > least ? target / 4 : least;
}

void ClockProPolicy::Adapt(int64_t pages) {
  if (tunables_.target == ColdTarget::kFixed) return;
  // Neither sort of page may crowd out the other: from a hundredth to nine tenths are cold.
  const int64_t base = static_cast<int64_t>(managed_ * tunables_.cold / 100);
  const int64_t least = static_cast<int64_t>(managed_ / 100);
  const int64_t most = static_cast<int64_t>(managed_ * 9 / 10);
  int64_t target = base + adapted_ + pages;
  target = target < least ? least : target;
  target = target > most ? most : target;
  adapted_ = target - base;
}

// ---- The queues ----

void ClockProPolicy::Insert(Page* page, Place place, uint8_t flags) {
  queues_[place].PushBack(page);
  page->policy = static_cast<uint8_t>(place | flags);
  page->queue = place == kHot ? PageQueue::kActive : PageQueue::kInactive;
}

void ClockProPolicy::Remove(Page* page) { queues_[PlaceOf(page)].Remove(page); }

void ClockProPolicy::Move(Page* page, Place place, uint8_t flags) {
  Remove(page);
  Insert(page, place, flags);
}

void ClockProPolicy::Enqueue(Page* page) {
  if (page->queue != PageQueue::kNone) return;
  ++managed_;
  if (door_ != nullptr && history_.Take(door_->NameOf(page))) {
    ++history_hits_;
    Adapt(1);
    return Insert(page, kHot, 0);
  }
  if (page->read_ahead) return Insert(page, kCold, kSpeculative);
  Insert(page, kNew, kTest);
}

void ClockProPolicy::Activate(Page* page) {
  if (page->queue == PageQueue::kNone) return Enqueue(page);
  if (PlaceOf(page) == kCold || PlaceOf(page) == kList) page->policy |= kUsed;
}

void ClockProPolicy::Deactivate(Page* page) {
  if (page->queue != PageQueue::kNone) {
    Remove(page);
  } else {
    ++managed_;
    // It is back, which says nothing this time; its name may not stay behind.
    if (door_ != nullptr) Forget(door_->NameOf(page));
  }
  Insert(page, kList, 0);
}

void ClockProPolicy::Dequeue(Page* page) {
  if (page->queue == PageQueue::kNone) return;
  constexpr uint8_t kRemembered = kTest | kOffered;
  if ((page->policy & kRemembered) == kRemembered)
    Adapt(-int64_t{history_.Add(door_->NameOf(page))});
  Remove(page);
  page->queue = PageQueue::kNone;
  --managed_;
  ++gone_;
}

// ---- The hands ----

// Whether the page was used since this was last asked. LOCKS: the owner's.
bool ClockProPolicy::TakeUse(Page* page) {
  const bool told = (page->policy & kUsed) != 0;
  page->policy &= static_cast<uint8_t>(~kUsed);
  return door_->ClearReference(page) || told;
}

// The first uses of a page come in a bunch and say nothing; only later ones count.
void ClockProPolicy::AgeNew() {
  Page* page = queues_[kNew].front();
  if (door_->TryLockOwner(page)) {
    (void)door_->ClearReference(page);
    door_->UnlockOwner(page);
  } else {
    ++counters_.owners_locked;
  }
  Move(page, kCold, page->policy & kTest);
}

void ClockProPolicy::RunHandHot() {
  // Twice round: the first may find all pages used.
  for (uint64_t left = queues_[kHot].size() * 2; left > 0 && cold_pages() < Target(); --left) {
    Page* page = queues_[kHot].front();
    if (page == nullptr) return;
    Adapt(-int64_t{history_.Age(1, queues_[kHot].size())});
    if (!door_->TryLockOwner(page)) {
      ++counters_.owners_locked;
      Move(page, kHot, 0);
      continue;
    }
    const bool used = TakeUse(page);
    Move(page, used ? kHot : kList, 0);
    counters_.deactivated += used ? 0 : 1;
    door_->UnlockOwner(page);
  }
}

void ClockProPolicy::BeginScan() {
  left_ = managed_ * 2;
  stuck_ = gone_ = 0;
  if (door_ == nullptr) return;
  RunHandHot();
  while (queues_[kNew].size() > NewTarget()) AgeNew();
}

void ClockProPolicy::EndScan() {
  left_ = 0;
  futile_ = gone_ == 0 && stuck_ > 0;
}

Page* ClockProPolicy::NextOfHandCold() {
  if (!queues_[kList].empty()) return queues_[kList].front();
  // In the second half of its steps a scan does without the rest that new pages have.
  const bool hurried = left_ <= managed_;
  if ((queues_[kCold].empty() || hurried) && !queues_[kNew].empty()) AgeNew();
  return queues_[kCold].front();
}

bool ClockProPolicy::Offered(Page* page) {
  if (PageIntents::Of(*page) != Intent::kNone) {
    PageIntents::Fulfil(page, this);
    return false;
  }
  const uint8_t flags = page->policy & (kTest | kSpeculative);
  if (!TakeUse(page)) {
    // At the end, in case the caller leaves it.
    Move(page, kCold, flags | kOffered);
    ++counters_.victims;
    ++stuck_;
    return true;
  }
  ++counters_.reactivated;
  if ((flags & kTest) == 0) {
    Move(page, kCold, kTest);
    return false;
  }
  Move(page, kHot, 0);
  Adapt(1);
  return false;
}

Page* ClockProPolicy::SelectVictim() {
  if (door_ == nullptr) return nullptr;
  while (left_ > 0) {
    Page* page = NextOfHandCold();
    if (page == nullptr) return nullptr;
    --left_;
    ++counters_.scanned;
    if (!door_->TryLockOwner(page)) {
      ++counters_.owners_locked;
      ++stuck_;
      Move(page, kCold, page->policy & (kTest | kSpeculative | kUsed));
      continue;
    }
    if (Offered(page)) return page;
    door_->UnlockOwner(page);
    RunHandHot();
  }
  return nullptr;
}

void ClockProPolicy::Balance(PageCount swap_shortage) {
  if (door_ == nullptr) return;
  // Hot pages first: a slot spares a cold page its next write.
  uint64_t shortage = swap_shortage.value();
  for (const Place place : {kHot, kNew, kCold, kList}) {
    const Queue& queue = queues_[place];
    for (Page* page = queue.front(); page != nullptr && shortage > 0; page = queue.Next(page))
      shortage = DropSlotOf(page, shortage);
  }
  RunHandHot();
}

// ---- For checkers ----

char ClockProPolicy::DebugStateOf(const Page* page) const {
  if (page->queue == PageQueue::kNone) return '-';
  return ((page->policy & kTest) != 0 ? "NCHL" : "nchl")[PlaceOf(page)];
}

bool ClockProPolicy::Valid(base::TextSink* text) const {
  uint64_t managed = 0;
  for (uint32_t place = 0; place < kPlaces; ++place) {
    const Queue& queue = queues_[place];
    const PageQueue mark = place == kHot ? PageQueue::kActive : PageQueue::kInactive;
    uint64_t pages = 0;
    for (const Page* page = queue.front(); page != nullptr; page = queue.Next(page), ++pages) {
      if (page->queue == mark && PlaceOf(page) == place && !page->free && page->wire_count == 0)
        continue;
      *text << "frame " << page->pa << " does not belong in the queue it is in";
      return false;
    }
    if (pages != queue.size()) {
      *text << "a queue of " << pages << " pages says " << uint64_t{queue.size()};
      return false;
    }
    managed += pages;
  }
  if (managed == managed_) return true;
  *text << managed << " pages in queues, " << managed_ << " counted";
  return false;
}

}  // namespace uvm
