// vmserver/server.h: the pager task: NetBSD's UVM as one L4 server.
//
// WHAT     The root task's main thread boots pmap and UVM and starts the init client; from then on
//          each client task has a pager thread, which takes its faults and calls, and each client
//          thread a worker, which does them (design D14):
//
//              client --fault, call--> pager --ring, wake--> worker --UVM, pmap-->
//              answer to client, in the pager's name
//
//          A pager whose worker is idle takes its duty and serves a fault itself, as long as
//          nothing has to be waited for. A fault is first looked up in the pmap's table (a refill);
//          only a miss goes to UVM. A fault that fails makes the client go on at its exception
//          address with a base::FaultCode in its user-defined handle. A task's first worker is its
//          main worker: all calls on the task are done there, one at a time. A call of another
//          thread, or a Mach call that names another task, is an Errand of that worker's, while the
//          caller's waits. Who may name a task brought it into being, and a thread's worker waits
//          for its own task's alone, so askers form trees and never wait for each other in a ring.
//          Faults are each thread's own worker's, at the same time as calls and other faults:
//          UVM's locks are what keeps them apart.
// STATES   of a task:  unused -> starting -> live -> dying -> unused, with a new id.
// LOCKS    mu_ (LockRank::kServer) guards the lists of tasks, files and unused threads. A task's
//          own fields are written by its main worker only, or before it starts.
//          A worker that does an errand owns the asker's space too, whose worker waits.
// INVARIANTS  There are as many workers as client threads, reserved when the thread comes into
//          being. A space that goes has nobody in it: its threads do not exist any more, and each
//          of their workers has said that it is not in the middle of a fault (tasks.cc). In a
//          receive from a client nothing is accepted. No client can stop the server or act on
//          another task.
// SEE      design.md D5, D6, D11, D14; docs/decisions/0015 and 0017; protocol.h; bsd.cc and mach.cc
//          for the calls.

#ifndef VMSERVER_SERVER_H_
#define VMSERVER_SERVER_H_

#include <l4/types.h>

#include <cstdint>
#include <new>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/canary.h"
#include "base/errors.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/prot.h"
#include "base/text_sink.h"
#include "pmap_sim/l4_pmap.h"
#include "uvm/lock.h"
#include "uvm/map.h"
#include "uvm/mmap.h"
#include "uvm/space.h"
#include "uvm/swap_device.h"
#include "uvm/uvm.h"
#include "vmserver/block_proxy.h"
#include "vmserver/files.h"
#include "vmserver/protocol.h"
#include "vmserver/shared.h"
#include "vmserver/threads.h"

namespace vmserver {

// A place for a thread of a client's task.
struct ClientThread {
  L4_ThreadId_t id = {0};  // nil: there is none
  // With its worker. Null while there is no thread, but for the first place, whose worker is the
  // task's main one.
  ServerThread* pager = nullptr;

  // Belong to the record, not to the thread that uses it now.
  L4_Word_t number = 0;  // 0: not chosen yet
  L4_Word_t version = 0;

  bool exists() const { return !L4_IsNilThread(id); }
};

struct Task {
  uint32_t id = 0;  // never used twice; 0 while unused
  ClientThread threads[kMaxThreads];
  Personality personality = Personality::kBsd;
  AddressWidth width = AddressWidth::kNative;
  // Holds the right to the privileged host name.
  bool privileged = false;
  // The id of the task that may name this one; 0: nobody.
  uint32_t owner = 0;
  // The id of the task of init's that it descends from; who has the same shares its messages.
  uint32_t family = 0;
  uvm::Space* space = nullptr;
  ServerThread* worker = nullptr;  // the main one
  L4_Word_t entry = 0;             // where its threads start; inherited by its children
  // What the BSD calls need of the space, and the heap, if it has one.
  uvm::Process process;
  bool has_heap = false;
  base::ListLink link;

  L4_ThreadId_t first_thread() const { return threads[0].id; }
};

class TransferPeer;  // file_io.cc

// A message that was sent and not received: pages on loan to the server (lend.cc).
struct LentMessage {
  static constexpr uint32_t kMaxPages = static_cast<uint32_t>(kMaxMessageBytes >> base::kPageShift);
  uint32_t family = 0;
  uint64_t bytes = 0;     // of all its pages
  uint64_t received = 0;  // of these
  uint64_t claimed = 0;   // pages that count against what may be lent
  uvm::Page* pages[kMaxPages] = {};
  base::ListLink link;
  uint64_t page_count() const { return bytes >> base::kPageShift; }
};

// What a call answers.
struct Answer {
  int32_t code = 0;
  uint32_t count = 0;  // of words
  L4_Word_t words[kMaxReplyWords - 1] = {};
  bool silent = false;  // the caller does not exist any more

