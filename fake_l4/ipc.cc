// IPC: the two phases, message transfer, propagation, cancellation. facts/l4.md sections 4, 5, 12;
// X.2 manual: "IPC".
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "fake_l4/core.h"
#include "fake_l4/fast_path.h"

namespace fake_l4 {

namespace {

constexpr L4_Word_t kSendPhase = 0, kReceivePhase = 1;
constexpr L4_Word_t kCountBits = 0xfff;  // u and t of a tag
constexpr unsigned kFaultAnswerWords = 2;
constexpr int kMaxRedirectors = 32;  // in a chain; further ones do not count

// Whether a timeout that starts now is over at once.
bool IsOver(uint16_t timeout, uint64_t now_ns) {
  if (timeout == 0) return false;  // never
  // Any period of length 0 is one, however it is written; and a point may have passed.
  if ((timeout & 0x8000) == 0) return (timeout & 1023) == 0;
  return DeadlineNs(timeout, now_ns) <= now_ns;
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
  if (sender.kernel_ipc != KernelIpc::kNone) return L4_nilthread;
  const Thread* v = Resolve(sender, L4_ThreadIdOfRaw(sender.utcb.actual_or_virtual_sender));
  if (v == nullptr) return L4_nilthread;
  const bool allowed = v->space == sender.space || v->space == receiver.space ||
                       sender.space == receiver.space || IsRedirectorOf(sender, *v->space);
  return allowed ? v->gid : L4_nilthread;
}

// Whether messages that leave `space` reach `t`, straight or through redirectors of redirectors.
bool Core::IsRedirectorOf(const Thread& t, const Space& space) const {
  const Space* at = &space;
  for (int hops = 0; hops < kMaxRedirectors; hops++) {
    const Thread* r = Find(at->redirector);
    if (r == nullptr || r == &t) return r != nullptr;
    at = r->space;
  }
  return false;
}

Thread* Core::Redirected(Thread& sender, Thread* dest) const {
  const L4_ThreadId_t id = sender.space->redirector;
  if (L4_IsNilThread(id) || id == L4_anythread || sender.kernel_ipc != KernelIpc::kNone) {
    return dest;
  }
  Thread* redirector = Find(id);
  if (redirector == dest || redirector == &sender) return dest;
  // A redirector that is gone lets nothing through.
  if (redirector != nullptr) sender.intended = dest->gid;
  return redirector;
}

L4_ThreadId_t Core::CanonicalSpec(const Thread& self, L4_ThreadId_t id) const {
  if (L4_IsGlobalId(id) || L4_IsNilThread(id) || id == L4_anylocalthread) return id;
  const Thread* t = Resolve(self, id);
  return t == nullptr ? id : t->gid;
}

// What `r` is told about a message that was propagated or redirected.
void Core::TellOfDetours(const Thread& s, Thread& r) const {
  if (!L4_IsNilThread(s.virtual_sender)) {
    const Thread* v = Find(s.virtual_sender);
    r.from = v == nullptr ? s.virtual_sender : NameFor(*v, r);
    r.mr[0] |= L4_TAG_PROPAGATED;
    if (r.kernel_ipc == KernelIpc::kNone) r.utcb.actual_or_virtual_sender = s.gid.raw;
  }
  if (!L4_IsNilThread(s.intended)) {
    r.mr[0] |= L4_TAG_REDIRECTED;
    if (r.kernel_ipc == KernelIpc::kNone) r.utcb.intended_receiver = s.intended.raw;
  }
}

// Whether the receive phase of `receiver` takes a message of `sender`, whose virtual_sender is set.
bool Core::Accepts(const Thread& receiver, const Thread& sender) const {
  const L4_ThreadId_t spec = receiver.from_spec;
  if (spec == L4_anythread) return true;
  if (spec == L4_anylocalthread) return sender.space == receiver.space;
  // A fault of another thread is no answer to one's own, whoever it comes from: two threads that
  // are each other's pagers would answer each other for ever.
  if (spec == sender.gid) {
    return sender.kernel_ipc == KernelIpc::kNone || receiver.kernel_ipc == KernelIpc::kNone;
  }
  return !L4_IsNilThread(sender.virtual_sender) && spec == sender.virtual_sender;
}

Thread* Core::FirstSenderFor(const Thread& t) const {
  for (Thread* s = t.senders_head; s != nullptr; s = s->sender_next) {
    if (Accepts(t, *s)) return s;
  }
  return nullptr;
}

// ---- Transfer ----

// Carries out the map item at MR i. False when the receiver does not accept it.
bool Core::TransferMapItem(Thread& s, Thread& r, unsigned i) {
  const L4_Word_t window = r.kernel_ipc != KernelIpc::kNone || r.waits_for_start
                               ? L4_CompleteAddressSpace.raw
                               : r.utcb.br[0] & ~L4_Word_t{15};
  const L4_Word_t type = s.mr[i] & 0xe;
  const bool is_map = type == L4_ITEM_MAP || type == L4_ITEM_GRANT;
  // One that is too small for a page is a window, if one that takes none.
  if (!is_map || window == L4_Nilpage.raw) return false;
  // An item's second word may lie past t: facts/l4.md section 12.
  uint64_t send_base = s.mr[i] & ~L4_Word_t{1023};
  uint64_t send_fpage = s.mr[(i + 1) & 63];
  r.mr[i] = s.mr[i];
  if (i + 1 < L4_NUM_MRS) r.mr[i + 1] = s.mr[i + 1];
  if (faults_.on()) SpoilAnswer(r, &send_base, &send_fpage);
  ledger_.map_items++;
  MapItem(*s.space, *r.space, type == L4_ITEM_MAP ? ItemKind::kMap : ItemKind::kGrant, send_base,
          send_fpage, DecodeFpage(window, profile_));
  return true;
}

// The typed items of a message. kPending: one of the threads waits for a page; the rest is done by
// FinishTransfer.
Core::TransferStep Core::TransferItems(Thread& s, Thread& r, unsigned first, unsigned end,
                                       MessageErrors* errors) {
  for (unsigned i = first; i < end; i += 2) {
    if ((s.mr[i] & 8) == 0) {
      StringTransfer* x = nullptr;
      const TransferStep step = StartTransfer(s, r, i, end, &x);
      if (step == TransferStep::kPending) return step;
      *errors = {x->sender_error, x->receiver_error, L4_Word_t{x->copied} << 4};
      FreeTransfer(*x);
      return step;
    }
    if (!TransferMapItem(s, r, i)) {
      *errors = {L4_IPC_OVERFLOW, L4_IPC_OVERFLOW, 0};
      return TransferStep::kFailed;
    }
  }
  return TransferStep::kDone;
}

// What both ends are told of a message. False when it was cut.
[[gnu::always_inline]] inline bool Core::FinishMessage(Thread& s, Thread& r,
                                                       const MessageErrors& errors) {
  // Of the flags only p reaches the receiver; the sender's own tag keeps what it set.
  r.mr[0] = (s.mr[0] & ~L4_Word_t{0xf000}) | CrossProcessor(s, r);
  r.from = NameFor(s, r);
  r.last_partner = &s;
  if ((s.virtual_sender.raw | s.intended.raw) != 0) TellOfDetours(s, r);
  ledger_.ipc_sends++;
  // A message orders memory: what the sender did before, the receiver may see.
  r.order_key = &s;
  if (&r == running_) OrderAcquire(std::exchange(r.order_key, nullptr));
  if (errors.sender == 0) [[likely]] {
    return true;
  }
  FailIpc(s, errors.offset | errors.sender << 1 | kSendPhase, kCountBits);
  FailIpc(r, errors.offset | errors.receiver << 1 | kReceivePhase, kCountBits);
  return false;
}

[[gnu::always_inline]] inline Core::TransferStep Core::Transfer(Thread& s, Thread& r) {
  const L4_Word_t tag = s.mr[0];
  const unsigned u = L4_UntypedWords(L4_MsgTagOfRaw(tag));
  const unsigned t = L4_TypedWords(L4_MsgTagOfRaw(tag));
  MessageErrors errors{};
  if (faults_.on() && AnswerIsLost(r)) return TransferStep::kDone;
  CopyUntypedWords(s.mr, r.mr, u);
  if (faults_.on() && MessageIsCut(s, r)) {
    errors = {L4_IPC_OVERFLOW, L4_IPC_OVERFLOW, 0};
  } else if (t != 0) {
    if (u + t >= L4_NUM_MRS) {
      errors = {L4_IPC_OVERFLOW, L4_IPC_OVERFLOW, 0};
    } else if (TransferItems(s, r, u + 1, u + 1 + t, &errors) == TransferStep::kPending) {
      return TransferStep::kPending;
    }
  }
  return FinishMessage(s, r, errors) ? TransferStep::kDone : TransferStep::kFailed;
}

[[gnu::always_inline]] inline void Core::Delivered(Thread& s, Thread& r, bool good) {
  if (r.waits_for_start) {
    r.waits_for_start = false;
    if (L4_UntypedWords(L4_MsgTagOfRaw(r.mr[0])) == 2) {
      r.ip = r.mr[1];
      r.sp = r.mr[2];
    }
  }
  DisarmTimer(r);
  if (!faults_.on() || !AnswerHeldBack(r)) EndIpc(r);
  if (good && !L4_IsNilThread(s.virtual_sender)) TurnWait(s, r);
}

// The virtual sender, if it waits for the actual one, waits for the receiver instead: the answer
// will come from there.
void Core::TurnWait(Thread& s, Thread& r) {
  Thread* v = Find(s.virtual_sender);
  if (v == nullptr || v->state != ThreadState::kReceiving || v == &r) return;
  if (v->from_spec != s.gid) return;
  v->from_spec = r.gid;
  NoteWaiter(r, *v);
  if (FirstSenderFor(*v) != nullptr) StartReceive(*v);
}

// ---- Phases ----

// Starts the receive phase of `t`; returns a sender whose send this completed and whose own receive
// phase is due.
Thread* Core::StartReceiveStep(Thread& t) {
  const L4_ThreadId_t spec = t.from_spec;
  Thread* const partner = Find(spec);
  if (partner == nullptr && spec != L4_anythread && spec != L4_anylocalthread) {
    DisarmTimer(t);
    FailIpc(t, L4_IPC_NO_PARTNER << 1 | kReceivePhase, 0);
    EndIpc(t);
    return nullptr;
  }
  if (faults_.on() && TimeoutEndsAtOnce(t.receive_timeout)) {
    FailIpc(t, L4_IPC_TIMEOUT << 1 | kReceivePhase, 0);
    EndIpc(t);
    return nullptr;
  }
  Thread* s = FirstSenderFor(t);
  if (s == nullptr) {
    if (IsOver(t.receive_timeout, now_ns_)) {
      FailIpc(t, L4_IPC_TIMEOUT << 1 | kReceivePhase, 0);
      EndIpc(t);
    } else {
      t.state = ThreadState::kReceiving;
      if (partner != nullptr) NoteWaiter(*partner, t);
      ArmTimer(t, t.receive_timeout);
    }
    return nullptr;
  }
  RemoveSender(*s);
  DisarmTimer(*s);
  const TransferStep step = Transfer(*s, t);
  if (step == TransferStep::kPending) return nullptr;
  const bool good = step == TransferStep::kDone;
  Delivered(*s, t, good);
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
  self.from_spec = CanonicalSpec(self, from_spec);
  self.receive_timeout = static_cast<uint16_t>(timeouts);
  self.from = L4_nilthread;
  self.virtual_sender = self.intended = L4_nilthread;
  Thread* partner = nullptr;
  // 1. Send.
  if (!L4_IsNilThread(to)) {
    Thread* receiver = Resolve(self, to);
    if (receiver != nullptr && receiver->space != self.space) {
      receiver = Redirected(self, receiver);
    }
    if (receiver == nullptr) {
      FailIpc(self, L4_IPC_NO_PARTNER << 1 | kSendPhase, 0);
      return nullptr;
    }
    if (faults_.on() && TimeoutEndsAtOnce(send_timeout)) {
      FailIpc(self, L4_IPC_TIMEOUT << 1 | kSendPhase, kCountBits);
      return nullptr;
    }
    if ((self.mr[0] & L4_TAG_PROPAGATED) != 0) {
      self.virtual_sender = VirtualSenderFor(self, *receiver);
      if (L4_IsNilThread(self.virtual_sender)) self.mr[0] &= ~L4_TAG_PROPAGATED;
    }
    if (receiver->state == ThreadState::kReceiving && Accepts(*receiver, self)) {
      const TransferStep step = Transfer(self, *receiver);
      if (step == TransferStep::kPending) return nullptr;
      const bool good = step == TransferStep::kDone;
      // Delivered makes the receiver ready, and `self` is not receiving yet: a wait turned to
      // `self` meanwhile finds its queue.
      Delivered(self, *receiver, good);
      partner = receiver;
      if (!good) return partner;
    } else if (IsOver(send_timeout, now_ns_)) {
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

Fiber* Core::GeneralIpc(Thread& self, L4_ThreadId_t to, L4_ThreadId_t from_spec,
                        L4_Word_t timeouts) {
  Thread* partner = StartIpc(self, to, from_spec, timeouts);
  if (self.state != ThreadState::kReady) return Leave(partner);
  if (partner != nullptr && !L4_IsNilThread(from_spec) &&
      L4_IpcFailed(L4_MsgTagOfRaw(self.mr[0])) &&
      self.ipc_error == (L4_IPC_TIMEOUT << 1 | kReceivePhase)) {
    // Sent, and nothing to wait for. facts/l4.md section 5: the receiver gets the slice.
    DonateSlice(self, partner);
    return nullptr;
  }
  return MayGiveWay(SchedulePoint::kIpc) && GivesWay(SchedulePoint::kIpc) ? Leave(nullptr)
                                                                          : nullptr;
}

[[gnu::always_inline]] inline void Core::Ipc(Thread& self, L4_ThreadId_t to,
                                             L4_ThreadId_t from_spec, L4_Word_t timeouts) {
  Enter(profile_.costs.system_call + profile_.costs.ipc);
  Fiber* next = nullptr;
  bool sent = false;
  if ((detours_ | attention_) == 0 && !faults_.on()) [[likely]] {
    if (L4_IsNilThread(to)) {
      next = FastWait(self, from_spec, timeouts);
    } else {
      next = FastIpc(self, to, from_spec, timeouts);
      sent = next == nullptr && L4_IsNilThread(from_spec) && FastSend(self, to, timeouts);
    }
  }
  if (next == nullptr && !sent) next = GeneralIpc(self, to, from_spec, timeouts);
  if (next != nullptr) Fiber::Switch(self.fiber, *next, options_.switch_order);
  if (detours_ != 0) [[unlikely]] {
    Arrive(self);
    if (options_.scribble_registers) ScribbleAfterIpc(self, !L4_IsNilThread(from_spec));
  }
  if (L4_IpcFailed(L4_MsgTagOfRaw(self.utcb.mr[0]))) self.utcb.error_code = self.ipc_error;
}

// ---- Registers that programs must not rely on ----

void Core::Scribble(Thread& t, unsigned first, unsigned end) {
  // A word that is no address, no id of a thread and no small number, and tells which register.
  for (unsigned i = first; i < end; i++) t.utcb.mr[i] = ~L4_Word_t{0} / 255 * 0xdb ^ i;
}

// An IPC leaves the tag and the message received defined, as far as it got.
void Core::ScribbleAfterIpc(Thread& t, bool receives) {
  const L4_MsgTag_t tag = L4_MsgTagOfRaw(t.utcb.mr[0]);
  bool received = receives;
  if (L4_IpcFailed(tag)) {
    received = (t.ipc_error & 1) == kReceivePhase && (t.ipc_error >> 1 & 7) >= L4_IPC_OVERFLOW;
  }
  const unsigned words =
      received ? static_cast<unsigned>(L4_UntypedWords(tag) + L4_TypedWords(tag)) : 0;
  Scribble(t, words + 1, L4_NUM_MRS);
}

void Core::StartKernelIpc(Thread& t, KernelIpc kind, L4_ThreadId_t to) {
  // The user's message registers are not the kernel's.
  t.mr = t.kernel_mr;
  t.kernel_ipc = kind;
  StartIpc(t, to, to, L4_Timeouts(L4_Never, L4_Never));
  if (t.state == ThreadState::kReady && t.kernel_ipc != KernelIpc::kNone) KernelIpcEnded(t);
}

void Core::KernelIpcEnded(Thread& t) {
  if (t.kernel_ipc == KernelIpc::kInterrupt) return InterruptIpcEnded(t);
  if (t.kernel_ipc == KernelIpc::kException) {
    EndException(t);
  } else if (options_.scribble_registers) {
    // A real kernel keeps as many of the thread's registers as a proper answer has words.
    const L4_MsgTag_t tag = L4_MsgTagOfRaw(t.kernel_mr[0]);
    const auto words = static_cast<unsigned>(L4_UntypedWords(tag) + L4_TypedWords(tag));
    if (words > kFaultAnswerWords) {
      Scribble(t, kFaultAnswerWords + 1, std::min(words + 1, unsigned{L4_NUM_MRS}));
    }
  }
  if (t.kernel_ipc == KernelIpc::kStringFault) return ResumeTransfer(*t.transfer);
  t.mr = t.utcb.mr;
  t.kernel_ipc = KernelIpc::kNone;
  MakeReady(t);
}

// The IPC of `t` is over, well or not.
void Core::EndIpc(Thread& t) {
  if (t.kernel_ipc != KernelIpc::kNone) return KernelIpcEnded(t);
  MakeReady(t);
}

// The end of a message that had to wait. REQUIRES: neither thread is in a fault any more.
void Core::FinishTransfer(StringTransfer& x) {
  Thread& s = *x.sender;
  Thread& r = *x.receiver;
  s.virtual_sender = x.virtual_sender;
  s.intended = x.intended;
  s.from_spec = x.from_spec;
  s.receive_timeout = x.receive_timeout;
  const L4_Word_t offset = L4_Word_t{x.copied} << 4;
  const MessageErrors errors{x.sender_error, x.receiver_error, offset};
  FreeTransfer(x);
  const bool good = FinishMessage(s, r, errors);
  Delivered(s, r, good);
  if (good && !L4_IsNilThread(s.from_spec)) {
    StartReceive(s);
  } else {
    EndIpc(s);
  }
}

void Core::Reconsider(Thread& t) {
  if (t.state == ThreadState::kReceiving && FirstSenderFor(t) != nullptr) StartReceive(t);
  if (t.state != ThreadState::kSending) return;
  Thread& receiver = *t.send_to;
  if (receiver.state == ThreadState::kReceiving && Accepts(receiver, t)) StartReceive(receiver);
}

void Core::RequeueSender(Thread& s) {
  Thread& receiver = *s.send_to;
  RemoveSender(s);
  QueueSender(s, receiver);
}

void Core::AbortIpc(Thread& t, L4_Word_t error) {
  if (t.transfer != nullptr) return EndTransfer(*t.transfer, L4_IPC_ABORTED, L4_IPC_ABORTED);
  EndWait(t, error);
}

void Core::EndWait(Thread& t, L4_Word_t error) {
  const bool sending = t.state == ThreadState::kSending;
  CHECK(sending || t.state == ThreadState::kReceiving);
  if (sending) RemoveSender(t);
  DisarmTimer(t);
  t.answer_late = false;
  // A send that had to wait reports its counts; a failed receive has none.
  FailIpc(t, error, sending ? kCountBits : 0);
  EndIpc(t);
}

}  // namespace fake_l4

extern "C" {

L4_MsgTag_t L4_Ipc(L4_ThreadId_t to, L4_ThreadId_t from_specifier, L4_Word_t timeouts,
                   L4_ThreadId_t* from) {
  fake_l4::Thread* self = fake_l4::CurrentThreadOrNull();
  CHECK(self != nullptr);  // an L4 call from the host's own stack
  self->core->Ipc(*self, to, from_specifier, timeouts);
  *from = self->from;
  return L4_MsgTagOfRaw(self->utcb.mr[0]);
}

// Nothing about local IPC needs to be cheaper here.
L4_MsgTag_t L4_Lipc(L4_ThreadId_t to, L4_ThreadId_t from_specifier, L4_Word_t timeouts,
                    L4_ThreadId_t* from) {
  return L4_Ipc(to, from_specifier, timeouts, from);
}

}  // extern "C"
