// The daemon's turns, thresholds, and whoever waits for frames. What a scan does is in
// pdaemon_scan.cc, the end of a write in pdaemon_done.cc.

#include "uvm/pdaemon.h"

#include <utility>

#include "base/check.h"
#include "uvm/pager.h"

namespace uvm {
namespace {

constexpr uint64_t kFreeMinLow = 128 * 1024 / base::kPageSize;
constexpr uint64_t kFreeMinHigh = 1024 * 1024 / base::kPageSize;
// File pages that make waiting worth it although swap is full: 5 MiB, or less on small machines.
constexpr uint64_t kEnoughFilePages = 5 * 1024 * 1024 / base::kPageSize;

}  // namespace

PageDaemon::PageDaemon(Core* core, PageStore* pages, SwapStore* swap, AnonStore* anons,
                       AnonymousPager* anonymous)
    : core_(core),
      pages_(pages),
      swap_(swap),
      anons_(anons),
      anonymous_(anonymous),
      page_objects_(core) {
  for (Cluster& cluster : clusters_) {
    cluster.daemon = this;
    idle_.PushBack(&cluster);
  }
}

// ---- Thresholds ----

PageDaemon::Thresholds PageDaemon::ThresholdsFor(PageCount frames, uint32_t processors,
                                                 PageCount reserve) {
  Thresholds t;
  t.free_min = frames.value() / 200;
  if (t.free_min < kFreeMinLow) t.free_min = kFreeMinLow;
  if (t.free_min > kFreeMinHigh) t.free_min = kFreeMinHigh;
  t.free_min *= processors;
  // A machine of a few hundred frames would otherwise keep most of them free.
  if (t.free_min > frames.value() / 16) t.free_min = frames.value() / 16;
  if (t.free_min < reserve.value() + 1) t.free_min = reserve.value() + 1;
  t.free_target = t.free_min * 4 / 3;
  if (t.free_target < t.free_min + 1) t.free_target = t.free_min + 1;
  t.scan_target = 4 * t.free_target;
  if (t.scan_target <= kMaxGetPages) t.scan_target = kMaxGetPages + 1;
  if (t.scan_target > frames.value() / 2) t.scan_target = frames.value() / 2;
  if (t.scan_target < t.free_target) t.scan_target = t.free_target;
  return t;
}

PageDaemon::Thresholds PageDaemon::thresholds() const {
  Thresholds t = ThresholdsFor(pages_->total(), 1, reserve_);
  t.free_target += extra_target_ + many_;
  if (t.scan_target < t.free_target) t.scan_target = t.free_target;
  return t;
}

void PageDaemon::SetReserves(const FrameReserves& reserves) {
  pages_->SetReserves(reserves);
  reserve_ = reserves.pagedaemon + reserves.kernel;
}

bool PageDaemon::NeedsFrames() const {
  return pages_->free_count().value() + paging_ < thresholds().free_target;
}

// How many frames a scan wants to be free or on their way. Who waits may need as many at once as a
// pager gets. Where most frames are wired or lent a scan for nobody in particular leaves half of
// the others alone, among them what came in last.
uint64_t PageDaemon::ScanTarget() const {
  const Thresholds t = thresholds();
  if (demanded_) return t.scan_target;
  const uint64_t fixed = (pages_->wired_count() + pages_->lent_count()).value();
  const uint64_t frames = pages_->total().value();
  const uint64_t half = fixed < frames ? (frames - fixed) / 2 : 0;
  const uint64_t target = t.scan_target < half ? t.scan_target : half;
  return target < t.free_target ? t.free_target : target;
}

// Whether anybody's allocation would succeed.
bool PageDaemon::HasFrames() const { return pages_->free_count() > reserve_; }

bool PageDaemon::Reclaimable() {
  if (swap_->pages().value() == 0 && !has_thread_) return false;
  if (!swap_->IsFull()) return true;
  PageCount active, inactive;
  pages_->EstimatePageable(&active, &inactive);
  const uint64_t sixteenth = (active.value() + inactive.value()) / 16;
  uint64_t enough = sixteenth < kEnoughFilePages ? sixteenth : kEnoughFilePages;
  // None at all is never enough, however few pages there are.
  if (enough == 0) enough = 1;
  const uint64_t wired = pages_->wired_count().value();
  const uint64_t file = pages_->file_count().value();
  return file >= wired && file - wired >= enough;
}

// ---- Sleeping and waking ----

void PageDaemon::Kick() {
  guard_.Acquire(core_->threads);
  Thread* sleeper = sleeper_;
  if (sleeper == nullptr) kicked_ = true;  // else it wakes now: one kick is one round
  sleeper_ = nullptr;
  guard_.Release();
  if (sleeper != nullptr) core_->threads->Unpark(sleeper);
}

// Returns at the latest at `deadline_us`; at once when there was a kick, which it takes.
void PageDaemon::SleepUntil(uint64_t deadline_us) {
  ThreadSystem* threads = core_->threads;
  Thread* self = threads->Self();
  guard_.Acquire(threads);
  const bool kicked = kicked_;
  kicked_ = false;
  if (!kicked) sleeper_ = self;
  guard_.Release();
  if (kicked) return;
  if (deadline_us == SwapDevice::kNever) {
    threads->Park();
    return;
  }
  if (threads->ParkUntil(deadline_us)) return;
  guard_.Acquire(threads);
  const bool woken = sleeper_ != self;
  if (!woken) sleeper_ = nullptr;
  guard_.Release();
  if (woken) threads->Park();  // takes the Unpark that came too late
}

void PageDaemon::WakeWaiters() {
  WaitQueue woken;
  guard_.Acquire(core_->threads);
  if (!core_->canary.Armed(base::Canary::kWaiterNotWoken)) {
    for (Thread* t = waiters_.PopFront(); t != nullptr; t = waiters_.PopFront()) woken.PushBack(t);
  }
  guard_.Release();
  for (Thread* t = woken.PopFront(); t != nullptr; t = woken.PopFront()) core_->threads->Unpark(t);
}

// ---- Rounds ----

// LOCKS: none; by the daemon's thread, or whoever stands in for it.
void PageDaemon::Round() {
  const uint64_t freed_before = counters_.freed_clean + counters_.freed_written +
                                core_->counters.pager_freed + counters_.dropped_slots;
  skipped_ = 0;
  ++counters_.rounds;
  guard_.Acquire(core_->threads);
  const bool demand = std::exchange(demand_, false) || !HasFrames();
  guard_.Release();
  demanded_ = demand;
  if (demand) swap_->AskAgain();
  if (tuned_for_ != pages_->total()) {
    tuned_for_ = pages_->total();
    pages_->Tune();
  }
  swap_->Poll(core_->threads->Now());
  // Where nothing can be reclaimed only somebody's need is worth a look.
  const bool useful = paging_ != 0 || Reclaimable();
  if (demand || (useful && (NeedsFrames() || pages_->NeedsScan()))) Scan();
  const uint64_t freed = counters_.freed_clean + counters_.freed_written +
                         core_->counters.pager_freed + counters_.dropped_slots - freed_before;
  guard_.Acquire(core_->threads);
  ++rounds_;
  const bool vain = demand && freed == 0 && paging_ == 0;
  retry_soon_ = vain && skipped_ != 0;
  if (!vain) vain_rounds_ = 0;
  if (vain && skipped_ == 0) ++vain_rounds_;
  guard_.Release();
}

void PageDaemon::Scan() {
  ++counters_.scans;
  const uint64_t freed_before = counters_.freed_clean + core_->counters.pager_freed;
  pages_->BeginScan();
  ScanQueue();
  const uint64_t freed = counters_.freed_clean + core_->counters.pager_freed - freed_before;
  // Every slot is taken, but some by pages that are in memory as well.
  const uint64_t free = pages_->free_count().value();
  const uint64_t target = thresholds().free_target;
  uint64_t shortage = 0;
  if (free < target && swap_->pages().value() != 0 && swap_->in_use() >= swap_->available() &&
      !swap_->IsFull() && freed == 0)
    shortage = target - free;
  pages_->Balance(PageCount(shortage));
  pages_->EndScan();
}

// Until what is being written is written.
void PageDaemon::Drain() {
  if (paging_ == 0) return;
  guard_.Acquire(core_->threads);
  draining_ = true;
  guard_.Release();
  while (paging_ != 0) {
    const uint64_t due = swap_->NextDue();
    if (due > core_->threads->Now()) SleepUntil(due);
    swap_->Poll(core_->threads->Now());
  }
  guard_.Acquire(core_->threads);
  draining_ = false;
  guard_.Release();
}

PageCount PageDaemon::RunOnce() {
  const uint64_t before =
      counters_.freed_clean + counters_.freed_written + core_->counters.pager_freed;
  Round();
  Drain();
  return PageCount(counters_.freed_clean + counters_.freed_written + core_->counters.pager_freed -
                   before);
}

void PageDaemon::Serve() {
  ThreadSystem* threads = core_->threads;
  guard_.Acquire(threads);
  has_thread_ = true;
  at_work_ = threads->Self();
  const bool retry_soon = retry_soon_;
  guard_.Release();
  if (reserve_ == PageCount(0) && pages_->total() >= kLargeEnoughForReserves)
    SetReserves({PageCount(1), PageCount(5)});
  pages_->SetKickBelow(PageCount(thresholds().free_min));
  uint64_t deadline = swap_->NextDue();
  const uint64_t now = threads->Now();
  if (retry_soon && now + kRetryUs < deadline) deadline = now + kRetryUs;
  if (deadline > now) SleepUntil(deadline);
  Round();
  // Whoever waits would ask again at once, and never let the pages' holder run: the retry is first.
  if (HasFrames() || (paging_ == 0 && !retry_soon_)) WakeWaiters();
}

void PageDaemon::StopServing() {
  guard_.Acquire(core_->threads);
  CHECK(at_work_ == core_->threads->Self());
  has_thread_ = false;
  at_work_ = nullptr;
  guard_.Release();
  pages_->SetKickBelow(PageCount(0));
  WakeWaiters();
}

// ---- Waiting ----

void PageDaemon::Demand() {
  guard_.Acquire(core_->threads);
  demand_ = true;
  guard_.Release();
}

// Rounds by whoever waits, there being nobody else. True when there are frames.
bool PageDaemon::WaitAsDaemon() {
  constexpr uint32_t kMostRetries = 64;
  uint32_t retries = 0;
  for (uint32_t vain = 0; vain < kVainRounds;) {
    Demand();
    RunOnce();
    if (HasFrames()) return true;
    if (vain_rounds_ == 0 && !retry_soon_) {
      if (!Reclaimable()) return false;
      vain = 0;
    } else if (!retry_soon_ || ++retries == kMostRetries) {
      ++vain;
    } else {
      core_->threads->ParkUntil(core_->threads->Now() + kRetryUs);
    }
  }
  return false;
}

// True when there are frames; false when so many rounds in a row came to nothing. LOCKS: guard_,
// which is released.
bool PageDaemon::WaitForDaemon(Thread* self) {
  const uint64_t begin = rounds_;
  while (at_work_ != nullptr) {
    waiters_.PushBack(self);
    demand_ = true;
    guard_.Release();
    Kick();
    core_->threads->Park();
    if (HasFrames()) return true;
    guard_.Acquire(core_->threads);
    const bool vain = vain_rounds_ >= kVainRounds && rounds_ - begin >= kVainRounds;
    if (vain || (paging_ == 0 && !Reclaimable())) {
      guard_.Release();
      return false;
    }
  }
  guard_.Release();
  return true;  // it stopped, or whoever stood in for it: to be asked again
}

void PageDaemon::NoteRefusal() {
  ++counters_.out_of_memory;
  PageCount active, inactive;
  pages_->EstimatePageable(&active, &inactive);
  counters_.refused_pageable = active.value() + inactive.value();
  counters_.refused_slots = swap_->ready().value();
}

bool PageDaemon::WaitForFrames() {
  Thread* self = core_->threads->Self();
  if (pages_->free_count().value() >= thresholds().scan_target) return true;
  if (paging_ == 0 && !Reclaimable()) {
    NoteRefusal();
    return false;
  }
  ++counters_.waits;
  guard_.Acquire(core_->threads);
  if (at_work_ == self) {  // its own pager asks: nobody else could help
    guard_.Release();
    return false;
  }
  bool found;
  if (at_work_ == nullptr) {
    at_work_ = self;
    guard_.Release();
    found = WaitAsDaemon();
    guard_.Acquire(core_->threads);
    at_work_ = nullptr;
    guard_.Release();
    WakeWaiters();
  } else {
    found = WaitForDaemon(self);
  }
  if (!found) NoteRefusal();
  return found;
}

// As long as that helps, the daemon aims at more.
bool PageDaemon::WaitForMany(PageCount frames) {
  const auto enough = [&] { return pages_->free_count() >= reserve_ + frames; };
  guard_.Acquire(core_->threads);
  many_ += frames.value();
  guard_.Release();
  for (uint32_t vain = 0; !enough() && vain < kVainRounds;) {
    const PageCount before = pages_->free_count();
    if (!WaitForFrames()) break;
    if (pages_->free_count() > before) {
      vain = 0;
    } else if (paging_ != 0) {
      core_->threads->ParkUntil(core_->threads->Now() + kRetryUs);
    } else {
      ++vain;
    }
  }
  guard_.Acquire(core_->threads);
  many_ -= frames.value();
  guard_.Release();
  return enough();
}

}  // namespace uvm
