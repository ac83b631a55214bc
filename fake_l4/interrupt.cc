// Interrupts: an interrupt thread sends an empty message to its handler and waits for an answer,
// with the interrupt masked until then. facts/l4.md section 6; X.2 manual: "Interrupts".
//
// An interrupt thread is a Thread without a stack: its IPC is the kernel's own (KernelIpc::
// kInterrupt), so that queues, dying handlers and open or closed waits for it need no second rule.
//   kInactive                 nobody is associated
//   kReceiving, not serving   idle: takes stray acknowledgements of the handler
//   kSending, serving         the handler has not taken the message yet
//   kReceiving, serving       masked until the handler answers
#include <l4/thread.h>

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

constexpr L4_Word_t kInterruptLabel = (~L4_Word_t{0} >> 16) - 0xf;

// What is due after the clock's last nanosecond never comes.
constexpr bool BeyondTheClock(uint64_t now_ns, uint64_t after_ns) {
  return after_ns >= UINT64_MAX - now_ns;
}

}  // namespace

void Core::CreateInterruptThreads() {
  kernel_space_ = std::make_unique<Space>(kKernelSpace, &leaves_, database_.sizes());
  for (unsigned i = 0; i < profile_.system_base; i++) {
    Thread& t = CreateThread(L4_GlobalId(i, 1), kernel_space_.get());
    t.is_interrupt = true;
    t.scheduler = root_;
    t.priority = 255;
  }
  ledger_.threads_created = 0;
}

// Back to waiting for the handler's acknowledgements and for the next interrupt.
void Core::IdleInterrupt(Thread& t) {
  t.interrupt_serving = false;
  t.mr = t.kernel_mr;
  t.kernel_ipc = KernelIpc::kInterrupt;
  t.virtual_sender = L4_nilthread;
  t.from_spec = L4_ThreadIdOfRaw(t.utcb.pager);
  t.receive_timeout = L4_Never.raw;
  t.state = ThreadState::kReceiving;
  if (Thread* const handler = Find(t.from_spec); handler != nullptr) NoteWaiter(*handler, t);
  if (FirstSenderFor(t) != nullptr) StartReceive(t);
}

void Core::SendInterrupt(Thread& t) {
  t.interrupt_serving = true;
  t.interrupt_pending = false;
  t.state = ThreadState::kReady;  // for StartKernelIpc alone: it never runs
  t.kernel_mr[0] = L4_MakeMsgTag(kInterruptLabel, 0, 0).raw;
  StartKernelIpc(t, KernelIpc::kInterrupt, L4_ThreadIdOfRaw(t.utcb.pager));
}

void Core::InterruptIpcEnded(Thread& t) {
  // An answer that was cut is one all the same.
  const bool gone =
      L4_IpcFailed(L4_MsgTagOfRaw(t.kernel_mr[0])) && (t.ipc_error >> 1 & 7) == L4_IPC_NO_PARTNER;
  // Interrupts for a handler that does not exist are nobody's.
  if (t.interrupt_pending && !gone) return SendInterrupt(t);
  t.interrupt_pending = false;
  IdleInterrupt(t);
}

bool Core::RaiseInterrupt(unsigned number) {
  if (number >= profile_.system_base) return false;
  Thread& t = *by_number_[number];
  if (t.state == ThreadState::kInactive) return false;
  if (Find(L4_ThreadIdOfRaw(t.utcb.pager)) == nullptr) return false;
  if (t.interrupt_serving) {
    t.interrupt_pending = true;
  } else {
    SendInterrupt(t);
  }
  return true;
}

