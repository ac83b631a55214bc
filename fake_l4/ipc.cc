// IPC: the two phases, message transfer, propagation, cancellation. facts/l4.md sections 4, 5, 12;
// X.2 manual: "IPC".
#include <utility>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

constexpr L4_Word_t kSendPhase = 0, kReceivePhase = 1;
constexpr L4_Word_t kCountBits = 0xfff;  // u and t of a tag

bool IsZeroTimeout(uint16_t timeout) {
  // Any period of length 0 is one, however it is written; never is the word 0 alone.
  return timeout != 0 && (timeout & 0x8000) == 0 && (timeout & 1023) == 0;
}

}  // namespace

void Core::FailIpc(Thread& t, L4_Word_t error, L4_Word_t tag_bits_kept) {
  t.mr[0] = (t.mr[0] & tag_bits_kept) | L4_TAG_ERROR;
  t.ipc_error = error;
  ledger_.ipc_errors++;
}

// ---- Queues of senders ----

void Core::QueueSender(Thread& s, Thread& receiver) {
  // More urgent first, then in order of arrival.
  Thread* before = receiver.senders_tail;
  while (before != nullptr && before->priority < s.priority) before = before->sender_prev;
  Thread* after = before == nullptr ? receiver.senders_head : before->sender_next;
  s.sender_prev = before;
  s.sender_next = after;
  (before == nullptr ? receiver.senders_head : before->sender_next) = &s;
  (after == nullptr ? receiver.senders_tail : after->sender_prev) = &s;
  s.send_to = &receiver;
}

void Core::RemoveSender(Thread& s) {
  Thread& receiver = *s.send_to;
  (s.sender_prev == nullptr ? receiver.senders_head : s.sender_prev->sender_next) = s.sender_next;
  (s.sender_next == nullptr ? receiver.senders_tail : s.sender_next->sender_prev) = s.sender_prev;
  s.sender_next = s.sender_prev = nullptr;
  s.send_to = nullptr;
}

// ---- Who may talk to whom ----

// The id in whose name `sender` sends, or nilthread when the message is not propagated or may not
// be.
L4_ThreadId_t Core::VirtualSenderFor(const Thread& sender, const Thread& receiver) const {
  if ((sender.mr[0] & L4_TAG_PROPAGATED) == 0 || sender.kernel_ipc != KernelIpc::kNone) {
    return L4_nilthread;
  }
  const L4_ThreadId_t id = L4_ThreadIdOfRaw(sender.utcb.actual_or_virtual_sender);
  const Thread* v = Find(id);
  if (v == nullptr) return L4_nilthread;
  return v->space == sender.space || v->space == receiver.space ? id : L4_nilthread;
}

// Whether the receive phase of `receiver` takes a message of `sender`, whose virtual_sender is set.
bool Core::Accepts(const Thread& receiver, const Thread& sender) const {
  const L4_ThreadId_t spec = receiver.from_spec;
  if (spec == L4_anythread) return true;
  if (spec == L4_anylocalthread) return sender.space == receiver.space;
  if (spec == sender.gid) return true;
  return !L4_IsNilThread(sender.virtual_sender) && spec == sender.virtual_sender;
}

Thread* Core::FirstSenderFor(const Thread& t) const {
  for (Thread* s = t.senders_head; s != nullptr; s = s->sender_next) {
    if (Accepts(t, *s)) return s;
  }
  return nullptr;
}

// ---- Transfer ----