  Answer(int32_t c) : code(c) {}                                 // NOLINT: implicit by design
  Answer(base::Errno e) : code(static_cast<int32_t>(e)) {}       // NOLINT
  Answer(base::KernReturn k) : code(static_cast<int32_t>(k)) {}  // NOLINT
  Answer& With(uint64_t word) {
    words[count++] = static_cast<L4_Word_t>(word);
    return *this;
  }
};

struct ServerCounters {
  uint64_t calls = 0;
  uint64_t faults = 0;         // fault messages taken from clients
  uint64_t refills = 0;        // ... that the pmap's table answered without UVM
  uint64_t faults_failed = 0;  // ... that ended at the client's exception address
  uint64_t rejected = 0;       // messages from strangers, propagated or malformed ones
  uint64_t errands = 0;        // calls done by another worker than the caller's own
  uint64_t tasks_started = 0;
  uint64_t tasks_ended = 0;
};

class Server {
 public:
  struct Config {
    base::PageSource* memory = nullptr;
    const base::CanarySwitch* canary = nullptr;
    uintptr_t home_bias = 0;
    uintptr_t stamp_bias = 0;  // L4Pmap::Config
    base::Vaddr alias_area;
    uint64_t alias_windows = 0;
    base::Range kernel_area;
    ThreadLayout layout;
    L4_Word_t init_entry = 0;           // where the init client starts
    L4_Word_t exception_ip = 0;         // where a client goes on after a fault that failed
    L4_Fpage_t client_kip_area = {0};   // outside [kMapMin, kDefaultMapMax)
    L4_Fpage_t client_utcb_area = {0};  // the same; room for kMaxThreads
    L4_Word_t client_utcb_bytes = 0;    // of one thread's
    // The KIP area of 32-bit tasks: above 2^32, below client_utcb_area. Nil where the server itself
    // has 32-bit words: then there are no such tasks.
    L4_Fpage_t client32_kip_area = {0};
    uint32_t max_tasks = 64;  // alive at once, init not counted
    FrameBufferConfig frame_buffer;
    // What calls name by their numbers. The array and the devices outlive the server; none is on at
    // first.
    uvm::SwapDevice* const* swap_devices = nullptr;
    uint32_t swap_device_count = 0;
    // By which pages on swap are made unreadable when kMemoryControl asks for that; null: they
    // never are. Outlives the server.
    uvm::SwapCipher* swap_cipher = nullptr;
    // A task that keeps pages (block_protocol.h): where it starts, and how many. It is
    // block_proxy() to the server, and one of swap_devices, if whoever composes the machine says
    // so. 0: none.
    struct {
      L4_Word_t entry = 0;
      base::PageCount pages{};
    } block_driver;
    // A thread of the server's reclaims frames. Without one memory that is short stays short.
    bool page_daemon = false;
    uvm::PolicySpec policy = {};
    // What UVM is given instead of the server's own pmap, which it passes calls on to; null:
    // nothing.
    uvm::PmapSystem* pmap_between = nullptr;
  };
  explicit Server(const Config& config);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The root thread's program. Never returns.
  [[noreturn]] void Main();
  // Every other server thread's program.
  [[noreturn]] void ThreadMain();

  // ---- For whoever composes the machine; valid after boot ----
  bool booted() const { return init_ != nullptr; }
  L4_ThreadId_t init_thread() const { return init_->first_thread(); }
  uvm::Uvm& uvm() { return *uvm_; }
  const uvm::Uvm& uvm() const { return *uvm_; }
  pmap_sim::L4Pmap& pmap() { return pmap_; }
  const pmap_sim::L4Pmap& pmap() const { return pmap_; }
  const Threads& threads() const { return threads_; }
  uvm::ThreadSystem* thread_system() { return &threads_; }
  BlockProxy* block_proxy() { return &block_proxy_; }
  // uvm::ThreadSystem::at_lock of all of UVM's locks.
  void SetLockHook(void (*at_lock)()) { threads_.at_lock = at_lock; }
  const ServerCounters& counters() const { return counters_; }
  const FileStore& DebugFiles() const { return file_store_; }
  // I20. True when it holds; else the first counterexample goes to *text.
  bool MessagesHoldTheirLoans(base::TextSink* text) const;
  const SharedMemory& DebugShared() const { return *shared_; }
  // I21. The same.
  bool AttachmentsAreCounted(base::TextSink* text) const;
  // The live task with this id, or null.
  const Task* DebugFindTask(uint32_t id) const;

