// What injected faults do to messages, first of all to the answers of pagers. A pager's answer that
// was changed here maps less than the pager sent and nothing that it did not send, so that a pager
// which answers the repeated fault again puts everything right.
#include <l4/ipc.h>

#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

// How much later than the pager's answer a thread goes on.
constexpr uint64_t kLateNs = 1'000'000;

bool WaitsForPager(const Thread& t) {
  return t.kernel_ipc == KernelIpc::kPageFault || t.kernel_ipc == KernelIpc::kStringFault;
}

}  // namespace

// A period or point that has not passed yet may pass before the partner's turn comes; no time at
// all cannot, and never does not.
bool Core::TimeoutEndsAtOnce(uint16_t timeout) {
  const bool is_period = (timeout & 0x8000) == 0;
  if (timeout == L4_Never.raw || (is_period && (timeout & 1023) == 0)) return false;
  return faults_.Fires(FaultSite::kIpcTimeout);
}

bool Core::IsSpared(const Thread& t) const {
  return options_.faults_spare_root && t.space != nullptr && t.space->id == kRootSpace;
}

bool Core::PagerDies(const Thread& t) {
  return faults_.on() && !IsSpared(t) && faults_.Fires(FaultSite::kPagerDies);
}

// The kernel's own messages, and those that start a thread, are never cut.
bool Core::MessageIsCut(const Thread& s, const Thread& r) {
  const bool between_users = s.kernel_ipc == KernelIpc::kNone && r.kernel_ipc == KernelIpc::kNone;
  return between_users && !r.waits_for_start && !(IsSpared(s) && IsSpared(r)) &&
         faults_.Fires(FaultSite::kIpcCut);
}

bool Core::AnswerIsLost(Thread& r) {
  r.answer_lost = WaitsForPager(r) && !IsSpared(r) && faults_.Fires(FaultSite::kPagerNever);
  return r.answer_lost;
}

void Core::SpoilAnswer(const Thread& r, uint64_t* send_base, uint64_t* send_fpage) {
  if (!WaitsForPager(r)) return;
  const bool wrong = faults_.Fires(FaultSite::kPagerWrongFpage);
  const bool smaller = faults_.Fires(FaultSite::kPagerSmallerFpage);
  const FpageValue send = DecodeFpage(*send_fpage, profile_);
  if ((!wrong && !smaller) || send.nil()) return;
  if (send.log2 == kPageShift) {
    // A page has no smaller parts: a nilpage maps nothing.
    *send_fpage = L4_Nilpage.raw;
    return;
  }
  // The window of a fault is the whole space, so the send base is where the fpage goes. `wrong` is
  // the half that does not help; `smaller` the first page, which helps if that was asked for.
  const unsigned log2 = wrong ? send.log2 - 1u : kPageShift;
  const uint64_t base = *send_base >> send.log2 << send.log2;
  const uint64_t half = uint64_t{1} << (send.log2 - 1);
  const bool asked_is_in_lower_half = r.fault_va >= base && r.fault_va - base < half;
  const uint64_t offset = wrong && asked_is_in_lower_half ? half : 0;
  *send_fpage = (send.base + offset) | uint64_t{log2} << 4 | send.rights;
  *send_base = base + offset;
}

bool Core::AnswerHeldBack(Thread& r) {
  if (!WaitsForPager(r)) return false;
  if (r.answer_lost) {
    // As if nothing had come: it waits for its pager as before.
    r.answer_lost = false;
    r.state = ThreadState::kReceiving;
    return true;
  }
  if (!faults_.Fires(FaultSite::kPagerLate)) return false;
  r.answer_late = true;
  r.state = ThreadState::kReceiving;
  r.from_spec = L4_nilthread;
  ArmTimerAt(r, now_ns_ + kLateNs);
  return true;
}

void Core::EndLateAnswer(Thread& t) {
  t.answer_late = false;
  DisarmTimer(t);
  EndIpc(t);
}

}  // namespace fake_l4