L4_Word_t Core::TransferItems(Thread& s, Thread& r, unsigned u, unsigned t) {
  const FpageValue window = r.kernel_ipc != KernelIpc::kNone || r.waits_for_start
                                ? DecodeFpage(L4_CompleteAddressSpace.raw, profile_)
                                : DecodeFpage(r.utcb.br[0] & ~L4_Word_t{15}, profile_);
  for (unsigned i = u + 1; i <= u + t; i += 2) {
    const L4_Word_t type = s.mr[i] & 0xe;
    const bool is_map = type == L4_ITEM_MAP || type == L4_ITEM_GRANT;
    // Strings and the rest find no buffer here. An item's second word may lie past t:
    // facts/l4.md section 12.
    if (!is_map || window.nil()) return L4_IPC_OVERFLOW << 1;
    const L4_Word_t send_base = s.mr[i] & ~L4_Word_t{1023};
    const L4_Word_t send_fpage = s.mr[(i + 1) & 63];
    r.mr[i] = s.mr[i];
    r.mr[(i + 1) & 63] = send_fpage;
    ledger_.map_items++;
    MapItem(*s.space, *r.space, type == L4_ITEM_MAP ? ItemKind::kMap : ItemKind::kGrant, send_base,
            send_fpage, window);
  }
  return 0;
}

bool Core::Transfer(Thread& s, Thread& r) {
  const L4_Word_t tag = s.mr[0];
  const unsigned u = L4_UntypedWords(L4_MsgTagOfRaw(tag));
  const unsigned t = L4_TypedWords(L4_MsgTagOfRaw(tag));
  const bool propagated = !L4_IsNilThread(s.virtual_sender);
  L4_Word_t error = u + t > 63 ? L4_IPC_OVERFLOW << 1 : 0;
  for (unsigned i = 1; i <= u; i++) r.mr[i] = s.mr[i];
  if (error == 0 && t != 0) error = TransferItems(s, r, u, t);
  // Of the flags only p reaches the receiver; the sender's own tag keeps what it set.
  r.mr[0] = (tag & ~L4_Word_t{0xf000}) | (propagated ? L4_TAG_PROPAGATED : 0);
  r.from = propagated ? s.virtual_sender : s.gid;
  if (propagated && r.kernel_ipc == KernelIpc::kNone) r.utcb.actual_or_virtual_sender = s.gid.raw;
  ledger_.ipc_sends++;
  // A message orders memory: what the sender did before, the receiver may see.
  r.order_key = &s;
  if (&r == running_) OrderAcquire(std::exchange(r.order_key, nullptr));
  if (error == 0) return true;
  FailIpc(s, error | kSendPhase, kCountBits);
  FailIpc(r, error | kReceivePhase, kCountBits);
  return false;
}

void Core::Delivered(Thread& s, Thread& r) {
  if (r.waits_for_start) {
    r.waits_for_start = false;
    if (L4_UntypedWords(L4_MsgTagOfRaw(r.mr[0])) == 2) {
      r.ip = r.mr[1];
      r.sp = r.mr[2];
    }
  }
  DisarmTimer(r);
  EndIpc(r);
  if (!L4_IsNilThread(s.virtual_sender)) TurnWait(s, r);
}

// The virtual sender, if it waits for the actual one, waits for the receiver instead: the answer
// will come from there.
void Core::TurnWait(Thread& s, Thread& r) {
  Thread* v = Find(s.virtual_sender);
  if (v == nullptr || v->state != ThreadState::kReceiving || v == &r) return;
  if (v->from_spec != s.gid) return;
  v->from_spec = r.gid;
  if (FirstSenderFor(*v) != nullptr) StartReceive(*v);
}

// ---- Phases ----

// Starts the receive phase of `t`; returns a sender whose send this completed and whose own receive
// phase is due.
Thread* Core::StartReceiveStep(Thread& t) {
  const L4_ThreadId_t spec = t.from_spec;
  if (spec != L4_anythread && spec != L4_anylocalthread && Find(spec) == nullptr) {
    DisarmTimer(t);
    FailIpc(t, L4_IPC_NO_PARTNER << 1 | kReceivePhase, 0);
    EndIpc(t);
    return nullptr;
  }
  Thread* s = FirstSenderFor(t);
  if (s == nullptr) {
    if (IsZeroTimeout(t.receive_timeout)) {
      FailIpc(t, L4_IPC_TIMEOUT << 1 | kReceivePhase, 0);
      EndIpc(t);
    } else {
      t.state = ThreadState::kReceiving;
      ArmTimer(t, t.receive_timeout);
    }
    return nullptr;
  }
  RemoveSender(*s);
  DisarmTimer(*s);
  const bool good = Transfer(*s, t);
  Delivered(*s, t);
  if (good && !L4_IsNilThread(s->from_spec)) return s;
  EndIpc(*s);
  return nullptr;
}