 private:
  // Storage for an object that is constructed late, on the root thread.
  template <typename T>
  class Late {
   public:
    template <typename... Args>
    void Emplace(Args&&... args) {
      object_ = new (bytes_) T(std::forward<Args>(args)...);
    }
    T* operator->() const { return object_; }
    T& operator*() const { return *object_; }

   private:
    alignas(T) unsigned char bytes_[sizeof(T)];
    T* object_ = nullptr;
  };

  // server.cc
  // A fault of a server thread: false when nothing can be done about it.
  bool AnswerServerFault(L4_MsgTag_t tag, L4_ThreadId_t from);
  [[noreturn]] void PagerLoop(ServerThread* self);
  [[noreturn]] void WorkerLoop(ServerThread* self);
  // Decides about one message. kWake: *worker is to be woken. kAnswer: the message registers hold
  // an answer to *from.
  enum class Next : uint8_t { kWait, kWake, kAnswer };
  Next TakeMessage(ServerThread* self, L4_MsgTag_t tag, L4_ThreadId_t* from, ServerThread** worker);
  void Handle(ServerThread* self, const Message& message);
  Answer Dispatch(ServerThread* self, Task* task, const Message& message);
  Answer DispatchBsd(Task* task, const Message& message);
  Answer DispatchMach(Task* caller, Task* target, const Message& message);
  // A call that names a task, on that task's worker.
  Answer DispatchOn(Task* caller, Task* target, const Message& message);
  static void Send(const ServerThread* self, uint32_t request, L4_ThreadId_t client,
                   const Answer& answer);

  // errand.cc
  // Has the main worker of task `id` do the call and waits for it. REQUIRES: called on a worker of
  // `caller`'s, which is not the main one if `id` is the caller's own.
  Answer CallOn(ServerThread* self, Task* caller, uint32_t id, const Message& message)
      ABSL_LOCKS_EXCLUDED(mu_);
  void RunErrands(ServerThread* self) ABSL_LOCKS_EXCLUDED(mu_);
  static Answer NoSuchTask(const Message& message);
  // What an errand is answered that nobody does any more.
  void Disappoint(Errand* errand);
  // The errands of the worker's that wait at the task's main worker.
  void TakeErrandsBack(Task* task, const ServerThread* worker) ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until the worker is not in the middle of a message. REQUIRES: it does not wait for the
  // one that calls.
  void WaitFor(ServerThread* worker) ABSL_LOCKS_EXCLUDED(mu_);

  // fault.cc
  enum class Patience : uint8_t { kNone, kWaits };
  // False, and nothing is done, when it would have to wait and must not. REQUIRES: the caller has
  // the duty of the thread's worker.
  bool HandleFault(ServerThread* pager, const Message& message, Patience patience);
  // The same on the pager, which has the worker's duty. True: done with it.
  bool ServesFault(ServerThread* self, const Message& message);
  base::Result<bool, base::FaultError> Resolve(Task* task, base::Vaddr va, base::Access access,
                                               Patience patience);
  void Raise(L4_ThreadId_t client, base::FaultCode code);

