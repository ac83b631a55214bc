// Calls that another worker does than the caller's own: naming tasks, and having their main workers
// do the work.

#include <l4/message.h>

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

using base::KernReturn;

Answer Silent() {
  Answer answer(base::Errno::kEsrch);
  answer.silent = true;
  return answer;
}

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

Answer Server::CallOn(ServerThread* self, Task* caller, uint32_t id, const Message& message) {
  Answer answer = KernReturn::kSuccess;
  Errand errand;
  errand.caller = caller;
  errand.message = &message;
  errand.answer = &answer;
  errand.waiter = self;
  ServerThread* worker = nullptr;
  bool wake = false;
  {
    uvm::MutexLock lock(&mu_);
    const bool own = self != caller->worker;
    // Under the lock: whoever ends the thread silences it first, and then looks for its errand.
    if (own && IsVoid(*self->partner, message)) return Silent();
    if (own) errand.target = caller;
    for (Task* task = tasks_.front(); task != nullptr && !own; task = tasks_.Next(task)) {
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
    if (errand->message != nullptr) {
      ++counters_.errands;
      const bool own = errand->caller == errand->target;
      *errand->answer = own ? Dispatch(self, errand->target, *errand->message)
                            : DispatchOn(errand->caller, errand->target, *errand->message);
    }
    threads_.Unpark(errand->waiter);
  }
}

// Of a thread's own errand nobody is left to hear.
void Server::Disappoint(Errand* errand) {
  if (errand->message != nullptr) {
    const bool own = errand->caller == errand->target;
    *errand->answer = own ? Silent() : NoSuchTask(*errand->message);
  }
  threads_.Unpark(errand->waiter);
}

void Server::TakeErrandsBack(Task* task, const ServerThread* worker) {
  base::List<Errand, &Errand::link> taken;
  {
    uvm::MutexLock lock(&mu_);
    Errand* next;
    for (Errand* at = task->worker->errands.front(); at != nullptr; at = next) {
      next = task->worker->errands.Next(at);
      if (at->waiter != worker) continue;
      task->worker->errands.Remove(at);
      taken.PushBack(at);
    }
  }
  while (Errand* errand = taken.PopFront()) Disappoint(errand);
}

void Server::WaitFor(ServerThread* worker) {
  Errand errand;
  errand.waiter = threads_.Current();
  bool wake = false;
  {
    uvm::MutexLock lock(&mu_);
    worker->errands.PushBack(&errand);
    wake = worker->Call();
  }
  if (wake) threads_.Unpark(worker);
  threads_.Park();
}

}  // namespace vmserver
