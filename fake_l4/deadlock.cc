// Who can never run again, and why. Read when nothing can run.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fake_l4/core.h"

namespace fake_l4 {

namespace {

std::string IdText(L4_ThreadId_t id) { return absl::StrCat(L4_ThreadNo(id), ".", L4_Version(id)); }

}  // namespace

// The id that `t` waits for and nobody else can take the place of; nilthread when it rests: anybody
// may send to it, or the host wakes it, or it has not begun, or is over.
L4_ThreadId_t Core::WaitsFor(const Thread& t) const {
  if (t.state == ThreadState::kSending) return t.send_to->gid;
  if (t.state == ThreadState::kInTransfer) return t.transfer->faulter->gid;
  if (t.state != ThreadState::kReceiving || t.waits_for_start) return L4_nilthread;
  // A device may raise it any time.
  if (t.is_interrupt && !t.interrupt_serving) return L4_nilthread;
  const L4_ThreadId_t spec = t.from_spec;
  return spec == L4_anythread || spec == L4_anylocalthread ? L4_nilthread : spec;
}

// Why nothing will come from `t`, whatever happens; null when something may.
const char* Core::DeadEnd(const Thread& t) const {
  if (t.halted) {
    return t.halted_by_exception ? "has an exception that nobody handled" : "is halted";
  }
  switch (t.state) {
    case ThreadState::kReturned:
      return "has returned";
    case ThreadState::kNoCode:
      return "has no code at its ip";
    case ThreadState::kNoPager:
      return "has a page fault that no pager serves";
    default:
      return nullptr;
  }
}

std::string Core::WaitText(const Thread& t) const {
  const bool sends = t.state == ThreadState::kSending;
  const char* what = sends ? " sends to " : " receives from ";
  if (t.state == ThreadState::kInTransfer) what = " waits in a string transfer for a page of ";
  switch (t.kernel_ipc) {
    case KernelIpc::kPageFault:
      what = sends ? " reports a page fault to " : " has a page fault served by ";
      break;
    case KernelIpc::kNone:
      break;
    default:
      what = sends ? " is reported by the kernel to " : " waits for the kernel's message to ";
      break;
  }
  return absl::StrCat("thread ", IdText(t.gid), what, IdText(WaitsFor(t)));
}

// The chain from `t` until it ends or comes back to itself.
std::string Core::ChainText(const Thread& t) const {
  std::vector<const Thread*> chain{&t};
  std::string text;
  for (;;) {
    const Thread& last = *chain.back();
    if (const char* end = DeadEnd(last); end != nullptr) {
      return absl::StrCat(text, "thread ", IdText(last.gid), " ", end);
    }
    const L4_ThreadId_t wanted = WaitsFor(last);
    if (L4_IsNilThread(wanted)) return "";
    absl::StrAppend(&text, WaitText(last), "; ");
    const Thread* next = Resolve(last, wanted);
    if (next == nullptr) return absl::StrCat(text, "thread ", IdText(wanted), " does not exist");
    const auto met = std::find(chain.begin(), chain.end(), next);
    if (met != chain.end()) {
      absl::StrAppend(&text, "cycle:");
      for (auto it = met; it != chain.end(); ++it) absl::StrAppend(&text, " ", IdText((*it)->gid));
      return text;
    }
    chain.push_back(next);
  }
}

bool Core::IsStuck(const Thread& t) const {
  if (t.halted) return t.halted_by_exception;
  if (t.is_interrupt) return false;
  if (t.state == ThreadState::kNoPager) return true;
  return !L4_IsNilThread(WaitsFor(t)) && !ChainText(t).empty();
}

bool Core::AnyStuck() const {
  for (const Thread* t = all_threads_; t != nullptr; t = t->all_next) {
    if (IsStuck(*t)) return true;
  }
  return false;
}

std::string Kernel::DescribeDeadlock() const {
  std::string text;
  for (const Thread* t : core_->by_number_) {
    if (t != nullptr && core_->IsStuck(*t)) absl::StrAppend(&text, core_->ChainText(*t), "\n");
  }
  return text;
}

}  // namespace fake_l4