L4_Word_t Core::InterruptControl(Thread& self, L4_ThreadId_t dest, L4_ThreadId_t space_of,
                                 L4_ThreadId_t scheduler, L4_ThreadId_t handler) {
  const auto fail = [&](L4_Word_t error) -> L4_Word_t {
    self.utcb.error_code = error;
    return 0;
  };
  // An interrupt thread has one version, and neither leaves its space nor ends.
  if (L4_Version(dest) != 1 || space_of != dest) return fail(L4_ERROR_INVALID_THREAD);
  const Thread* s = L4_IsNilThread(scheduler) ? nullptr : Resolve(self, scheduler);
  if (!L4_IsNilThread(scheduler) && s == nullptr) return fail(L4_ERROR_INVALID_SCHEDULER);
  Thread& t = *by_number_[L4_ThreadNo(dest)];
  if (s != nullptr) t.scheduler = s->gid;
  if (L4_IsNilThread(handler)) return 1;
  if (const Thread* h = Resolve(self, handler); h != nullptr) handler = h->gid;
  // 1. Out of whatever it does with the old handler.
  if (t.state == ThreadState::kSending) RemoveSender(t);
  const bool pending = t.interrupt_pending;
  t.interrupt_pending = t.interrupt_serving = false;
  t.kernel_ipc = KernelIpc::kNone;
  t.state = ThreadState::kInactive;
  t.utcb.pager = handler.raw;
  // 2. To the new one; its own id detaches it.
  if (handler == dest) return 1;
  IdleInterrupt(t);
  if (pending) RaiseInterrupt(static_cast<unsigned>(L4_ThreadNo(dest)));
  return 1;
}

// ---- Periodic sources ----

bool Core::StartInterruptSource(unsigned number, uint64_t period_ns, uint64_t ticks) {
  if (number >= profile_.system_base || period_ns == 0) return false;
  StopInterruptSource(number);
  if (ticks == 0 || BeyondTheClock(now_ns_, period_ns)) return true;
  auto source = std::make_unique<InterruptSource>();
  source->number = number;
  source->period_ns = period_ns;
  source->ticks_left = ticks;
  source->clock.interrupt_source = source.get();
  ArmTimerAt(source->clock, now_ns_ + period_ns);
  interrupt_sources_.push_back(std::move(source));
  return true;
}

void Core::StopInterruptSource(unsigned number) {
  for (auto& source : interrupt_sources_) {
    if (source->number != number) continue;
    DisarmTimer(source->clock);
    std::swap(source, interrupt_sources_.back());
    interrupt_sources_.pop_back();
    return;
  }
}

void Core::InterruptTick(InterruptSource& source) {
  const uint64_t due = source.clock.timer_deadline;
  DisarmTimer(source.clock);
  if (!RaiseInterrupt(source.number) || --source.ticks_left == 0 ||
      BeyondTheClock(due, source.period_ns)) {
    return StopInterruptSource(source.number);
  }
  ArmTimerAt(source.clock, due + source.period_ns);
}

// A tick of an interrupt that is masked, with another one remembered, changes nothing.
bool Core::LosesTicks(const InterruptSource& source) const {
  const Thread& t = *by_number_[source.number];
  return t.interrupt_serving && t.interrupt_pending &&
         Find(L4_ThreadIdOfRaw(t.utcb.pager)) != nullptr;
}

void Core::SkipLostTicks() {
  uint64_t until = UINT64_MAX;
  for (const auto& [when, clock] : timers_) {
    if (clock->interrupt_source != nullptr && LosesTicks(*clock->interrupt_source)) continue;
    until = when.first;
    break;
  }
  for (size_t i = interrupt_sources_.size(); i-- > 0;) {
    InterruptSource& source = *interrupt_sources_[i];
    const uint64_t due = source.clock.timer_deadline;
    if (due >= until || !LosesTicks(source)) continue;
    const uint64_t ticks = std::min(source.ticks_left, (until - 1 - due) / source.period_ns + 1);
    const uint64_t last = due + (ticks - 1) * source.period_ns;
    now_ns_ = std::max(now_ns_, last);
    source.ticks_left -= ticks;
    if (source.ticks_left == 0 || BeyondTheClock(last, source.period_ns)) {
      StopInterruptSource(source.number);
      continue;
    }
    DisarmTimer(source.clock);
    ArmTimerAt(source.clock, last + source.period_ns);
  }
}

}  // namespace fake_l4
