// Page faults of clients: refill, or UVM and refill, or an exception.

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/thread.h>

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

// Between UVM's success and the refill another thread may take the translation away again. More
// often than this it is not bad luck but a kernel that gives no mapping memory, and the access
// fails. Attempts during which the page daemon freed pages say nothing of the kernel and count a
// sixty-fourth.
constexpr uint32_t kMaxAttempts = 64;
constexpr uint32_t kWithoutPageout = 64;

// What one more attempt counts. `freed`: pages that the daemon had freed at the attempt before.
uint32_t CountAttempt(uvm::Uvm* uvm, uint64_t* freed) {
  const uvm::DaemonCounters& daemon = uvm->pagedaemon().counters();
  const uint64_t now = daemon.freed_clean + daemon.freed_written + uvm->counters().pager_freed;
  const bool none = now == *freed;
  *freed = now;
  return none ? kWithoutPageout : 1;
}

base::Access AccessOf(L4_Word_t rights) {
  if ((rights & L4_Writable) != 0) return base::Access::kWrite;
  // Hardware that cannot tell execution from reading reports both; reading is what every page
  // permits that permits either.
  if ((rights & L4_Readable) != 0) return base::Access::kRead;
  return base::Access::kExecute;
}

base::FaultCode BsdCode(base::FaultError error) {
  switch (error) {
    case base::FaultError::kNoEntry:
      return base::FaultCode::kSegvMapErr;
    case base::FaultError::kProtection:
      return base::FaultCode::kSegvAccErr;
    case base::FaultError::kLayerless:
      return base::FaultCode::kSegvMapErr;
    case base::FaultError::kNoMemory:
      return base::FaultCode::kKill;
    case base::FaultError::kIo:
      return base::FaultCode::kBus;
    case base::FaultError::kPastEnd:
      return base::FaultCode::kBus;
  }
  UNREACHABLE("no such fault error");
}

base::FaultCode MachCode(base::FaultError error) {
  switch (error) {
    case base::FaultError::kNoEntry:
      return base::FaultCode::kMachInvalidAddress;
    case base::FaultError::kProtection:
      return base::FaultCode::kMachProtection;
    case base::FaultError::kLayerless:
      return base::FaultCode::kMachInvalidAddress;
    case base::FaultError::kNoMemory:
      return base::FaultCode::kMachShortage;
    case base::FaultError::kIo:
      return base::FaultCode::kMachMemoryError;
    case base::FaultError::kPastEnd:
      return base::FaultCode::kMachMemoryError;
  }
  UNREACHABLE("no such fault error");
}

}  // namespace

// A translation for the access, by UVM. False: it would have to wait and must not.
base::Result<bool, base::FaultError> Server::Resolve(Task* task, base::Vaddr va,
                                                     base::Access access, Patience patience) {
  if (patience == Patience::kNone) {
    return TRY(uvm_->FaultPromptly(task->space, va, access)) == uvm::FaultHandler::Prompt::kDone;
  }
  TRY(uvm_->Fault(task->space, va, access));
  return true;
}

bool Server::ServesFault(ServerThread* self, const Message& message) {
  // Another thread may have the pager and the worker by now.
  return IsVoid(*self, message) || HandleFault(self, message, Patience::kNone);
}

static_assert(kMaxThreads <= pmap_sim::Answers::kThreads, "the pmap tells all of a task apart");

bool Server::HandleFault(ServerThread* pager, const Message& message, Patience patience) {
  Task* task = message.task;
  const base::Vaddr va = base::Vaddr(message.words[0]);
  const base::Access access = AccessOf(L4_PageFaultAccess(message.tag));
  const bool own_name = patience == Patience::kNone;
  const pmap_sim::ReplyTarget to = {message.client, own_name ? L4_nilthread : pager->thread};
  base::FaultError error = base::FaultError::kNoMemory;
  uint64_t freed = 0;
  for (uint32_t attempt = 0; attempt < kMaxAttempts * kWithoutPageout;) {
    pmap_sim::RefillResult result = pmap_.Refill(task->space->pmap(), va, access, to);
    if (result == pmap_sim::RefillResult::kSent) {
      if (attempt == 0) ++counters_.refills;
      ++counters_.faults;
      return true;
    }
    if (result == pmap_sim::RefillResult::kNoMemory) break;
    auto resolved = Resolve(task, va, access, patience);
    if (!resolved.ok()) {
      error = resolved.error();
      break;
    }
    if (!resolved.value()) return false;
    attempt += attempt == 0 ? 1 : CountAttempt(&*uvm_, &freed);
  }
  ++counters_.faults;
  ++counters_.faults_failed;
  Raise(message.client, task->personality == Personality::kBsd ? BsdCode(error) : MachCode(error));
  return true;
}

// Takes the client out of its fault and lets it go on at its exception address (feature
// "pagerexregs").
void Server::Raise(L4_ThreadId_t client, base::FaultCode code) {
  L4_Word_t control = 0, sp = 0, ip = 0, flags = 0, handle = 0;
  L4_ThreadId_t pager = L4_nilthread;
  L4_ExchangeRegisters(
      client,
      L4_EXREGS_CANCEL_RECV | L4_EXREGS_CANCEL_SEND | L4_EXREGS_SET_IP | L4_EXREGS_SET_HANDLE, 0,
      config_.exception_ip, 0, static_cast<L4_Word_t>(code), L4_nilthread, &control, &sp, &ip,
      &flags, &handle, &pager);
}

}  // namespace vmserver
