// Threads of a task beyond its first: birth, and the end of one or of all but one.
//
// A thread ends in three steps. It is silent: the L4 thread does not exist any more, and what it
// said and nobody has begun to do is void. Its call that waits for the main worker is taken back.
// Then, when its worker says that it is not in the middle of a fault, pager and worker are free,
// and the space may go.

#include <l4/ipc.h>
#include <l4/thread.h>

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {

using base::Errno;

Answer Server::ThreadCreate(Task* task) {
  uint32_t number = 0;
  while (number < kMaxThreads && task->threads[number].exists()) ++number;
  if (number == kMaxThreads) return Errno::kEagain;
  ClientThread& thread = task->threads[number];
  const ClientThread* sibling = task->threads;
  while (!sibling->exists()) ++sibling;
  {
    uvm::MutexLock lock(&mu_);
    if (!NameThread(&thread)) return Errno::kEnomem;
    // The main ones outlive the task's first thread.
    if (thread.pager == nullptr) thread.pager = TakePager();
  }
  const L4_Word_t utcb = L4_Address(config_.client_utcb_area) + number * config_.client_utcb_bytes;
  if (thread.pager == nullptr ||
      L4_ThreadControl(thread.id, sibling->id, threads_.root(), thread.pager->thread,
                       reinterpret_cast<void*>(utcb)) == 0) {
    thread.id = L4_nilthread;
    if (thread.pager != nullptr) Dismiss(task, &thread, nullptr);
    return Errno::kEnomem;
  }
  StartThread(task, thread);
  return Answer(Errno::kOk).With(number).With(thread.id.raw);
}

// A task has a thread as long as it lives: the last one exits.
Answer Server::ThreadEnd(Task* task, const Message& m) {
  if (m.words[0] >= kMaxThreads || !task->threads[m.words[0]].exists()) return Errno::kEsrch;
  ClientThread& thread = task->threads[m.words[0]];
  uint32_t count = 0;
  for (const ClientThread& one : task->threads) count += one.exists() ? 1 : 0;
  if (count == 1) return Errno::kEbusy;
  Answer answer(Errno::kOk);
  answer.silent = thread.id == m.client;
  const ServerThread* asking = WorkerOf(*task, m.client);
  Silence(&thread);
  Dismiss(task, &thread, asking);
  return answer;
}

void Server::EndOtherThreads(Task* task, L4_ThreadId_t asker) {
  const ServerThread* asking = WorkerOf(*task, asker);
  for (ClientThread& thread : task->threads) {
    if (!thread.exists() || thread.id == asker) continue;
    Silence(&thread);
    Dismiss(task, &thread, asking);
  }
}

void Server::Silence(ClientThread* thread) {
  DeleteL4Thread(thread);
  thread->pager->SetClient(L4_nilthread);
}

void Server::Dismiss(Task* task, ClientThread* thread, const ServerThread* asking) {
  ServerThread* pager = thread->pager;
  if (pager == nullptr || pager->partner == task->worker) return;
  if (pager->partner != asking) {
    TakeErrandsBack(task, pager->partner);
    WaitFor(pager->partner);
  }
  __atomic_store_n(&pager->task, static_cast<Task*>(nullptr), __ATOMIC_RELEASE);
  thread->pager = nullptr;
  uvm::MutexLock lock(&mu_);
  unused_pagers_.PushFront(pager);
}

ServerThread* Server::WorkerOf(const Task& task, L4_ThreadId_t id) {
  for (const ClientThread& thread : task.threads) {
    if (thread.exists() && thread.id == id) return thread.pager->partner;
  }
  return nullptr;
}

}  // namespace vmserver
