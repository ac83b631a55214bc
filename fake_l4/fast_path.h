// fake_l4/fast_path.h: the usual message, from its sender straight to the thread that waits for it.
// Private to this package.
//
// WHAT     A message goes to a thread that waits for it, and its sender then waits in turn (call,
//          reply and wait, page fault) or is preempted by the receiver (send to one more urgent).
//          Then no queue is touched: both get their states, and the processor goes over. And the
//          two halves of a reply and wait: a message whose sender goes on, an open wait. Whatever
//          is out of the ordinary is left to ipc.cc and dispatch.cc, before anything was done.
//          All in line, because a fiber that is switched to returns from frames that its host's
//          processor did not enter last: it predicts each of these returns wrongly, at the cost of
//          a third of such a message. There should be one.
// INVARIANTS  States, virtual time and the ledger are those of the general way: fast_path_test.cc.
// SEE      Core::detours_.
#ifndef FAKE_L4_FAST_PATH_H_
#define FAKE_L4_FAST_PATH_H_

#include "fake_l4/core.h"

namespace fake_l4 {

// Whether nothing needs the general way, and `r`, once ready, would be next to run.
[[gnu::always_inline]] inline bool Core::GoesStraight(const Thread& r) const {
  // The pick of the strategy, and whom it would hand over to, is `r` unless somebody more urgent
  // is queued.
  return r.priority >= plain_->Highest() && ledger_.fiber_switches < switch_limit_ &&
         !(r.halted || r.waits_for_start || r.restart) && r.fiber.started();
}

// Whether `self`, which could go on, gives way to `r` without telling anybody.
[[gnu::always_inline]] inline bool Core::PreemptsAtOnce(const Thread& r, const Thread& self) const {
  return r.priority > self.priority && r.priority > plain_->Highest() &&
         self.quantum_left_ns == kForeverNs && self.utcb.preempt_flags == 0;
}

// Whether `r` waits for a message that `s` sends in its own name.
[[gnu::always_inline]] inline bool Core::AwaitsMessage(const Thread& r, const Thread& s,
                                                       KernelIpc kind) const {
  if (r.state != ThreadState::kReceiving) return false;
  const L4_ThreadId_t spec = r.from_spec;
  if (spec.raw != s.gid.raw && spec.raw != L4_anythread.raw &&
      !(spec.raw == L4_anylocalthread.raw && r.space == s.space)) {
    return false;
  }
  // Of what the kernel waits for, only the answer to a fault is usual.
  if (r.kernel_ipc == KernelIpc::kNone) return true;
  return r.kernel_ipc == KernelIpc::kPageFault && kind == KernelIpc::kNone;
}

// Moves a message of untyped words, and of a map item that has been carried out, to `r`, which is
// ready then. ipc.cc: Transfer, FinishMessage, Delivered.
[[gnu::always_inline]] inline void Core::HandMessage(Thread& s, Thread& r) {
  const L4_Word_t tag = s.mr[0];
  const unsigned u = L4_UntypedWords(L4_MsgTagOfRaw(tag));
  CopyUntypedWords(s.mr, r.mr, u);
  r.mr[0] = tag & ~L4_Word_t{0xf000};
  r.from = NameFor(s, r);
  r.last_partner = &s;
  ledger_.ipc_sends++;
  DisarmTimer(r);
  if (r.kernel_ipc != KernelIpc::kNone) {
    r.mr = r.utcb.mr;
    r.kernel_ipc = KernelIpc::kNone;
  }
  r.state = ThreadState::kReady;
}

// The processor goes from `self`, whose state says what it waits for, to `r`. Returns what to
// switch to. dispatch.cc: Leave.
[[gnu::always_inline]] inline Fiber* Core::HandProcessor(Thread& self, Thread& r) {
  EndTurn(self);
  // Preempted: it keeps its turn unless that is over.
  if (self.state == ThreadState::kReady) {
    plain_->Add(self, self.slice_left_ns == 0 ? QueueEnd::kBack : QueueEnd::kFront);
  }
  running_ = &r;
  SetCurrentThread(&r);
  ledger_.fiber_switches++;
  now_ns_ += profile_.costs.thread_switch;
  StartTurn(r);
  return &r.fiber;
}

// The one who gets a usual message of `self`; null when it is not usual.
[[gnu::always_inline]] inline Thread* Core::FastReceiver(const Thread& self,
                                                         L4_ThreadId_t to) const {
  Thread* const r = Resolve(self, to);
  if (r == nullptr || !AwaitsMessage(*r, self, KernelIpc::kNone)) return nullptr;
  return r->space == self.space || L4_IsNilThread(self.space->redirector) ? r : nullptr;
}

// Carries out the map item of a usual message, if it has one. False: the message is not usual.
[[gnu::always_inline]] inline bool Core::FastItems(Thread& self, Thread& r) {
  const L4_MsgTag_t tag = L4_MsgTagOfRaw(self.mr[0]);
  if ((tag.raw & L4_TAG_PROPAGATED) != 0) return false;
  const unsigned t = L4_TypedWords(tag);
  if (t == 0) return true;
  const unsigned i = L4_UntypedWords(tag) + 1;
  return t == 2 && i + 1 < L4_NUM_MRS && (self.mr[i] & 8) != 0 && TransferMapItem(self, r, i);
}

// What an IPC starts with.
[[gnu::always_inline]] inline void Core::SetPhases(Thread& self, L4_ThreadId_t from_spec,
                                                   L4_Word_t timeouts) {
  self.from_spec = from_spec;
  self.receive_timeout = static_cast<uint16_t>(timeouts);
  self.from = L4_nilthread;
  self.virtual_sender = self.intended = L4_nilthread;
}

// A message to one who is not more urgent, and no wait: `self` goes on. False: nothing is done.
[[gnu::always_inline]] inline bool Core::FastSend(Thread& self, L4_ThreadId_t to,
                                                  L4_Word_t timeouts) {
  Thread* const r = FastReceiver(self, to);
  if (r == nullptr || r->priority > self.priority) return false;
  if (r->halted || r->waits_for_start || r->restart || !FastItems(self, *r)) return false;
  SetPhases(self, L4_nilthread, timeouts);
  HandMessage(self, *r);
  r->ready_ns = now_ns_;
  plain_->Add(*r, QueueEnd::kBack);
  return true;
}

// A wait without end for whoever sends first, with nobody sending yet; null, and nothing is done,
// if it is another IPC.
[[gnu::always_inline]] inline Fiber* Core::FastWait(Thread& self, L4_ThreadId_t from_spec,
                                                    L4_Word_t timeouts) {
  if (from_spec.raw != L4_anythread.raw && from_spec.raw != L4_anylocalthread.raw) return nullptr;
  if (self.senders_head != nullptr || static_cast<uint16_t>(timeouts) != L4_Never.raw) {
    return nullptr;
  }
  auto* const next = static_cast<Thread*>(plain_->Peek());
  if (next == nullptr || next->restart || !next->fiber.started()) return nullptr;
  if (ledger_.fiber_switches >= switch_limit_) return nullptr;
  SetPhases(self, from_spec, timeouts);
  self.state = ThreadState::kReceiving;
  plain_->Remove(*next);
  return HandProcessor(self, *next);
}

// An IPC with a send phase, if it is usual; null, and nothing is done, if it is not.
[[gnu::always_inline]] inline Fiber* Core::FastIpc(Thread& self, L4_ThreadId_t to,
                                                   L4_ThreadId_t from_spec, L4_Word_t timeouts) {
  Thread* const r = FastReceiver(self, to);
  if (r == nullptr || !GoesStraight(*r)) return nullptr;
  // 1. What `self` does next: waits without end for whom nobody sends for yet, or is preempted.
  const bool receives = !L4_IsNilThread(from_spec);
  if (receives) {
    if (self.senders_head != nullptr || static_cast<uint16_t>(timeouts) != L4_Never.raw) {
      return nullptr;
    }
    if (from_spec.raw == to.raw) {
      from_spec = r->gid;
    } else if (from_spec.raw != L4_anythread.raw && from_spec.raw != L4_anylocalthread.raw) {
      return nullptr;
    }
  } else if (!PreemptsAtOnce(*r, self)) {
    return nullptr;
  }
  // 2. The message.
  if (!FastItems(self, *r)) return nullptr;
  // 3. All is well.
  SetPhases(self, from_spec, timeouts);
  HandMessage(self, *r);
  if (receives) {
    self.state = ThreadState::kReceiving;
    if (from_spec.raw == r->gid.raw) NoteWaiter(*r, self);
  }
  return HandProcessor(self, *r);
}

// The same for a page fault's message, in self.kernel_mr. ipc.cc: StartKernelIpc.
[[gnu::always_inline]] inline Fiber* Core::FastFault(Thread& self, Thread& pager) {
  if ((detours_ | attention_) != 0 || faults_.on()) return nullptr;
  if (self.senders_head != nullptr || !AwaitsMessage(pager, self, KernelIpc::kPageFault) ||
      !GoesStraight(pager)) {
    return nullptr;
  }
  self.mr = self.kernel_mr;
  self.kernel_ipc = KernelIpc::kPageFault;
  self.from_spec = pager.gid;
  self.receive_timeout = L4_Never.raw;
  self.from = L4_nilthread;
  self.virtual_sender = self.intended = L4_nilthread;
  HandMessage(self, pager);
  self.state = ThreadState::kReceiving;
  NoteWaiter(pager, self);
  return HandProcessor(self, pager);
}

}  // namespace fake_l4

#endif  // FAKE_L4_FAST_PATH_H_
