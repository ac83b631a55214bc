// Who runs: queues of ready threads, switches between fibers, time slices, preemption, the host's
// loop. X.2 manual: "Scheduling", "Preemption Protocol".
#include <l4/ipc.h>
#include <l4/types.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

// The bits of the preemption flags in the UTCB. facts/l4.md section 3.
constexpr L4_Word_t kSignalPreemption = 1u << 5, kDelayPreemption = 1u << 6,
                    kPreemptionPending = 1u << 7;
constexpr L4_Word_t kPreemptionLabel = (~L4_Word_t{0} >> 16) - 0x2f;  // -3 << 4

}  // namespace

// ---- Ready threads ----

inline void Core::Enqueue(Thread& t, QueueEnd end) {
  if (plain_ != nullptr) return plain_->Add(t, end);
  strategy_->Add(t, end);
}

inline void Core::Dequeue(Thread& t) {
  if (plain_ != nullptr) return plain_->Remove(t);
  strategy_->Remove(t);
}

inline Runnable* Core::TakeNext() { return plain_ != nullptr ? plain_->Take() : strategy_->Take(); }

void Core::MakeReady(Thread& t) {
  t.state = ThreadState::kReady;
  if (t.halted || &t == running_ || t.queued) return;
  t.ready_ns = now_ns_;
  Enqueue(t, QueueEnd::kBack);
  if (running_ == nullptr) return;
  const bool preempts =
      plain_ != nullptr ? plain_->Preempts(t, *running_) : strategy_->Preempts(t, *running_);
  if (preempts) RequestPreemption(t);
}

void Core::MakeUnready(Thread& t) {
  if (t.queued) strategy_->Remove(t);
}

void Core::UseStrategy(std::unique_ptr<ScheduleStrategy> strategy) {
  CHECK(running_ == nullptr);
  if (strategy_ != nullptr) {
    // Threads that are ready already move over in their order.
    while (Runnable* r = strategy_->Take()) strategy->Add(*r, QueueEnd::kBack);
  }
  strategy_ = std::move(strategy);
  plain_ = dynamic_cast<PriorityRoundRobin*>(strategy_.get());
  attention_ = strategy_->Points();
  SetDetours();
  stop_at_accesses_ = (attention_ & PointBit(SchedulePoint::kAccess)) != 0;
  SetNextEvent();
}

void Core::SetDetours() {
  detours_ =
      (plain_ == nullptr ? kOtherStrategy : 0u) | (several_processors_ ? kSeveralProcessors : 0u) |
      (observer_ != nullptr ? kObservedSwitches : 0u) |
      (options_.scribble_registers ? kScribbledRegisters : 0u) | (kOrderMatters ? kToldOrder : 0u);
}

void Core::UseDefaultStrategy() {
  strategy_ = nullptr;
  several_processors_ = options_.processors > 1;
  processors_ = Processors(options_.processors);
  if (!several_processors_) return UseStrategy(std::make_unique<PriorityRoundRobin>());
  UseStrategy(std::make_unique<ProcessorRoundRobin>(processors_.clocks_ns()));
  StartTranslationCaches();
}

// ---- Fibers ----

void Core::Prepare(Thread& t) {
  if (t.restart) {
    EndUnmap(t);
    if (t.fiber.started()) t.fiber.Abandon();
    t.restart = false;
    t.kernel_ipc = KernelIpc::kNone;
    t.mr = t.utcb.mr;
  }
  if (!t.fiber.started()) t.fiber.Start(&stacks_, ThreadMain, &t);
}

Thread* Core::PickNext() {
  while (Runnable* r = TakeNext()) {
    Thread* t = static_cast<Thread*>(r);
    if (t == running_ && t->restart) {
      // It cannot throw away the stack it stands on: the host's loop will.
      strategy_->Add(*t, QueueEnd::kFront);
      return nullptr;
    }
    Prepare(*t);
    return t;
  }
  return nullptr;
}

void Core::ThreadMain(void* arg) {
  Thread* t = static_cast<Thread*>(arg);
  if (t->order_key != nullptr) OrderAcquire(std::exchange(t->order_key, nullptr));
  // Fibers are never unwound: an exception ends the program here instead of somewhere beyond the
  // stack's bottom.
  [&]() noexcept { t->core->RunFrom(*t); }();
  t->core->ThreadReturned(*t);
}

