// Schedule, ThreadSwitch, SystemClock. facts/l4.md sections 5 and 12; X.2 manual: "Schedule",
// "ThreadSwitch", "SystemClock".
#include <l4/schedule.h>
#include <l4/thread.h>

#include <algorithm>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

constexpr L4_Word_t kKeep = ~L4_Word_t{0};
constexpr uint16_t kKeepTime = 0xffff;

L4_Word_t Fail(Thread& self, L4_Word_t error) {
  self.utcb.error_code = error;
  // Time has passed all the same.
  self.core->Preempt();
  return L4_SCHEDRESULT_ERROR;
}

// A slice or a quantum is a period: 0 has no end, and what looks like a point is none.
bool IsPeriod(uint16_t time) { return (time & 0x8000) == 0; }

uint64_t PeriodNs(uint16_t time) {
  if (time == L4_Never.raw) return kForeverNs;
  return (uint64_t{time & 1023u} << (time >> 10)) * 1000;
}

L4_Word_t PeriodOf(uint64_t ns, const Quirks& quirks) {
  // What has no end may have been used for a while.
  if (ns > kForeverNs / 2) return L4_Never.raw;
  // A microsecond of which only a part is used is left whole, as the period below rounds up.
  if (quirks.schedule_tells_microseconds) return static_cast<uint16_t>((ns + 999) / 1000);
  return L4_TimePeriod(ns / 1000).raw;
}

// Whether all values are ones that the manual allows; `most` is the highest priority to be given.
bool ValidArguments(const Core::ScheduleArgs& args, uint32_t processors, uint8_t most) {
  const uint16_t slice = static_cast<uint16_t>(args.time >> 16);
  const uint16_t quantum = static_cast<uint16_t>(args.time);
  if (slice != kKeepTime && (!IsPeriod(slice) || PeriodNs(slice) == 0)) return false;
  if (quantum != kKeepTime && !IsPeriod(quantum)) return false;
  if (args.processor != kKeep && args.processor >= processors) return false;
  return args.priority == kKeep || args.priority <= most;
}

}  // namespace

// ---- Schedule ----

L4_Word_t Core::ScheduleResultOf(const Thread& t) const {
  if (t.halted && t.state == ThreadState::kReady) return L4_SCHEDRESULT_INACTIVE;
  if (t.transfer != nullptr) {
    return InSendPhase(t) ? L4_SCHEDRESULT_SENDING : L4_SCHEDRESULT_RECEIVING;
  }
  switch (t.state) {
    case ThreadState::kInactive:
      return options_.quirks.inactive_is_dead ? L4_SCHEDRESULT_DEAD : L4_SCHEDRESULT_INACTIVE;
    case ThreadState::kSending:
      return L4_SCHEDRESULT_PENDING_SEND;
    case ThreadState::kReceiving:
      return L4_SCHEDRESULT_WAITING;
    case ThreadState::kInTransfer:
      break;
    case ThreadState::kReady:
    case ThreadState::kWaitsForHost:
      return L4_SCHEDRESULT_RUNNING;
    case ThreadState::kReturned:
    case ThreadState::kNoCode:
    case ThreadState::kNoPager:
      return L4_SCHEDRESULT_DEAD;
  }
  return L4_SCHEDRESULT_ERROR;
}

void Core::SetTime(Thread& t, L4_Word_t time) {
  const uint16_t slice = static_cast<uint16_t>(time >> 16);
  const uint16_t quantum = static_cast<uint16_t>(time);
  if (slice != kKeepTime) t.slice_ns = t.slice_left_ns = PeriodNs(slice);
  if (quantum != kKeepTime) t.quantum_left_ns = PeriodNs(quantum);
}

void Core::SetProcessor(Thread& t, uint32_t processor) {
  t.processor = static_cast<uint8_t>(processor);
  t.utcb.processor_no = processor;
}