  // tasks.cc
  // What failed when a task could not be born.
  enum class BirthError : uint8_t { kTooMany, kNoMemory };
  struct BirthOptions {
    Personality personality = Personality::kBsd;
    AddressWidth width = AddressWidth::kNative;
    bool privileged = false;
    uint32_t owner = 0;      // who is going to be answered the child's id
    Task* parent = nullptr;  // whose entry point it inherits; null: init's
    bool inherit = false;    // ... and whose memory
    base::Vaddr max{0};      // of an empty map
  };
  base::Result<Task*, BirthError> NewTask(const BirthOptions& options) ABSL_LOCKS_EXCLUDED(mu_);
  // A pager with its worker, from the unused ones or new; null: no memory.
  ServerThread* TakePager() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // An id for a thread in that place that no other has had; false: the numbers ran out.
  bool NameThread(ClientThread* thread);
  // Makes the L4 space and first thread of a task, which then waits to be started. False: the
  // kernel has no memory, and nothing of it exists.
  bool MakeL4Thread(Task* task);
  static void DeleteL4Thread(ClientThread* thread);
  static void StartThread(Task* task, const ClientThread& thread);
  // REQUIRES: the task has its L4 thread and its space.
  void StartTask(Task* task, uint32_t owner) ABSL_LOCKS_EXCLUDED(mu_);
  // Gives everything back, the UVM space included if set. The L4 thread must not exist any more.
  void FreeTask(Task* task) ABSL_LOCKS_EXCLUDED(mu_);
  // REQUIRES: called on the task's main worker. `asker`: the client thread whose call this is.
  void EndTask(Task* task, L4_ThreadId_t asker);
  base::Result<Task*, BirthError> Birth(const BirthOptions& options);
  Answer SpaceCreate(Task* task, const Message& m);

  // client_threads.cc
  Answer ThreadCreate(Task* task);
  Answer ThreadEnd(Task* task, const Message& m);
  // The thread does not exist any more, and nobody takes its messages. First step of its end.
  static void Silence(ClientThread* thread);
  // Its pager and worker, if it has any that are not the main ones, are free for others. `asking`:
  // a worker that waits for the one that calls. REQUIRES: it is silent.
  void Dismiss(Task* task, ClientThread* thread, const ServerThread* asking)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Of the task's thread with that id; null: it has none such.
  static ServerThread* WorkerOf(const Task& task, L4_ThreadId_t id);
  // All threads but the asker's.
  void EndOtherThreads(Task* task, L4_ThreadId_t asker);

  // bsd.cc
  // The file of this key, made when it is first asked for. Null: no memory.
  File* FileOf(uint64_t key) ABSL_LOCKS_EXCLUDED(mu_);
  Answer Mmap(Task* task, const Message& m);
  Answer Munmap(Task* task, const Message& m);
  Answer Mprotect(Task* task, const Message& m);
  Answer Minherit(Task* task, const Message& m);
  Answer Madvise(Task* task, const Message& m);
  Answer Mremap(Task* task, const Message& m);
  Answer Brk(Task* task, const Message& m);
  Answer Fork(Task* task);
  Answer Exec(Task* task, const Message& m);
  Answer Exit(Task* task, const Message& m);
  Answer ExecBrk(Task* task, const Message& m);
  Answer LinuxDontneed(Task* task, const Message& m);
  uvm::MmapCalls Calls() { return uvm::MmapCalls(&*uvm_); }
  Answer Mlock(Task* task, const Message& m);
  Answer Munlock(Task* task, const Message& m);
  Answer Mlockall(Task* task, const Message& m);
  Answer Munlockall(Task* task);
  Answer Mincore(Task* task, const Message& m);
  Answer Msync(Task* task, const Message& m);

