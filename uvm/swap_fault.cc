#include "uvm/swap_fault.h"

namespace uvm {

const char* SwapFault::Name(Kind kind) {
  switch (kind) {
    case Kind::kReadError:
      return "read_error";
    case Kind::kWriteError:
      return "write_error";
    case Kind::kTornWrite:
      return "torn_write";
    case Kind::kSlow:
      return "slow";
    case Kind::kVanish:
      return "vanish";
  }
  return "?";
}

void SwapFault::Arm(Kind kind, uint64_t skip, uint64_t count) {
  guard_.Acquire(threads_);
  Script& script = scripts_[static_cast<int>(kind)];
  script.skip = skip;
  script.count = count;
  guard_.Release();
}

void SwapFault::SetChance(Kind kind, uint32_t chance) {
  guard_.Acquire(threads_);
  scripts_[static_cast<int>(kind)].chance = chance;
  guard_.Release();
}

void SwapFault::Heal() {
  guard_.Acquire(threads_);
  for (Script& script : scripts_) script = {};
  vanished_ = false;
  guard_.Release();
}

void SwapFault::Note(Kind kind, const SwapTransfer* transfer) {
  events_[event_count_ % kRemembered] = {kind, transfer->direction, transfer->count,
                                         transfer->block};
  ++event_count_;
}

bool SwapFault::Happens(Kind kind, const SwapTransfer* transfer) {
  const bool reads = transfer->direction == SwapDirection::kRead;
  if (kind == Kind::kReadError ? !reads : reads && kind <= Kind::kTornWrite) return false;
  Script& script = scripts_[static_cast<int>(kind)];
  bool happens = script.chance != 0 && prng_.Chance(script.chance, 65536);
  if (script.skip > 0) {
    --script.skip;
  } else if (script.count > 0) {
    --script.count;
    happens = true;
  }
  return happens;
}

// What a failed read brought is nobody's data.
void SwapFault::Fail(SwapTransfer* transfer, SwapResult result) {
  if (transfer->direction == SwapDirection::kRead) {
    for (uint32_t i = 0; i < transfer->count; ++i)
      __builtin_memset(transfer->pages[i], 0xdb, base::kPageSize);
  }
  transfer->result = result;
  transfer->done(transfer);
}

// Guarded. False: too many at a time, or the device does not say what it holds.
bool SwapFault::Tear(SwapTransfer* transfer) {
  Torn* torn = nullptr;
  for (Torn& candidate : torn_) {
    if (candidate.original == nullptr) torn = &candidate;
  }
  const auto at = static_cast<uint32_t>((prng_.Next() >> 32) * transfer->count >> 32);
  if (torn == nullptr) return false;
  torn->original = transfer;
  torn->fault = this;
  torn->transfer.direction = SwapDirection::kWrite;
  torn->transfer.block = transfer->block;
  torn->transfer.count = at + 1;
  torn->transfer.done = TornIsDone;
  torn->transfer.context = torn;
  for (uint32_t i = 0; i < at; ++i) torn->transfer.pages[i] = transfer->pages[i];
  const unsigned char* old = below_->DebugBytes(transfer->block + at);
  if (old != nullptr) {
    __builtin_memcpy(torn->half, old, base::kPageSize);
  } else {
    __builtin_memset(torn->half, 0xdb, base::kPageSize);
  }
  __builtin_memcpy(torn->half, transfer->pages[at], base::kPageSize / 2);
  torn->transfer.pages[at] = torn->half;
  return true;
}

void SwapFault::TornIsDone(SwapTransfer* transfer) {
  auto* torn = static_cast<Torn*>(transfer->context);
  SwapFault* fault = torn->fault;
  SwapTransfer* original = torn->original;
  original->result = transfer->result;
  fault->guard_.Acquire(fault->threads_);
  torn->original = nullptr;
  fault->guard_.Release();
  original->done(original);
}

void SwapFault::Start(SwapTransfer* transfer) {
  const bool reads = transfer->direction == SwapDirection::kRead;
  const uint64_t now = threads_->Now();
  guard_.Acquire(threads_);
  bool happens[kKinds];
  for (int k = 0; k < kKinds; ++k) happens[k] = Happens(static_cast<Kind>(k), transfer);
  auto is = [&](Kind kind) { return happens[static_cast<int>(kind)]; };
  if (is(Kind::kVanish)) vanished_ = true;
  const Kind error = vanished_ ? Kind::kVanish : reads ? Kind::kReadError : Kind::kWriteError;
  const bool fails = vanished_ || is(error);
  SwapTransfer* goes_down = transfer;
  if (fails) {
    Note(error, transfer);
  } else if (is(Kind::kTornWrite) && Tear(transfer)) {
    Note(Kind::kTornWrite, transfer);
    for (Torn& torn : torn_) {
      if (torn.original == transfer) goes_down = &torn.transfer;
    }
  }
  const bool waits = !fails && is(Kind::kSlow);
  if (waits) {
    Note(Kind::kSlow, transfer);
    goes_down->due_us = now + slow_us_;
    SwapTransfer* before = slow_.back();
    while (before != nullptr && before->due_us > goes_down->due_us) before = slow_.Prev(before);
    if (before == nullptr) {
      slow_.PushFront(goes_down);
    } else {
      slow_.InsertAfter(before, goes_down);
    }
  }
  guard_.Release();
  if (fails) return Fail(transfer, error == Kind::kVanish ? SwapResult::kAway : SwapResult::kIo);
  if (!waits) below_->Start(goes_down);
}

uint64_t SwapFault::NextDue() const {
  guard_.Acquire(threads_);
  const SwapTransfer* first = slow_.front();
  const uint64_t due = first == nullptr ? kNever : first->due_us;
  guard_.Release();
  const uint64_t below = below_->NextDue();
  return due < below ? due : below;
}

void SwapFault::Poll(uint64_t now_us) {
  for (;;) {
    guard_.Acquire(threads_);
    SwapTransfer* first = slow_.front();
    const bool due = first != nullptr && first->due_us <= now_us;
    if (due) slow_.Remove(first);
    const bool fails = due && vanished_;
    if (fails) Note(Kind::kVanish, first);
    guard_.Release();
    if (!due) break;
    if (fails) {
      Fail(first, SwapResult::kAway);
    } else {
      below_->Start(first);
    }
  }
  below_->Poll(now_us);
}

}  // namespace uvm