void Core::ThreadReturned(Thread& t) {
  for (;;) {
    t.state = ThreadState::kReturned;
    SwitchAway(nullptr);
  }
}

Fiber& Core::Dispatch(Thread* to) {
  running_ = to;
  SetCurrentThread(to);
  ledger_.fiber_switches++;
  bool costs = true;
  if (several_processors_ && to != nullptr) {
    now_ns_ = processors_.Start(to->processor, to->id, to->ready_ns, &costs);
  }
  if (costs) now_ns_ += profile_.costs.thread_switch;
  if (to != nullptr) StartTurn(*to);
  // The host, once it runs again, may look at everything.
  OrderRelease(this);
  return to == nullptr ? host_ : to->fiber;
}

inline bool Core::HandsOver(const Thread& self, const Thread& partner, HandOver why) {
  if (plain_ != nullptr) return plain_->HandsOver(self, partner, why);
  return strategy_->HandsOver(self, partner, why);
}

Fiber* Core::Leave(Thread* preferred, HandOver why) {
  Thread& self = *running_;
  EndTurn(self);
  if (several_processors_) {
    processors_.Stop(now_ns_);
    self.left_ns = now_ns_;
  }
  Thread* next = nullptr;
  if (ledger_.fiber_switches < switch_limit_ && !crashed_) {
    // Whose slice is over has no time to give: threads that call each other for ever share the
    // processor with others of their priority.
    const bool has_time = self.slice_left_ns != 0 || why == HandOver::kThreadSwitch;
    if (preferred != nullptr && preferred->queued && has_time && HandsOver(self, *preferred, why)) {
      Dequeue(*preferred);
      Prepare(*preferred);
      next = preferred;
    }
    if (next == nullptr) next = PickNext();
  }
  if ((attention_ & kPreemptPending) != 0) ClearPreemption();
  running_ = next;
  if (observer_) observer_(*kernel_);
  if (next != &self) return &Dispatch(next);
  StartTurn(self);
  return nullptr;
}

void Core::Crash(const char* text) {
  if (running_ == nullptr) {
    std::fprintf(stderr, "%s\n", text);
    std::abort();
  }
  crashed_ = true;
  crash_text_ = text;
  running_->state = ThreadState::kReturned;
  Fiber& self = running_->fiber;
  for (;;) Fiber::Switch(self, Dispatch(nullptr), options_.switch_order);
}

StopReason Core::Run(const RunOptions& options) {
  CHECK(running_ == nullptr);
  host_.AdoptHostStack();
  switch_limit_ = options.max_switches > UINT64_MAX - ledger_.fiber_switches
                      ? UINT64_MAX
                      : ledger_.fiber_switches + options.max_switches;
  for (;;) {
    if (crashed_) return StopReason::kCrashed;
    if (now_ns_ >= next_deadline_) FireTimers();
    if (ledger_.fiber_switches >= switch_limit_) return StopReason::kSwitches;
    if (Thread* next = PickNext()) {
      Fiber::Switch(host_, Dispatch(next), options_.switch_order);
      OrderAcquire(this);
      continue;
    }
    if (several_processors_) now_ns_ = processors_.Latest(now_ns_);
    if (timers_.empty()) {
      return options.detect_deadlock && AnyStuck() ? StopReason::kDeadlock : StopReason::kIdle;
    }
    if (!options.advance_idle_time) return StopReason::kTimers;
    if (!interrupt_sources_.empty()) SkipLostTicks();
    if (!timers_.empty()) now_ns_ = std::max(now_ns_, next_deadline_);
  }
}

// ---- Time slices ----

// The quantum may end before the slice.
[[gnu::noinline]] void Core::LimitTurn(Thread& t) {
  t.turn_ns = std::min(t.slice_left_ns, t.quantum_left_ns);
  turn_ends_ns_ = now_ns_ + t.turn_ns;
}

[[gnu::noinline]] void Core::ChargeQuantum(Thread& t) {
  const uint64_t left = turn_ends_ns_ > now_ns_ ? turn_ends_ns_ - now_ns_ : 0;
  const uint64_t used = t.turn_ns - left;
  t.turn_ns = left;
  t.slice_left_ns -= used;
  t.quantum_left_ns -= used;
}

