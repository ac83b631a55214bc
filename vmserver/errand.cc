// Calls on other tasks: naming them, and having their workers do the work.

#include <l4/message.h>

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

using base::KernReturn;

}  // namespace

// What a port that is none gets. A task is the destination of every call but vm_wire, where it is
// an operand; the host's names are good names, but no tasks'.
Answer Server::NoSuchTask(const Message& message) {
  const auto request = static_cast<uint32_t>(L4_Label(message.tag));
  if (request == kBsdPeek || request == kBsdPoke) return base::Errno::kEsrch;
  const L4_Word_t name = message.words[0];
  const bool host = name == kHostName || name == kHostPrivName;
  if (request == kMachVmWire || request == kMachVmWireAll) return KernReturn::kInvalidTask;
  if (!host) return KernReturn::kSendInvalidDest;
  return request == kMachTaskCreate || request == kMachTaskTerminate ? KernReturn::kInvalidTask
                                                                     : KernReturn::kInvalidArgument;
}

Answer Server::CallOn(Task* caller, uint32_t id, const Message& message) {
  Answer answer = KernReturn::kSuccess;
  Errand errand;
  errand.caller = caller;
  errand.message = &message;
  errand.answer = &answer;
  errand.waiter = threads_.Current();
  ServerThread* worker = nullptr;
  bool wake = false;
  {
    uvm::MutexLock lock(&mu_);
    for (Task* task = tasks_.front(); task != nullptr; task = tasks_.Next(task)) {
      const bool may = task->owner == caller->id || caller == init_;
      if (task->id == id && may) errand.target = task;
    }
    if (errand.target == nullptr) return NoSuchTask(message);
    worker = errand.target->worker;
    worker->errands.PushBack(&errand);
    wake = worker->Call();
  }
  if (wake) threads_.Unpark(worker);
  threads_.Park();
  return answer;
}

void Server::RunErrands(ServerThread* self) {
  for (;;) {
    Errand* errand;
    {
      uvm::MutexLock lock(&mu_);
      errand = self->errands.PopFront();
      if (errand == nullptr) __atomic_store_n(&self->called, 0u, __ATOMIC_SEQ_CST);
    }
    if (errand == nullptr) return;
    ++counters_.errands;
    *errand->answer = DispatchOn(errand->caller, errand->target, *errand->message);
    threads_.Unpark(errand->waiter);
  }
}

}  // namespace vmserver
