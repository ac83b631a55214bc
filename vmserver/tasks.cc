// Birth and death of client tasks.

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/space.h>
#include <l4/thread.h>

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {
namespace {

void* const kUtcbUnchanged = reinterpret_cast<void*>(~L4_Word_t{0});

}  // namespace

ServerThread* Server::TakePager() {
  ServerThread* pager = unused_pagers_.PopFront();
  if (pager == nullptr) pager = threads_.Spawn(ServerThread::Role::kPager);
  if (pager == nullptr) return nullptr;
  if (pager->partner == nullptr) pager->partner = threads_.Spawn(ServerThread::Role::kWorker);
  if (pager->partner == nullptr) {
    unused_pagers_.PushFront(pager);
    return nullptr;
  }
  pager->partner->partner = pager;
  return pager;
}

bool Server::NameThread(ClientThread* thread) {
  if (thread->number == 0) thread->number = threads_.NewThreadNumber();
  if (thread->number == 0) return false;
  // A version's low six bits are not zero; a thread number that is used again gets another version,
  // so that an id names one thread for ever.
  do ++thread->version;
  while (thread->version % 64 == 0);
  thread->id = L4_GlobalId(thread->number, thread->version);
  return true;
}

// A task record with its server threads, not yet reachable by any client. kTooMany: there are
// max_tasks already.
base::Result<Task*, Server::BirthError> Server::NewTask(const BirthOptions& options) {
  uvm::MutexLock lock(&mu_);
  if (init_ != nullptr && tasks_.size() > config_.max_tasks) return BirthError::kTooMany;
  Task* task = unused_tasks_.PopFront();
  if (task == nullptr) task = task_pool_.New();
  if (task == nullptr) return BirthError::kNoMemory;
  ClientThread& first = task->threads[0];
  first.pager = NameThread(&first) ? TakePager() : nullptr;
  if (first.pager == nullptr) {
    first.id = L4_nilthread;
    unused_tasks_.PushFront(task);
    return BirthError::kNoMemory;
  }
  task->worker = first.pager->partner;
  task->personality = options.personality;
  task->width = options.width;
  task->privileged = options.privileged;
  task->owner = 0;
  task->space = nullptr;
  task->entry = options.parent != nullptr ? options.parent->entry : config_.init_entry;
  task->has_heap = false;
  const uint32_t id = next_task_id_++;
  task->family = options.parent != nullptr ? options.parent->family : id;
  __atomic_store_n(&task->id, id, __ATOMIC_RELEASE);
  tasks_.PushBack(task);
  return task;
}

bool Server::MakeL4Thread(Task* task) {
  const L4_ThreadId_t root = threads_.root();
  const L4_ThreadId_t thread = task->first_thread();
  if (L4_ThreadControl(thread, thread, root, L4_nilthread, kUtcbUnchanged) == 0) return false;
  L4_Word_t old = 0;
  void* utcb = reinterpret_cast<void*>(L4_Address(config_.client_utcb_area));
  const L4_Fpage_t kip =
      task->width == AddressWidth::k32 ? config_.client32_kip_area : config_.client_kip_area;
  if (L4_SpaceControl(thread, 0, kip, config_.client_utcb_area, L4_nilthread, &old) != 0 &&
      L4_ThreadControl(thread, thread, root, task->threads[0].pager->thread, utcb) != 0) {
    return true;
  }
  DeleteL4Thread(&task->threads[0]);
  return false;
}

void Server::DeleteL4Thread(ClientThread* thread) {
  CHECK(L4_ThreadControl(thread->id, L4_nilthread, L4_nilthread, L4_nilthread, kUtcbUnchanged) !=
        0);
  thread->id = L4_nilthread;
}

void Server::StartTask(Task* task, uint32_t owner) {
  {
    uvm::MutexLock lock(&mu_);
    task->owner = owner;
  }
  StartThread(task, task->threads[0]);
  ++counters_.tasks_started;
}

// The pager takes messages for this thread from now on; then the thread is started in its name.
void Server::StartThread(Task* task, const ClientThread& thread) {
  thread.pager->SetClient(thread.id);
  __atomic_store_n(&thread.pager->task, task, __ATOMIC_RELEASE);
  L4_MsgTag_t tag = L4_MakeMsgTag(0, 2, 0);
  L4_Set_Propagation(&tag);
  L4_Set_VirtualSender(thread.pager->thread);
  L4_LoadMR(1, task->entry);
  L4_LoadMR(2, 0);  // a client makes its own stack
  L4_Set_MsgTag(tag);
  CHECK(L4_IpcSucceeded(L4_Send(thread.id)));
}

void Server::FreeTask(Task* task) {
  ServerThread* pager = task->threads[0].pager;
  pager->SetClient(L4_nilthread);
  __atomic_store_n(&pager->task, static_cast<Task*>(nullptr), __ATOMIC_RELEASE);
  if (task->space != nullptr) uvm_->FreeSpace(task->space);
  base::List<Errand, &Errand::link> orphans;
  Messages messages;
  {
    uvm::MutexLock lock(&mu_);
    task->space = nullptr;
    __atomic_store_n(&task->id, 0u, __ATOMIC_RELEASE);
    task->owner = 0;
    tasks_.Remove(task);
    Disown(task->family, &messages);
    while (Errand* errand = task->worker->errands.PopFront()) orphans.PushBack(errand);
    task->threads[0].id = L4_nilthread;
    task->threads[0].pager = nullptr;
    unused_pagers_.PushFront(pager);
    unused_tasks_.PushFront(task);
  }
  while (Errand* errand = orphans.PopFront()) Disappoint(errand);
  while (LentMessage* message = messages.PopFront()) Drop(message);
}

// The client's threads go first: they must not run while their memory goes, and their space's
// mappings leave with the last of them.
void Server::EndTask(Task* task, L4_ThreadId_t asker) {
  ServerThread* const asking = WorkerOf(*task, asker);
  for (ClientThread& thread : task->threads) {
    if (thread.exists()) Silence(&thread);
  }
  for (ClientThread& thread : task->threads) Dismiss(task, &thread, asking);
  shared_->Forget(&task->process);
  FreeTask(task);
  ++counters_.tasks_ended;
}

base::Result<Task*, Server::BirthError> Server::Birth(const BirthOptions& options) {
  auto made = NewTask(options);
  if (!made.ok()) return made.error();
  Task* task = made.value();
  // What the kernel may refuse comes first: a fork marks what parent and child share, and a birth
  // that fails must leave no mark.
  if (!MakeL4Thread(task)) {
    FreeTask(task);
    return BirthError::kNoMemory;
  }
  const Task* parent = options.parent;
  const base::Vaddr min(options.width == AddressWidth::k32 ? 0 : kMapMin);
  task->process = {};
  bool born = !options.inherit || shared_->Fork(&parent->process, &task->process);
  if (born) {
    auto space =
        options.inherit ? uvm_->ForkSpace(parent->space) : uvm_->CreateSpace(min, options.max);
    born = space.ok();
    if (born) task->space = space.value();
    if (!born) shared_->Forget(&task->process);
  }
  if (!born) {
    DeleteL4Thread(&task->threads[0]);
    FreeTask(task);
    return BirthError::kNoMemory;
  }
  task->process.map = &task->space->map();
  task->process.default_address = task->space->map().min();
  if (options.inherit) {
    task->has_heap = parent->has_heap;
    task->process.heap_start = parent->process.heap_start;
    task->process.heap_end = parent->process.heap_end;
  }
  StartTask(task, options.owner);
  return task;
}

// Init's privilege: a task with an empty map.
Answer Server::SpaceCreate(Task* task, const Message& m) {
  if (task != init_) return base::Errno::kEperm;
  const bool mach = m.words[0] == static_cast<L4_Word_t>(Personality::kMach);
  if (!mach && m.words[0] != static_cast<L4_Word_t>(Personality::kBsd)) return base::Errno::kEinval;
  const bool narrow = m.words[2] == static_cast<L4_Word_t>(AddressWidth::k32);
  const uint64_t most = narrow ? kMapMax32 : kDefaultMapMax;
  const uint64_t max = m.words[1] == 0 ? most : m.words[1];
  const bool known_width = narrow ? mach && config_.client32_kip_area.raw != 0 : m.words[2] == 0;
  if (!known_width || !base::IsPageAligned(max) || max <= kMapMin || max > most) {
    if (mach) return base::KernReturn::kInvalidArgument;
    return base::Errno::kEinval;
  }
  auto born = Birth({.personality = mach ? Personality::kMach : Personality::kBsd,
                     .width = narrow ? AddressWidth::k32 : AddressWidth::kNative,
                     .privileged = true,
                     .owner = task->id,
                     .max = base::Vaddr(max)});
  if (!born.ok()) {
    if (mach) return base::KernReturn::kResourceShortage;
    return born.error() == BirthError::kTooMany ? base::Errno::kEagain : base::Errno::kEnomem;
  }
  return Answer(0).With(born.value()->id).With(born.value()->first_thread().raw);
}

}  // namespace vmserver
