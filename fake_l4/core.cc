#include "fake_l4/core.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace fake_l4 {

namespace {

thread_local Thread* g_current = nullptr;

constexpr uint64_t kBootEntryBase =
    0x10000000;  // IPs of Boot threads: nothing else is expected there

FaultInjection::Scene SceneNow(const void* whose) {
  const Core& core = *static_cast<const Core*>(whose);
  return {core.now_ns_, core.running_ == nullptr ? 0 : core.running_->id};
}

}  // namespace

[[gnu::noinline]] Thread* CurrentThreadOrNull() { return g_current; }
[[gnu::noinline]] void SetCurrentThread(Thread* t) { g_current = t; }

// Called more often than anything else.
extern "C" [[gnu::noinline]] L4_Utcb_t* __l4_utcb(void) {
  Thread* t = g_current;
  CHECK(t != nullptr);  // an L4 call from the host's own stack
  return &t->utcb;
}

// ---- Boot ----

Core::Core(const BootOptions& options)
    : options_(options),
      profile_(options_.profile),
      ram_memory_(frames() << kPageShift),
      ram_(ram_memory_.start()),
      stamps_(frames()),
      faults_(options.faults, &SceneNow, this),
      database_(options.profile, frames(), options.max_mappings, options.quirks),
      processors_(options.processors),
      stacks_(options.stack_bytes) {
  CHECK(options.ram_bytes % kPageBytes == 0);
  CHECK(options.processors >= 1 && options.processors <= kMaxProcessors);
  UseDefaultStrategy();
  database_.set_faults(&faults_);
  BuildMemoryTable();
  BuildKip();
  BootInitialThreads();
}

Core::~Core() {
  CHECK(running_ == nullptr);
  for (auto& space : spaces_) {
    if (space != nullptr) space->table.Forget();
  }
}

void Core::Reset() {
  CHECK(running_ == nullptr);
  // 1. Threads and spaces, without the courtesies of deletion: nobody is left to be told.
  for (Thread* t = all_threads_; t != nullptr; t = t->all_next) {
    by_number_[L4_ThreadNo(t->gid)] = nullptr;
    if (t->fiber.started()) t->fiber.Abandon();
    free_threads_.push_back(t);
  }
  all_threads_ = nullptr;
  by_utcb_.clear();
  for (auto& space : spaces_) {
    if (space != nullptr) FlushSpace(*space);
  }
  spaces_.clear();
  live_spaces_ = 0;
  // 2. Memory: only what sigma0 has given away can have been touched.
  if (sigma0_shared_) {
    sigma0_touched_ = frames();
    sigma0_shared_ = false;
  }
  database_.Reset(sigma0_touched_);
  std::memset(ram_, 0, sigma0_touched_ << kPageShift);
  memory_attributes_.clear();
  // 3. The rest of the machine.
  entries_.clear();
  entry_storage_.clear();
  timers_.clear();
  interrupt_sources_.clear();
  free_transfers_.clear();
  for (auto& x : transfer_storage_) free_transfers_.push_back(x.get());
  resumed_.clear();
  resuming_ = false;
  next_deadline_ = turn_ends_ns_ = UINT64_MAX;
  timer_serial_ = 0;
  ClearPreemption();
  shot_down_in_ = shot_down_ = 0;
  now_ns_ = 0;
  ledger_ = {};
  crashed_ = false;
  verified_changes_ = 0;
  crash_text_.clear();
  console_text_.clear();
  observer_ = nullptr;  // UseDefaultStrategy sees to detours_
  faults_.Reset();
  unmapping_ = nullptr;
  UseDefaultStrategy();
  BuildKip();
  BootInitialThreads();
}

