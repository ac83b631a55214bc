// vmserver/threads.h: the server's own L4 threads, and uvm/thread.h on top of L4 IPC.
//
// WHAT     A ServerThread is the record of one thread in the server's space. Park is a receive from
//          the own space with nothing accepted, Unpark a send that may wait; so an Unpark that
//          comes early waits for its Park (design D5). The current thread is found by its
//          user-defined handle, which is its index here; 0 is the root thread. A worker takes
//          requests from a small ring that its pager fills. The pager never waits for it: it wakes
//          the worker only after winning the worker's `duty`, and a worker without it is, or is
//          about to be, receiving. Who has the duty is the one that works on the task's space: the
//          worker while it runs; its pager while it serves a fault itself.
// STATES   of a worker:  running -> idle (ring empty) -> running. Threads are never deleted; their
//          tasks come and go.
// LOCKS    The ring has one producer and one consumer; head, tail and the duty are words for
//          threads of one processor. The table of threads only grows, under the server's mutex.
// SEE      design.md D5, D14; docs/decisions/0015.

#ifndef VMSERVER_THREADS_H_
#define VMSERVER_THREADS_H_

#include <l4/message.h>
#include <l4/types.h>

#include <cstdint>

#include "base/addr.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/prot.h"
#include "base/spin_word.h"
#include "uvm/thread.h"
#include "vmserver/protocol.h"

namespace vmserver {

struct Answer;
struct Task;

// One message of a client, copied out of the pager's message registers.
struct Message {
  Task* task = nullptr;
  L4_ThreadId_t client = {0};  // another's pager by now: the message is void
  L4_MsgTag_t tag = {0};
  L4_Word_t words[kMaxRequestWords];  // as many as the tag says

  Message() {}
  Message(const Message&) = delete;
  // Copies the words that there are: a fault has two, and there is no faster way to say so.
  Message& operator=(const Message& other) {
    task = other.task;
    client = other.client;
    tag = other.tag;
    for (L4_Word_t i = 0; i < L4_UntypedWords(other.tag); ++i) words[i] = other.words[i];
    return *this;
  }
};

// A call that one worker has a task's main worker do, so that only one ever does calls on a space:
// the one that asks waits meanwhile. Without a message it is nothing but a sign that the worker is
// not in the middle of anything. Lives on the asker's stack.
struct Errand {
  Task* caller = nullptr;
  Task* target = nullptr;
  const Message* message = nullptr;
  Answer* answer = nullptr;
  struct ServerThread* waiter = nullptr;
  base::ListLink link;
};

struct ServerThread : uvm::Thread {
  enum class Role : uint8_t { kRoot, kMirror, kPager, kWorker, kPageDaemon, kBlockProxy };

  L4_ThreadId_t thread = {0};
  uint32_t index = 0;
  Role role = Role::kRoot;
  base::ListLink pool_link;  // on the server's list of unused pagers

  // A pager's: whose faults and calls it takes; null while unused. The client is one thread for
  // ever, and nil when there is none. Written by workers, read by the pager and its worker.
  Task* task = nullptr;
  L4_ThreadId_t client = {0};
  // A pager's: the worker that always serves the same thread; a worker's: that pager.
  ServerThread* partner = nullptr;

  // A worker's: what other workers ask of it, guarded by the server's mutex, and whether there is
  // any.
  base::List<Errand, &Errand::link> errands;
  uint32_t called = 0;

  // A worker's. A client has one message under way unless it cheats or was interrupted, so few
  // slots do.
  static constexpr uint32_t kRing = 4;
  Message ring[kRing];
  uint32_t head = 0;  // next to take
  uint32_t tail = 0;  // next to fill
  // Taken: the worker runs, somebody has promised to wake it, or its pager serves a fault.
  base::SpinWord duty;

  ServerThread() { duty.TryTake(base::Processors::kOne); }
  // Producer's side; false when the ring is full. Sets *wake when the caller must wake the worker.
  bool Push(const Message& message, bool* wake);
  // Consumer's side: false when the ring is empty.
  bool Pop(Message* out);
  // A pager's: whose messages it takes.
  L4_ThreadId_t Client() const {
    return L4_ThreadIdOfRaw(__atomic_load_n(&client.raw, __ATOMIC_ACQUIRE));
  }
  void SetClient(L4_ThreadId_t thread) {
    __atomic_store_n(&client.raw, thread.raw, __ATOMIC_RELEASE);
  }
  // Asker's side, after the errand is on the list. True: the caller must wake the worker.
  bool Call();
  // Consumer's side: true when the worker must wait to be woken, false when something came in
  // meanwhile.
  bool GoIdle();
  // Producer's side. True: the worker is idle, and stays so until LeaveDuty; the space is the
  // caller's.
  bool TakeDuty() { return duty.TryTake(base::Processors::kOne); }
  // True: something came in, and the caller must wake the worker.
  bool LeaveDuty();
};

// Whether the thread that sent the message to `pager` has come to its end since.
inline bool IsVoid(const ServerThread& pager, const Message& message) {
  return pager.Client().raw != message.client.raw;
}

// What the server must know about where it runs. Words of the server's own simulated (or real)
// address space.
struct ThreadLayout {
  L4_Word_t utcb_area = 0;  // slot 0 is the root thread's
  L4_Word_t utcb_bytes = 0;
  uint32_t slots = 0;        // UTCBs that fit, the root's included
  L4_Word_t entry = 0;       // where every server thread starts
  L4_Word_t stack_area = 0;  // thread n's stack ends at stack_area + (n + 1) * stack_bytes
  L4_Word_t stack_bytes = 0;
};

class Threads final : public uvm::ThreadSystem {
 public:
  Threads(base::PageSource* memory, const ThreadLayout& layout);

  // Names the calling thread root. Called first, once.
  void Boot();
  // Creates and starts a thread; null when slots, memory or the kernel refuse. Its pager is the
  // root thread, where a page fault of the server ends the machine.
  ServerThread* Spawn(ServerThread::Role role);
  // A thread number nobody has had yet; 0 when they ran out.
  L4_Word_t NewThreadNumber();
  L4_ThreadId_t root() const { return root_; }
  ServerThread* Current();
  uint32_t count() const { return count_; }
  // REQUIRES: index < count(). For checkers.
  const ServerThread* DebugAt(uint32_t index) const { return At(index); }

  // uvm::ThreadSystem
  uvm::Thread* Self() override { return Current(); }
  void Park() override;
  bool ParkUntil(uint64_t deadline_us) override;
  void Unpark(uvm::Thread* thread) override;
  void Yield() override;
  uint64_t Now() override;

 private:
  static constexpr uint32_t kChunk = 64;
  static constexpr uint32_t kChunks = 256;

  ServerThread* At(uint32_t index) const { return chunks_[index / kChunk][index % kChunk]; }
  ServerThread* NewRecord(ServerThread::Role role);
  // True when a wake-up of this space was received; false after `timeout`.
  bool Receive(L4_Time_t timeout);

  base::PageSource* const memory_;
  const ThreadLayout layout_;
  base::Pool<ServerThread> pool_;
  ServerThread** chunks_[kChunks] = {};
  uint32_t count_ = 0;
  L4_ThreadId_t root_ = {0};
  L4_Word_t next_number_ = 0;
  L4_Word_t end_number_ = 0;
};

}  // namespace vmserver

#endif  // VMSERVER_THREADS_H_
