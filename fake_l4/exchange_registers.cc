// ExchangeRegisters: halting, resuming, cancelling and redirecting threads. facts/l4.md sections 5
// and 12; X.2 manual: "ExchangeRegisters".
#include <l4/thread.h>

#include "fake_l4/core.h"

namespace fake_l4 {

void Core::SetIp(Thread& t, uint64_t ip) {
  t.ip = ip;
  t.ip_changes++;
  // Real code would go on at the new address. Host code can when there is a function for it; else
  // whoever waits inside a fault learns of it as AccessStatus::kRedirected.
  const bool has_stack = t.state != ThreadState::kReturned && t.state != ThreadState::kNoCode;
  if (has_stack && !HasEntry(ip)) return;
  t.restart = true;
  if (!has_stack || t.state == ThreadState::kWaitsForHost) MakeReady(t);
}

void Core::ReadRegisters(const Thread& t, ExchangeArgs* args) const {
  const bool receiving = InReceivePhase(t), sending = InSendPhase(t);
  const bool tells_halted =
      t.halted && !(options_.quirks.exregs_hides_halt_in_ipc && (receiving || sending));
  args->control = (tells_halted ? L4_EXREGS_HALT : 0) | (receiving ? L4_EXREGS_CANCEL_RECV : 0) |
                  (sending ? L4_EXREGS_CANCEL_SEND : 0);
  args->sp = static_cast<L4_Word_t>(t.sp);
  args->ip = static_cast<L4_Word_t>(t.ip);
  args->flags = static_cast<L4_Word_t>(t.flags);
  args->handle = t.utcb.user_defined_handle;
  args->pager = L4_ThreadIdOfRaw(t.utcb.pager);
}

// Whether `self` may steer `t`: a thread of the own space, or of a space paged from here (feature
// "pagerexregs").
bool Core::MaySteer(const Thread& self, const Thread& t) const {
  if (t.is_interrupt || t.state == ThreadState::kInactive) return false;
  if (t.space == self.space) return true;
  const Thread* pager = Resolve(t, L4_ThreadIdOfRaw(t.utcb.pager));
  return pager != nullptr && pager->space == self.space;
}

L4_ThreadId_t Core::ExchangeRegisters(Thread& self, L4_ThreadId_t dest, ExchangeArgs* args) {
  Enter(profile_.costs.system_call);
  Thread* t = Resolve(self, dest);
  if (t == nullptr || !MaySteer(self, *t)) {
    self.utcb.error_code = L4_ERROR_INVALID_THREAD;
    Preempt();
    return L4_nilthread;
  }
  const ExchangeArgs in = *args;
  OrderRelease(&self);
  if (t != &self) t->order_key = &self;
  const bool receiving = InReceivePhase(*t);
  const bool sending = InSendPhase(*t);
  // Without d the values are undefined: zeros here.
  *args = {};
  if ((in.control & L4_EXREGS_DELIVER) != 0 || options_.quirks.exregs_always_deliver) {
    ReadRegisters(*t, args);
  }
  // 1. The values.
  if (in.control & L4_EXREGS_SET_SP) t->sp = in.sp;
  if (in.control & L4_EXREGS_SET_FLAGS) t->flags = in.flags;
  if (in.control & L4_EXREGS_SET_HANDLE) t->utcb.user_defined_handle = in.handle;
  if (in.control & L4_EXREGS_SET_PAGER) {
    // A local id of the caller's space means nothing in another.
    const Thread* p = t->space == self.space ? nullptr : Resolve(self, in.pager);
    t->utcb.pager = p == nullptr ? in.pager.raw : p->gid.raw;
  }
  if (in.control & L4_EXREGS_SET_IP) SetIp(*t, in.ip);
  // 2. Halt or run, before anything makes the thread ready.
  if (in.control & L4_EXREGS_SET_HALT) {
    t->halted = (in.control & L4_EXREGS_HALT) != 0;
    t->halted_by_exception = false;
    if (t->halted) {
      MakeUnready(*t);
    } else if (t->state == ThreadState::kReady) {
      MakeReady(*t);
    }
  }
  // 3. Cancel.
  constexpr L4_Word_t kTriesAgain =
      L4_EXREGS_SET_PAGER | L4_EXREGS_SET_IP | L4_EXREGS_CANCEL_RECV | L4_EXREGS_CANCEL_SEND;
  if ((receiving && (in.control & L4_EXREGS_CANCEL_RECV)) ||
      (sending && (in.control & L4_EXREGS_CANCEL_SEND))) {
    t->waits_for_start = false;
    AbortIpc(*t, L4_IPC_CANCELLED << 1 | (receiving ? 1 : 0));
  } else if (t->state == ThreadState::kNoPager && (in.control & kTriesAgain)) {
    PagerAppeared(*t);
  }
  // 4. Of a thread named by its global id, the local one, and the other way round.
  const L4_ThreadId_t result = L4_IsLocalId(dest) ? t->gid : NameFor(*t, *t);
  if (t == &self && (t->halted || t->restart)) {
    if (!t->halted) strategy_->Add(*t, QueueEnd::kFront);
    SwitchAway(nullptr);
  } else {
    Preempt();
  }
  return result;
}

}  // namespace fake_l4