void Core::BootInitialThreads() {
  const base::Range kip{base::Vaddr(profile_.root_kip_area),
                        base::Vaddr(profile_.root_kip_area + kPageBytes)};
  const uint64_t utcb_bytes = uint64_t{1} << profile_.root_utcb_area_log2;
  const base::Range utcb{base::Vaddr(profile_.root_utcb_area),
                         base::Vaddr(profile_.root_utcb_area + utcb_bytes)};
  sigma0_ = L4_GlobalId(profile_.user_base, 1);
  root_ = L4_GlobalId(profile_.user_base + 2, 1);
  ResetSigma0();
  next_boot_number_ = uint64_t{1} << (profile_.thread_no_bits - 1);
  CreateInterruptThreads();
  for (const L4_ThreadId_t id : {sigma0_, root_}) {
    Space* space = CreateSpace();
    space->privileged = true;
    space->kip_area = kip;
    space->utcb_area = utcb;
    Thread& t = CreateThread(id, space);
    t.scheduler = id;
    if (id == root_) t.priority = options_.root_priority;
    PlaceUtcb(t, profile_.root_utcb_area);
    t.utcb.pager = id == root_ ? sigma0_.raw : 0;
    t.ip = id == root_ ? Kernel::kRootEntry : Kernel::kSigma0Entry;
    space->active_threads++;
    MakeReady(t);
  }
  RegisterEntry(Kernel::kSigma0Entry, [this] { Sigma0Main(); });
}

L4_ThreadId_t Core::Boot(const BootThread& boot) {
  L4_ThreadId_t id = boot.id;
  if (L4_IsNilThread(id)) id = L4_GlobalId(next_boot_number_++, 1);
  Space* space;
  if (boot.new_space) {
    space = CreateSpace();
    space->kip_area = spaces_[1]->kip_area;
    space->utcb_area = spaces_[1]->utcb_area;
  } else {
    space = spaces_[static_cast<uint32_t>(boot.space)].get();
  }
  CHECK(space != nullptr);
  Thread& t = CreateThread(id, space);
  t.scheduler = root_;
  t.priority = boot.priority;
  CHECK(boot.processor < options_.processors);
  SetProcessor(t, boot.processor);
  t.utcb.pager = L4_IsNilThread(boot.pager) ? root_.raw : boot.pager.raw;
  // From the end, so that programs that number their UTCBs from the start rarely meet these. Where
  // none is left the thread has no local id.
  const uint64_t utcb_bytes = uint64_t{1} << profile_.utcb_log2;
  const uint64_t slots = space->utcb_area.size() / utcb_bytes;
  while (space->boot_utcbs < slots && t.utcb_location == 0) {
    const uint64_t at = space->utcb_area.end.value() - ++space->boot_utcbs * utcb_bytes;
    if (FindLocal(*space, L4_ThreadIdOfRaw(static_cast<L4_Word_t>(at))) == nullptr) {
      PlaceUtcb(t, at);
    }
  }
  t.ip = kBootEntryBase + L4_ThreadNo(id) * 16;
  space->active_threads++;
  RegisterEntry(t.ip, boot.entry);
  MakeReady(t);
  return id;
}

void Core::RegisterEntry(uint64_t ip, std::function<void()> entry) {
  // A replaced function stays: a thread may be executing it.
  entry_storage_.push_back(std::move(entry));
  entries_[ip] = &entry_storage_.back();
}

// ---- Threads and spaces ----

namespace {

// Names a UTCB of any space: locations are multiples of 64 below 2^47.
uint64_t UtcbKey(const Space& space, uint64_t location) {
  return uint64_t{static_cast<uint32_t>(space.id)} << 41 | location >> 6;
}

}  // namespace

Thread* Core::FindLocal(const Space& space, L4_ThreadId_t local) const {
  if (local.raw == 0 || local.raw >= profile_.address_limit()) return nullptr;
  const auto it = by_utcb_.find(UtcbKey(space, local.raw));
  return it == by_utcb_.end() ? nullptr : it->second;
}