void Core::SetNextEvent() {
  next_event_ns_ = std::min(next_deadline_, turn_ends_ns_);
  if (delay_end_ns_ != 0) next_event_ns_ = std::min(next_event_ns_, delay_end_ns_);
  access_event_ns_ = stop_at_accesses_ ? 0 : next_event_ns_;
}

void Core::AtEvent() {
  if (now_ns_ >= next_deadline_) FireTimers();
  if (running_ == nullptr || now_ns_ < turn_ends_ns_) return;
  Thread& self = *running_;
  EndTurn(self);
  if (self.quantum_left_ns != 0 && !strategy_->Rotates(self)) return StartTurn(self);
  RequestPreemption(self);
}

bool Core::AtAccess() {
  const uint32_t changes = running_->ip_changes;
  if (now_ns_ >= next_event_ns_) AtEvent();
  Preempt(SchedulePoint::kAccess);
  return running_->ip_changes == changes;
}

// ---- Preemption ----

bool Core::GivesWay(SchedulePoint point) {
  Thread& self = *running_;
  if ((attention_ & kPreemptPending) == 0) {
    if (!strategy_->Switches(point, self, now_ns_)) return false;
    strategy_->Add(self, QueueEnd::kFront);
    return true;
  }
  EndTurn(self);
  const bool spent = self.quantum_left_ns == 0;
  if (!spent && DelaysPreemption(self)) return false;
  ClearPreemption();
  if (spent) return QuantumSpent(self);
  const bool signals = (self.utcb.preempt_flags & kSignalPreemption) != 0;
  if (signals && TellOfPreemption(self, L4_ThreadIdOfRaw(self.utcb.exception_handler))) {
    return false;
  }
  Enqueue(self, self.slice_left_ns == 0 ? QueueEnd::kBack : QueueEnd::kFront);
  return true;
}

void Core::ClearPreemption() {
  attention_ &= ~kPreemptPending;
  preempter_priority_ = 0;
  delay_end_ns_ = 0;
}

// Whether the running thread asked not to be preempted just now and may still do so.
bool Core::DelaysPreemption(Thread& self) {
  if ((self.utcb.preempt_flags & kDelayPreemption) == 0 || self.max_delay_us == 0) return false;
  if (preempter_priority_ > self.sensitive_priority) return false;
  if (delay_end_ns_ == 0) {
    delay_end_ns_ = now_ns_ + uint64_t{self.max_delay_us} * 1000;
    self.utcb.preempt_flags |= kPreemptionPending;
  }
  SetNextEvent();
  return now_ns_ < delay_end_ns_;
}

// The scheduler is told, and may give more before it answers. True: the thread cannot go on.
bool Core::QuantumSpent(Thread& self) {
  if (TellOfPreemption(self, self.scheduler)) return false;
  // Nobody can give it time any more.
  self.halted = true;
  return true;
}

bool Core::TellOfPreemption(Thread& self, L4_ThreadId_t listener) {
  Thread* partner = Find(listener);
  if (partner == nullptr || partner == &self) return false;
  // The thread may be at the end of an IPC whose results it has not seen yet.
  const L4_ThreadId_t from = self.from, from_spec = self.from_spec;
  const L4_ThreadId_t virtual_sender = self.virtual_sender;
  const L4_Word_t ipc_error = self.ipc_error;
  const uint64_t clock = now_ns_ / 1000;
  self.kernel_mr[0] = L4_MakeMsgTag(kPreemptionLabel, 2, 0).raw;
  self.kernel_mr[1] = static_cast<L4_Word_t>(clock);
  self.kernel_mr[2] = static_cast<L4_Word_t>(clock >> 16 >> (sizeof(L4_Word_t) * 8 - 16));
  StartKernelIpc(self, KernelIpc::kPreemption, listener);
  if (self.state != ThreadState::kReady) SwitchAway(partner);
  self.from = from;
  self.from_spec = from_spec;
  self.virtual_sender = virtual_sender;
  self.ipc_error = ipc_error;
  return true;
}

}  // namespace fake_l4