L4_Word_t Core::Schedule(Thread& self, L4_ThreadId_t dest, const ScheduleArgs& args,
                         L4_Word_t* old_time) {
  Enter(profile_.costs.system_call);
  *old_time = 0;
  Thread* t = Resolve(self, dest);
  if (t == nullptr) return Fail(self, L4_ERROR_INVALID_THREAD);
  // Any thread of the scheduler's space may act for it.
  const Thread* scheduler = Find(t->scheduler);
  if (scheduler == nullptr || scheduler->space != self.space) {
    return Fail(self, L4_ERROR_NO_PRIVILEGE);
  }
  if (!ValidArguments(args, options_.processors, self.priority)) {
    return Fail(self, L4_ERROR_INVALID_PARAMETER);
  }
  EndTurn(self);
  *old_time = PeriodOf(t->slice_left_ns, options_.quirks) << 16 |
              PeriodOf(t->quantum_left_ns, options_.quirks);
  SetTime(*t, args.time);
  if (args.preemption != kKeep) {
    t->max_delay_us = static_cast<uint16_t>(args.preemption);
    t->sensitive_priority = static_cast<uint8_t>(args.preemption >> 16);
  }
  // The strategy keeps threads by these two.
  const bool migrates = args.processor != kKeep && args.processor != t->processor;
  const bool moves = migrates || (args.priority != kKeep && args.priority != t->priority);
  const bool queued = t->queued && moves;
  if (queued) strategy_->Remove(*t);
  if (args.priority != kKeep) t->priority = static_cast<uint8_t>(args.priority);
  if (migrates) {
    SetProcessor(*t, static_cast<uint32_t>(args.processor));
    t->ready_ns = now_ns_;
  }
  if (queued) strategy_->Add(*t, QueueEnd::kBack);
  if (moves && t->state == ThreadState::kSending) RequeueSender(*t);
  const L4_Word_t state = ScheduleResultOf(*t);
  if (t == &self && migrates) {
    StartTurn(self);  // with what it was given
    strategy_->Add(self, QueueEnd::kBack);
    SwitchAway(nullptr);
    return state;
  }
  StartTurn(self);
  // Somebody may have become more urgent than the caller, or the caller less urgent than somebody.
  if (args.priority != kKeep && strategy_->Rotates(self)) RequestPreemption(*t);
  Preempt();
  return state;
}

// ---- ThreadSwitch ----

void Core::ThreadSwitch(Thread& self, L4_ThreadId_t dest) {
  Enter(profile_.costs.system_call);
  DonateSlice(self, L4_IsNilThread(dest) ? nullptr : Resolve(self, dest));
}

void Core::DonateSlice(Thread& self, Thread* t) {
  // A thread that cannot run, or runs elsewhere: as if none had been named.
  if (t != nullptr && (!t->queued || t->processor != self.processor)) t = nullptr;
  EndTurn(self);
  // It gets the rest of the slice on top of its own.
  if (t != nullptr) {
    t->slice_left_ns = std::min(t->slice_left_ns + self.slice_left_ns, kForeverNs);
  }
  // Its turn is over: a new slice begins with the next.
  self.slice_left_ns = self.turn_ns = 0;
  turn_ends_ns_ = now_ns_;
  strategy_->Yields(self);
  strategy_->Add(self, QueueEnd::kBack);
  SwitchAway(t, HandOver::kThreadSwitch);
}

// ---- SystemClock ----

L4_Word64_t Core::SystemClock() {
  Enter(profile_.costs.system_call);
  Preempt();
  return now_ns_ / 1000;
}

}  // namespace fake_l4

using fake_l4::Core;
using fake_l4::Thread;

extern "C" {

L4_Clock_t L4_SystemClock(void) {
  Thread& self = fake_l4::Caller();
  return L4_Clock_t{self.core->SystemClock()};
}

void L4_ThreadSwitch(L4_ThreadId_t dest) {
  Thread& self = fake_l4::Caller();
  self.core->ThreadSwitch(self, dest);
}

L4_Word_t L4_Schedule(L4_ThreadId_t dest, L4_Word_t time_control, L4_Word_t processor_control,
                      L4_Word_t priority, L4_Word_t preemption_control,
                      L4_Word_t* old_time_control) {
  Thread& self = fake_l4::Caller();
  const Core::ScheduleArgs args{time_control, processor_control, priority, preemption_control};
  return self.core->Schedule(self, dest, args, old_time_control);
}

}  // extern "C"