Thread* Core::ResolveLocal(const Thread& self, L4_ThreadId_t id) const {
  // Mostly a local id answers the last message. A thread that is gone has no location.
  Thread* last = self.last_partner;
  if (last != nullptr && last->utcb_location == id.raw && last->space == self.space &&
      id.raw != 0) {
    return last;
  }
  return FindLocal(*self.space, id);
}

void Core::PlaceUtcb(Thread& t, uint64_t location) {
  if (t.utcb_location != 0) by_utcb_.erase(UtcbKey(*t.space, t.utcb_location));
  t.utcb_location = location;
  t.utcb.my_local_id = static_cast<L4_Word_t>(location);
  if (location != 0) by_utcb_[UtcbKey(*t.space, location)] = &t;
}

Thread& Core::CreateThread(L4_ThreadId_t id, Space* space) {
  const uint64_t number = L4_ThreadNo(id);
  if (number >= by_number_.size()) by_number_.resize(std::max(number + 1, by_number_.size() * 2));
  CHECK(by_number_[number] == nullptr);
  Thread* t;
  if (free_threads_.empty()) {
    thread_storage_.push_back(std::make_unique<Thread>());
    t = thread_storage_.back().get();
  } else {
    t = free_threads_.back();
    free_threads_.pop_back();
    t->~Thread();
    new (t) Thread;
  }
  by_number_[number] = t;
  t->all_next = all_threads_;
  if (all_threads_ != nullptr) all_threads_->all_prev = t;
  all_threads_ = t;
  t->core = this;
  t->id = id.raw;
  t->gid = id;
  t->space = space;
  t->mr = t->utcb.mr;
  t->utcb.my_global_id = id.raw;
  if (running_ != nullptr) SetProcessor(*t, running_->processor);
  space->threads++;
  if (space->id == kSigma0Space && id != sigma0_) sigma0_shared_ = true;
  ledger_.threads_created++;
  return *t;
}

namespace {

// In a closed wait. A thread that waits to be started keeps waiting: it has not called anybody.
bool WaitsForThread(const Thread& t, L4_ThreadId_t id) {
  return t.state == ThreadState::kReceiving && t.from_spec.raw == id.raw && !t.waits_for_start;
}

}  // namespace

void Core::NoteAnotherWaiter(Thread& partner, Thread& t) {
  // One that waits no more is forgotten.
  if (partner.waiter != nullptr && WaitsForThread(*partner.waiter, partner.gid)) {
    partner.several_waiters = true;
  } else {
    partner.waiter = &t;
  }
}

void Core::FailPartners(Thread& t, L4_ThreadId_t gone) {
  // Each once: a fault in a string transfer is reported again at once, to the same pager if that is
  // known by a local id.
  std::vector<Thread*> senders;
  for (Thread* s = t.senders_head; s != nullptr; s = s->sender_next) senders.push_back(s);
  for (Thread* s : senders) {
    if (s->send_to == &t) EndWait(*s, L4_IPC_NO_PARTNER << 1);
  }
  const auto fail = [&](Thread* other) {
    if (other == nullptr || other == &t || !WaitsForThread(*other, gone)) return;
    EndWait(*other, L4_IPC_NO_PARTNER << 1 | 1);
  };
  Thread* const waiter = std::exchange(t.waiter, nullptr);
  if (!std::exchange(t.several_waiters, false)) return fail(waiter);
  for (Thread* other = all_threads_; other != nullptr; other = other->all_next) fail(other);
}

void Core::DeleteThread(Thread& t) {
  CHECK(&t != running_);
  EndUnmap(t);
  if (t.transfer != nullptr) AbortIpc(t, L4_IPC_ABORTED << 1);
  if (t.queued) strategy_->Remove(t);
  if (t.state == ThreadState::kSending) RemoveSender(t);
  DisarmTimer(t);
  PlaceUtcb(t, 0);
  by_number_[L4_ThreadNo(t.gid)] = nullptr;
  (t.all_prev == nullptr ? all_threads_ : t.all_prev->all_next) = t.all_next;
  if (t.all_next != nullptr) t.all_next->all_prev = t.all_prev;
  FailPartners(t, t.gid);
  if (t.fiber.started()) t.fiber.Abandon();
  Space* space = t.space;
  if (t.state != ThreadState::kInactive) space->active_threads--;
  free_threads_.push_back(&t);
  if (--space->threads == 0) ReleaseSpace(space);
}