void Core::StartReceive(Thread& t) {
  for (Thread* next = &t; next != nullptr;) next = StartReceiveStep(*next);
}

// Both phases as far as they go at once. Returns the partner that the message reached, if any; the
// state of `self` tells whether it has to wait.
Thread* Core::StartIpc(Thread& self, L4_ThreadId_t to, L4_ThreadId_t from_spec,
                       L4_Word_t timeouts) {
  OrderRelease(&self);
  const uint16_t send_timeout = static_cast<uint16_t>(timeouts >> 16);
  self.from_spec = from_spec;
  self.receive_timeout = static_cast<uint16_t>(timeouts);
  self.from = L4_nilthread;
  self.virtual_sender = L4_nilthread;
  Thread* partner = nullptr;
  // 1. Send.
  if (!L4_IsNilThread(to)) {
    Thread* receiver = Resolve(self, to);
    if (receiver == nullptr) {
      FailIpc(self, L4_IPC_NO_PARTNER << 1 | kSendPhase, 0);
      return nullptr;
    }
    self.virtual_sender = VirtualSenderFor(self, *receiver);
    if (receiver->state == ThreadState::kReceiving && Accepts(*receiver, self)) {
      const bool good = Transfer(self, *receiver);
      // Delivered makes the receiver ready, and `self` is not receiving yet: a wait turned to
      // `self` meanwhile finds its queue.
      Delivered(self, *receiver);
      partner = receiver;
      if (!good) return partner;
    } else if (IsZeroTimeout(send_timeout)) {
      FailIpc(self, L4_IPC_TIMEOUT << 1 | kSendPhase, 0);
      return nullptr;
    } else {
      self.state = ThreadState::kSending;
      QueueSender(self, *receiver);
      ArmTimer(self, send_timeout);
      // Whoever takes the message starts the receive phase, too.
      return nullptr;
    }
  }
  // 2. Receive.
  if (!L4_IsNilThread(from_spec)) StartReceive(self);
  return partner;
}

void Core::Ipc(Thread& self, L4_ThreadId_t to, L4_ThreadId_t from_spec, L4_Word_t timeouts) {
  Enter(profile_.costs.system_call + profile_.costs.ipc);
  Thread* partner = StartIpc(self, to, from_spec, timeouts);
  if (self.state != ThreadState::kReady) return SwitchAway(partner);
  Preempt(SchedulePoint::kIpc);
}

void Core::StartKernelIpc(Thread& t, KernelIpc kind, L4_ThreadId_t to) {
  // The user's message registers are not the kernel's.
  t.mr = t.kernel_mr;
  t.kernel_ipc = kind;
  StartIpc(t, to, to, L4_Timeouts(L4_Never, L4_Never));
  if (t.state == ThreadState::kReady && t.kernel_ipc != KernelIpc::kNone) KernelIpcEnded(t);
}

void Core::KernelIpcEnded(Thread& t) {
  t.mr = t.utcb.mr;
  t.kernel_ipc = KernelIpc::kNone;
  MakeReady(t);
}

// The IPC of `t` is over, well or not.
void Core::EndIpc(Thread& t) {
  if (t.kernel_ipc != KernelIpc::kNone) return KernelIpcEnded(t);
  MakeReady(t);
}

void Core::AbortIpc(Thread& t, L4_Word_t error) {
  const bool sending = t.state == ThreadState::kSending;
  CHECK(sending || t.state == ThreadState::kReceiving);
  if (sending) RemoveSender(t);
  DisarmTimer(t);
  // A send that had to wait reports its counts; a failed receive has none.
  FailIpc(t, error, sending ? kCountBits : 0);
  EndIpc(t);
}

}  // namespace fake_l4
