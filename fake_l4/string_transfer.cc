#include "fake_l4/string_transfer.h"

#include <l4/ipc.h>
#include <l4/message.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "fake_l4/core.h"

namespace fake_l4 {

// ---- Strings as registers describe them ----

bool StringCursor::TakeGroup() {
  if (at >= limit) return false;
  head = words[at];
  return at + pointers() < limit;
}

bool StringCursor::Open(unsigned first) {
  at = first;
  sub = 0;
  offset = 0;
  // Bit 3 clear: a string, whatever its cache hints.
  return TakeGroup() && (head & 8) == 0;
}

bool StringCursor::Next() {
  offset = 0;
  if (++sub < pointers()) return true;
  if (!continues()) return false;
  at += 1 + pointers();
  sub = 0;
  return TakeGroup();
}

unsigned StringCursor::End() const {
  StringCursor c = *this;
  for (;;) {
    const unsigned next = c.at + 1 + c.pointers();
    if (!c.continues()) return next;
    c.at = next;
    if (!c.TakeGroup()) return 0;
  }
}

// ---- Copying ----

namespace {

constexpr L4_Word_t kMoreBuffers = 1;  // C of a string buffer: another one follows

}  // namespace

// The host address of a byte that `t`'s memory has at `va` with the right `need`, touched; null
// when it must fault first. *bytes, which lie in one page, become those that follow there: the KIP
// and a UTCB may be shorter.
uint8_t* Core::TouchForCopy(Thread& t, uint64_t va, RightsBits need, uint64_t* bytes) {
  const uint64_t vpage = va >> kPageShift;
  const PageTable::Found page = t.space->table.Walk(vpage);
  if (page.pte == nullptr || (page.pte->rights() & need) == 0) {
    if (!t.space->IsKernelArea(va)) return nullptr;
    size_t there = *bytes;
    uint8_t* p =
        KernelAreaAt(*t.space, va, need == kW ? AccessKind::kStore : AccessKind::kLoad, &there);
    *bytes = there;
    return p;
  }
  page.pte->AddStatus(need == kW ? profile_.status_write : profile_.status_read);
  const uint64_t frame = page.pte->frame_number() + (vpage - page.vpage);
  if (need == kW) Stamp(frame);
  return ram_at(frame) + (va & (kPageBytes - 1));
}

// Copies what is left of the string at hand.
Core::TransferStep Core::CopyString(StringTransfer& x) {
  const auto fail = [&x](L4_Word_t error) {
    x.sender_error = x.receiver_error = error;
    return TransferStep::kFailed;
  };
  for (;;) {
    while (x.from.left() == 0) {
      if (!x.from.Next()) return TransferStep::kDone;
    }
    while (x.to.left() == 0) {
      if (!x.to.Next()) return fail(L4_IPC_OVERFLOW);
    }
    const uint64_t source = x.from.address(), target = x.to.address();
    uint64_t bytes = std::min(x.from.left(), x.to.left());
    bytes = std::min({bytes, kPageBytes - (source & (kPageBytes - 1)),
                      kPageBytes - (target & (kPageBytes - 1))});
    // Beyond user addresses there is no page to fault on.
    const uint64_t limit = profile_.user_top;
    if (source >= limit || target >= limit) return fail(L4_IPC_OVERFLOW);
    const uint8_t* from = TouchForCopy(*x.sender, source, kR, &bytes);
    if (from == nullptr) return FaultInTransfer(x, *x.sender, source, profile_.fault_read);
    uint8_t* to = TouchForCopy(*x.receiver, target, kW, &bytes);
    if (to == nullptr) return FaultInTransfer(x, *x.receiver, target, profile_.fault_write);
    std::memmove(to, from, bytes);
    Spend(profile_.costs.access * (1 + bytes / 64));
    x.from.offset += static_cast<uint32_t>(bytes);
    x.to.offset += static_cast<uint32_t>(bytes);
    x.copied += static_cast<uint32_t>(bytes);
  }
}

// Begins with the string item at x.item: its words, and the receiver's next buffer.
bool Core::BeginString(StringTransfer& x) {
  const Thread& s = *x.sender;
  Thread& r = *x.receiver;
  r.mr[x.item] = s.mr[x.item];
  const bool accepts = r.kernel_ipc == KernelIpc::kNone && !r.waits_for_start &&
                       L4_HasStringItems(L4_AcceptorOfRaw(r.utcb.br[0]));
  x.from = {.words = s.mr, .limit = L4_NUM_MRS};
  if (!accepts || !x.from.Open(x.item)) return false;
  x.next_item = x.from.End();
  if (x.next_item == 0) return false;
  // Pointers arrive as they are, however little they mean there.
  for (unsigned i = x.item + 1; i < x.next_item; i++) r.mr[i] = s.mr[i];
  x.to = {.words = r.utcb.br, .limit = L4_NUM_BRS};
  if (x.buffer == 0 || !x.to.Open(x.buffer)) return false;
  x.buffer = (r.utcb.br[x.buffer] & kMoreBuffers) != 0 ? x.to.End() : 0;
  x.in_string = true;
  return true;
}

Core::TransferStep Core::RunTransfer(StringTransfer& x) {
  while (x.item < x.end) {
    if (!x.in_string) {
      const unsigned type = x.sender->mr[x.item] & 0xe;
      if ((type & 8) != 0) {
        if (!TransferMapItem(*x.sender, *x.receiver, x.item)) {
          x.sender_error = x.receiver_error = L4_IPC_OVERFLOW;
          return TransferStep::kFailed;
        }
        x.item += 2;
        continue;
      }
      if (!BeginString(x)) {
        x.sender_error = x.receiver_error = L4_IPC_OVERFLOW;
        return TransferStep::kFailed;
      }
    }
    const TransferStep step = CopyString(x);
    if (step != TransferStep::kDone) return step;
    x.in_string = false;
    x.item = x.next_item;
  }
  return TransferStep::kDone;
}

// The rest of a message from its first string item on.
Core::TransferStep Core::StartTransfer(Thread& s, Thread& r, unsigned item, unsigned end,
                                       StringTransfer** out) {
  if (free_transfers_.empty()) {
    transfer_storage_.push_back(std::make_unique<StringTransfer>());
    free_transfers_.push_back(transfer_storage_.back().get());
  }
  StringTransfer& x = *free_transfers_.back();
  free_transfers_.pop_back();
  x = {};
  x.sender = &s;
  x.receiver = &r;
  x.item = item;
  x.end = end;
  x.buffer = 1;
  *out = &x;
  return RunTransfer(x);
}

// ---- Faults ----

// The earlier of the two transfer timeouts, from now on.
uint64_t Core::TransferDeadline(const StringTransfer& x) const {
  const auto sender = static_cast<uint16_t>(x.sender->utcb.xfer_timeouts >> 16);
  const auto receiver = static_cast<uint16_t>(x.receiver->utcb.xfer_timeouts);
  uint64_t deadline = UINT64_MAX;
  for (const uint16_t timeout : {sender, receiver}) {
    if (timeout != L4_Never.raw) deadline = std::min(deadline, DeadlineNs(timeout, now_ns_));
  }
  return deadline;
}

// `t`, one of the two, misses a page. Whatever happens next, the caller must not touch x after
// kPending.
Core::TransferStep Core::FaultInTransfer(StringTransfer& x, Thread& t, uint64_t va,
                                         RightsBits access) {
  Thread& s = *x.sender;
  Thread& r = *x.receiver;
  Thread& other = &t == &s ? r : s;
  ledger_.page_faults++;
  Spend(profile_.costs.page_fault);
  if (x.faulter == nullptr) {
    x.deadline_ns = TransferDeadline(x);
    x.virtual_sender = s.virtual_sender;
    x.intended = s.intended;
    x.from_spec = s.from_spec;
    x.receive_timeout = s.receive_timeout;
    DisarmTimer(r);
    s.transfer = r.transfer = &x;
  }
  x.faulter = &t;
  if (x.deadline_ns <= now_ns_) {
    SetTransferTimeoutErrors(x);
    return TransferStep::kFailed;
  }
  if (x.deadline_ns != UINT64_MAX) ArmTimerAt(other, x.deadline_ns);
  other.state = ThreadState::kInTransfer;
  t.kernel_ipc = KernelIpc::kStringFault;
  t.fault_va = va;
  const L4_ThreadId_t pager = L4_ThreadIdOfRaw(t.utcb.pager);
  if (Resolve(t, pager) == nullptr || PagerDies(t)) {
    t.state = ThreadState::kNoPager;
    return TransferStep::kPending;
  }
  t.kernel_mr[0] = L4_MakeMsgTag(L4_LABEL_PAGEFAULT | access, 2, 0).raw;
  t.kernel_mr[1] = static_cast<L4_Word_t>(va);
  t.kernel_mr[2] = static_cast<L4_Word_t>(t.ip);
  t.state = ThreadState::kReady;  // to speak for it; it stays out of the scheduler's queue
  StartKernelIpc(t, KernelIpc::kStringFault, pager);
  return TransferStep::kPending;
}

void Core::SetTransferTimeoutErrors(StringTransfer& x) {
  const bool in_sender = x.faulter == x.sender;
  x.sender_error = in_sender ? L4_IPC_XFER_TIMEOUT : L4_IPC_PARTNER_XFER_TIMEOUT;
  x.receiver_error = in_sender ? L4_IPC_PARTNER_XFER_TIMEOUT : L4_IPC_XFER_TIMEOUT;
}

// ---- Going on, and ending ----

// Takes the two threads out of the fault they wait for.
void Core::LeaveFault(StringTransfer& x) {
  Thread& t = *x.faulter;
  Thread& other = &t == x.sender ? *x.receiver : *x.sender;
  if (t.send_to != nullptr) RemoveSender(t);
  if (t.answer_late) DisarmTimer(t);
  t.answer_late = false;
  t.kernel_ipc = KernelIpc::kNone;
  t.mr = t.utcb.mr;
  t.state = ThreadState::kInTransfer;
  DisarmTimer(other);
}

void Core::ResumeTransfer(StringTransfer& x) {
  LeaveFault(x);
  // What completes a fault may complete another one inside; they go on one after the other, on one
  // stack.
  resumed_.push_back(&x);
  if (resuming_) return;
  resuming_ = true;
  for (size_t i = 0; i < resumed_.size(); i++) {
    StringTransfer* next = resumed_[i];
    if (next == nullptr) continue;
    resumed_[i] = nullptr;
    if (RunTransfer(*next) != TransferStep::kPending) FinishTransfer(*next);
  }
  resumed_.clear();
  resuming_ = false;
}

void Core::FreeTransfer(StringTransfer& x) {
  x.sender->transfer = x.receiver->transfer = nullptr;
  free_transfers_.push_back(&x);
}

void Core::EndTransfer(StringTransfer& x, L4_Word_t sender_error, L4_Word_t receiver_error) {
  x.sender_error = sender_error;
  x.receiver_error = receiver_error;
  for (StringTransfer*& resumed : resumed_) {
    if (resumed == &x) resumed = nullptr;
  }
  LeaveFault(x);
  FinishTransfer(x);
}

void Core::TransferTimedOut(StringTransfer& x) {
  SetTransferTimeoutErrors(x);
  EndTransfer(x, x.sender_error, x.receiver_error);
}

void Core::PagerAppeared(Thread& t) {
  CHECK(t.state == ThreadState::kNoPager);
  if (t.transfer != nullptr) return ResumeTransfer(*t.transfer);
  MakeReady(t);
}

bool Core::InSendPhase(const Thread& t) const {
  return t.transfer != nullptr ? t.transfer->sender == &t : t.state == ThreadState::kSending;
}

bool Core::InReceivePhase(const Thread& t) const {
  return t.transfer != nullptr ? t.transfer->receiver == &t : t.state == ThreadState::kReceiving;
}

}  // namespace fake_l4