void Core::MoveToSpace(Thread& t, Space* space) {
  Space* old = t.space;
  if (old == space) return;
  const bool active = t.state != ThreadState::kInactive;
  PlaceUtcb(t, 0);  // the old space's local id
  t.space = space;
  space->threads++;
  if (space->id == kSigma0Space) sigma0_shared_ = true;
  space->active_threads += active;
  old->active_threads -= active;
  if (--old->threads == 0) ReleaseSpace(old);
  Reconsider(t);
}

Space* Core::CreateSpace() {
  const SpaceId id{static_cast<uint32_t>(spaces_.size())};
  spaces_.push_back(std::make_unique<Space>(id, &leaves_, database_.sizes()));
  spaces_.back()->user_top = profile_.user_top;
  ledger_.spaces_created++;
  live_spaces_++;
  return spaces_.back().get();
}

void Core::ReleaseSpace(Space* space) {
  FlushSpace(*space);
  live_spaces_--;
  spaces_[static_cast<uint32_t>(space->id)] = nullptr;
}

// ---- Crash ----

// ---- Timeouts ----

uint64_t DeadlineNs(uint16_t timeout, uint64_t now_ns) {
  if ((timeout & 0x8000) == 0) {
    const uint64_t us = uint64_t{timeout & 1023u} << (timeout >> 10 & 31);
    return now_ns + us * 1000;
  }
  // A point: the next time the clock's bits above e + 10 are those of now, or of one later if c
  // differs from the lowest.
  const unsigned e = timeout >> 11 & 15;
  const unsigned shift = e + 10;
  const uint64_t now_us = now_ns / 1000;
  uint64_t high = now_us >> shift;
  if ((high & 1) != (timeout >> 10 & 1u)) high++;
  return (high << shift | uint64_t{timeout & 1023u} << e) * 1000;
}

void Core::ArmTimer(Thread& t, uint16_t timeout) {
  if (timeout != L4_Never.raw) ArmTimerAt(t, std::max<uint64_t>(DeadlineNs(timeout, now_ns_), 1));
}

void Core::ArmTimerAt(Thread& t, uint64_t deadline_ns) {
  t.timer_deadline = deadline_ns;
  t.timer_serial = ++timer_serial_;
  timers_[{t.timer_deadline, t.timer_serial}] = &t;
  next_deadline_ = timers_.begin()->first.first;
  SetNextEvent();
}

void Core::RemoveTimer(Thread& t) {
  timers_.erase({t.timer_deadline, t.timer_serial});
  t.timer_deadline = 0;
  next_deadline_ = timers_.empty() ? UINT64_MAX : timers_.begin()->first.first;
  SetNextEvent();
}

void Core::FireTimers() {
  // Another processor's clock may be behind: there it happens when it is due.
  const uint64_t now_ns = now_ns_;
  while (next_deadline_ <= now_ns) {
    Thread& t = *timers_.begin()->second;
    if (several_processors_) now_ns_ = next_deadline_;
    if (t.interrupt_source != nullptr) {
      InterruptTick(*t.interrupt_source);
      continue;
    }
    if (t.answer_late) {
      EndLateAnswer(t);
      continue;
    }
    if (t.transfer != nullptr) {
      TransferTimedOut(*t.transfer);
      continue;
    }
    AbortIpc(t, L4_IPC_TIMEOUT << 1 | (t.state == ThreadState::kReceiving ? 1 : 0));
  }
  now_ns_ = now_ns;
}

}  // namespace fake_l4