  // file_io.cc
  Answer MoveOfFile(Task* task, const Message& m, base::Access access);
  Answer MoveDirect(Task* task, File* file, uint64_t at, uint64_t offset, uint64_t bytes,
                    base::Access access) ABSL_EXCLUSIVE_LOCKS_REQUIRED(file->mu);
  Answer MoveBytes(File* file, TransferPeer* peer, uint64_t offset, uint64_t bytes,
                   base::Access access) ABSL_EXCLUSIVE_LOCKS_REQUIRED(file->mu);
  Answer Ftruncate(const Message& m);
  base::Errno SetEnd(File* file, uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(file->mu);
  Answer MoveOfTask(Task* caller, Task* target, const Message& m, base::Access access);
  uvm::BufferCache* Cache() ABSL_LOCKS_EXCLUDED(mu_);
  uvm::SpaceIo* Io() ABSL_LOCKS_EXCLUDED(mu_);
  // lend.cc
  using Messages = base::List<LentMessage, &LentMessage::link>;
  Answer SendMessage(Task* task, const Message& m) ABSL_LOCKS_EXCLUDED(mu_);
  Answer SendFile(Task* task, const Message& m) ABSL_LOCKS_EXCLUDED(mu_);
  // An empty message of the task's family, for `bytes`; null: there are too many (EAGAIN), or no
  // memory, or too much is lent already.
  LentMessage* NewMessage(Task* task, uint64_t bytes, base::Errno* why) ABSL_LOCKS_EXCLUDED(mu_);
  // Sends the message, or drops it and answers `failed`.
  Answer Post(LentMessage* message, base::Errno failed) ABSL_LOCKS_EXCLUDED(mu_);
  Answer ReceiveMessage(Task* task, const Message& m) ABSL_LOCKS_EXCLUDED(mu_);
  base::Result<void, base::MapError> Lend(Task* task, base::Range range, uvm::Page** pages);
  bool MayQueue(uint32_t family) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes the messages of a family that has no task any more off the queue.
  void Disown(uint32_t family, Messages* out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Drop(LentMessage* message) ABSL_LOCKS_EXCLUDED(mu_);
  // shared_calls.cc
  Answer SharedCall(Task* task, const Message& m);
  // block_driver.cc
  // The driver's task, with its thread, and the server's thread that talks to it.
  void StartBlockDriver();

  // swap_calls.cc
  Answer SwapCall(Task* task, const Message& m);
  Answer SwapStatsOf(const Message& m);
  // Of a device among those the server was given.
  uint32_t NumberOf(const uvm::SwapDevice* device) const;

  // memory_control.cc
  Answer ControlMemory(Task* task, const Message& m);

  // mach.cc
  Answer TaskCreate(Task* caller, Task* target, const Message& m);
  Answer TaskTerminate(Task* caller, Task* target, const Message& m);
  Answer VmAllocate(Task* task, const Message& m);
  Answer VmDeallocate(Task* task, const Message& m);
  Answer VmProtect(Task* task, const Message& m);
  Answer VmInherit(Task* task, const Message& m);
  Answer VmRegion(Task* task, const Message& m);
  Answer VmMap(Task* task, const Message& m);
  Answer VmMsync(Task* task, const Message& m);
  static uint64_t WiredBytes(uvm::Map* map);
  Answer VmWire(Task* caller, Task* target, const Message& m);
  Answer VmWireAll(Task* caller, Task* target, const Message& m);
  // mach_wire.cc
  base::Result<void, base::MapError> Wire(Task* task, base::Range range);
  base::Result<void, base::MapError> Unwire(Task* task, base::Range range);
  // The answer of a call that maps memory: what came of entering `options`, or, for a task that
  // wires all that comes, of wiring it.
  Answer Enter(Task* task, const uvm::Map::EnterOptions& options);

  // mach_copy.cc
  Answer VmRead(Task* caller, Task* target, const Message& m);
  Answer VmWrite(Task* caller, Task* target, const Message& m);
  Answer VmCopy(Task* task, const Message& m);
  Answer CopyOver(Task* task, uint64_t at, uvm::Snapshot* copy);

  // Constant after construction.
  const Config config_;
  // Own synchronisation.
  Threads threads_;
  BlockProxy block_proxy_;
  pmap_sim::L4Pmap pmap_;
  Late<uvm::Uvm> uvm_;
  Late<SharedMemory> shared_;
  FileStore file_store_;
  ServerCounters counters_;
  Task* init_ = nullptr;              // set once, by Main
  L4_ThreadId_t block_driver_ = {0};  // likewise
  // Guarded by mu_.
  uvm::Mutex mu_;
  base::Pool<Task> task_pool_ ABSL_GUARDED_BY(mu_);
  base::List<Task, &Task::link> tasks_ ABSL_GUARDED_BY(mu_);  // init first
  base::List<Task, &Task::link> unused_tasks_ ABSL_GUARDED_BY(mu_);
  // Each with its worker.
  base::List<ServerThread, &ServerThread::pool_link> unused_pagers_ ABSL_GUARDED_BY(mu_);
  FileTable files_ ABSL_GUARDED_BY(mu_);
  base::Pool<LentMessage> message_pool_ ABSL_GUARDED_BY(mu_);
  uint64_t claimed_ ABSL_GUARDED_BY(mu_) = 0;  // by all messages; pages
  Messages messages_ ABSL_GUARDED_BY(mu_);     // of all families, oldest first
  uint32_t next_task_id_ ABSL_GUARDED_BY(mu_) = 1;
};

}  // namespace vmserver

#endif  // VMSERVER_SERVER_H_
