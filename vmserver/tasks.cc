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

// A pager and its worker for the task, from the unused ones or new.
bool Server::GiveThreads(Task* task) {
  ServerThread* pager = unused_pagers_.PopFront();
  if (pager == nullptr) pager = threads_.Spawn(ServerThread::Role::kPager);
  if (pager == nullptr) return false;
  if (pager->partner == nullptr) pager->partner = threads_.Spawn(ServerThread::Role::kWorker);
  if (pager->partner == nullptr) {
    unused_pagers_.PushFront(pager);
    return false;
  }
  task->pager = pager;
  task->worker = pager->partner;
  return true;
}

// A task record with its server threads, not yet reachable by any client. kTooMany: there are
// max_tasks already.
base::Result<Task*, Server::BirthError> Server::NewTask(const BirthOptions& options) {
  uvm::MutexLock lock(&mu_);
  if (init_ != nullptr && tasks_.size() > config_.max_tasks) return BirthError::kTooMany;
  Task* task = unused_tasks_.PopFront();
  if (task == nullptr) {
    L4_Word_t number = threads_.NewThreadNumber();
    task = number != 0 ? task_pool_.New() : nullptr;
    if (task == nullptr) return BirthError::kNoMemory;
    task->thread_number = number;
  }
  if (!GiveThreads(task)) {
    unused_tasks_.PushFront(task);
    return BirthError::kNoMemory;
  }
  // A version's low six bits are not zero; a thread number that is used again gets another version,
  // so that an id names one thread for ever.
  do ++task->thread_version;
  while (task->thread_version % 64 == 0);
  task->thread = L4_GlobalId(task->thread_number, task->thread_version);
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
  const L4_ThreadId_t thread = task->thread;
  if (L4_ThreadControl(thread, thread, root, L4_nilthread, kUtcbUnchanged) == 0) return false;
  L4_Word_t old = 0;
  void* utcb = reinterpret_cast<void*>(L4_Address(config_.client_utcb_area));
  const L4_Fpage_t kip =
      task->width == AddressWidth::k32 ? config_.client32_kip_area : config_.client_kip_area;
  if (L4_SpaceControl(thread, 0, kip, config_.client_utcb_area, L4_nilthread, &old) != 0 &&
      L4_ThreadControl(thread, thread, root, task->pager->thread, utcb) != 0) {
    return true;
  }
  DeleteL4Thread(task);
  return false;
}

void Server::DeleteL4Thread(Task* task) {
  CHECK(L4_ThreadControl(task->thread, L4_nilthread, L4_nilthread, L4_nilthread, kUtcbUnchanged) !=
        0);
}

void Server::StartTask(Task* task, uint32_t owner) {
  {
    uvm::MutexLock lock(&mu_);
    task->owner = owner;
  }
  // The pager takes messages for this task from now on; then the thread is started in its name.
  __atomic_store_n(&task->pager->task, task, __ATOMIC_RELEASE);
  L4_MsgTag_t tag = L4_MakeMsgTag(0, 2, 0);
  L4_Set_Propagation(&tag);
  L4_Set_VirtualSender(task->pager->thread);
  L4_LoadMR(1, task->entry);
  L4_LoadMR(2, 0);  // a client makes its own stack
  L4_Set_MsgTag(tag);
  CHECK(L4_IpcSucceeded(L4_Send(task->thread)));
  ++counters_.tasks_started;
}

void Server::FreeTask(Task* task) {
  __atomic_store_n(&task->pager->task, static_cast<Task*>(nullptr), __ATOMIC_RELEASE);
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
    unused_pagers_.PushFront(task->pager);
    unused_tasks_.PushFront(task);
  }
  while (Errand* errand = orphans.PopFront()) {
    *errand->answer = NoSuchTask(*errand->message);
    threads_.Unpark(errand->waiter);
  }
  while (LentMessage* message = messages.PopFront()) Drop(message);
}

// The client thread goes first: it must not run while its memory goes, and its space's mappings
// leave with it.
void Server::EndTask(Task* task) {
  DeleteL4Thread(task);
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
  auto space =
      options.inherit ? uvm_->ForkSpace(parent->space) : uvm_->CreateSpace(min, options.max);
  if (!space.ok()) {
    DeleteL4Thread(task);
    FreeTask(task);
    return BirthError::kNoMemory;
  }
  task->space = space.value();
  task->process = {};
  task->process.map = &task->space->map();
  task->process.default_address = task->space->map().min();
  if (options.inherit) {
    task->has_heap = parent->has_heap;
    task->process.heap_start = parent->process.heap_start;
    task->process.heap_end = parent->process.heap_end;
    if (!shared_->Fork(&parent->process, &task->process)) {
      DeleteL4Thread(task);
      FreeTask(task);
      return BirthError::kNoMemory;
    }
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
  return Answer(0).With(born.value()->id).With(born.value()->thread.raw);
}

}  // namespace vmserver
