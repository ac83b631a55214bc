#include "vmserver/server.h"

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/thread.h>

#include "base/check.h"

namespace vmserver {
namespace {

constexpr bool IsBsd(uint32_t request) { return request >= kBsdMmap && request < kBsdEnd; }
constexpr bool NamesATask(uint32_t request) { return request == kBsdPeek || request == kBsdPoke; }
constexpr bool IsInits(uint32_t request) {
  return request == kSpaceCreate || request == kMemoryControl;
}
constexpr bool IsErrno(uint32_t request) { return IsInits(request) || IsBsd(request); }

// Words a request has; -1 for an unknown one.
constexpr int MachWords(uint32_t request) {
  switch (request) {
    case kMachTaskCreate:
      return 2;
    case kMachTaskTerminate:
      return 1;
    case kMachVmAllocate:
      return 4;
    case kMachVmDeallocate:
      return 3;
    case kMachVmProtect:
      return 5;
    case kMachVmInherit:
      return 4;
    case kMachVmRead:
      return 3;
    case kMachVmWrite:
      return 4;
    case kMachVmCopy:
      return 4;
    case kMachVmRegion:
      return 2;
    case kMachVmMap:
      return 12;
    case kMachVmMsync:
      return 4;
    case kMachVmWire:
      return 5;
    case kMachVmWireAll:
      return 3;
    default:
      return -1;
  }
}

constexpr int SharedWords(uint32_t request) {
  switch (request) {
    case kBsdMemfd:
      return 5;
    case kBsdMemfdTruncate:
    case kBsdShmget:
    case kBsdShmat:
      return 4;
    case kBsdMemfdSeal:
      return 3;
    case kBsdMemfdMmap:
    case kBsdDeviceMmap:
      return 8;
    case kBsdShmdt:
      return 1;
    case kBsdMemfdClose:
    case kBsdShmRemove:
    case kBsdShmLock:
    case kBsdShmUnlock:
      return 2;
    default:
      return MachWords(request);
  }
}

constexpr int RequestWords(uint32_t request) {
  switch (request) {
    case kSpaceCreate:
    case kMemoryControl:
      return 3;
    case kBsdMmap:
      return 8;
    case kBsdMunmap:
      return 2;
    case kBsdMprotect:
      return 3;
    case kBsdMinherit:
      return 3;
    case kBsdMadvise:
      return 3;
    case kBsdMremap:
      return 5;
    case kBsdBrk:
      return 1;
    case kBsdFork:
      return 0;
    case kBsdExec:
      return 0;
    case kBsdExit:
    case kBsdThreadCreate:
      return 0;
    case kBsdExecBrk:
      return 1;
    case kBsdLinuxDontneed:
    case kBsdMlock:
    case kBsdMunlock:
    case kBsdMincore:
      return 2;
    case kBsdMlockall:
      return 1;
    case kBsdMunlockall:
      return 0;
    case kBsdMsync:
      return 3;
    case kBsdPread:
    case kBsdPwrite:
      return 7;
    case kBsdSendFile:
      return 5;
    case kBsdPeek:
    case kBsdPoke:
    case kBsdFtruncate:
      return 4;
    case kBsdSend:
    case kBsdReceive:
    case kBsdSwapOn:
    case kBsdSwapCtl:
      return 2;
    case kBsdSwapOff:
    case kBsdSwapStats:
    case kBsdThreadEnd:
      return 1;
    default:
      return SharedWords(request);
  }
}

// The answer to a message that never becomes a call.
int32_t RefusalCode(uint32_t request, bool stranger) {
  if (stranger) {
    return IsErrno(request) ? static_cast<int32_t>(base::Errno::kEperm)
                            : static_cast<int32_t>(base::KernReturn::kInvalidTask);
  }
  if (RequestWords(request) < 0) return kMigBadId;
  return IsErrno(request) ? static_cast<int32_t>(base::Errno::kEinval) : kMigBadArguments;
}

void LoadAnswer(uint32_t request, int32_t code) {
  L4_LoadMR(1, static_cast<L4_Word_t>(static_cast<L4_SignedWord_t>(code)));
  L4_Set_MsgTag(L4_MakeMsgTag((request + kReplyOffset) & 0xffff, 1, 0));
}

}  // namespace

Server::Server(const Config& config)
    : config_(config),
      threads_(config.memory, config.layout),
      block_proxy_(&threads_, config.block_driver.pages),
      pmap_({.memory = config.memory,
             .canary = config.canary,
             .home_bias = config.home_bias,
             .stamp_bias = config.stamp_bias,
             .alias_area = config.alias_area,
             .alias_windows = config.alias_windows,
             .kernel_area = config.kernel_area}),
      file_store_(config.memory, &threads_),
      mu_(&threads_, base::LockRank::kServer),
      task_pool_(config.memory),
      files_(config.memory, &threads_),
      message_pool_(config.memory) {}

void Server::Main() {
  L4_Accept(L4_UntypedWordsAcceptor);
  threads_.Boot();
  ServerThread* mirror = threads_.Spawn(ServerThread::Role::kMirror);
  CHECK(mirror != nullptr);
  if (!pmap_.Boot(mirror->thread)) vm_panic(__FILE__, __LINE__, pmap_.boot_error());
  uvm::PmapSystem* between = config_.pmap_between;
  uvm_.Emplace(uvm::Config{.memory = config_.memory,
                           .pmap = between != nullptr ? between : &pmap_,
                           .threads = &threads_,
                           .policy = config_.policy});
  if (config_.swap_cipher != nullptr) uvm_->swap().SetCipher(config_.swap_cipher);
  if (config_.page_daemon) {
    ServerThread* daemon = threads_.Spawn(ServerThread::Role::kPageDaemon);
    CHECK(daemon != nullptr);
  }
  if (config_.block_driver.entry != 0) StartBlockDriver();
  shared_.Emplace(&*uvm_, config_.memory, &threads_, config_.frame_buffer);
  auto init = Birth({.privileged = true, .max = base::Vaddr(kDefaultMapMax)});
  init_ = MUST(init, "a fresh machine has room for its first task");
  // From here on this thread is the pager of the server's other threads, and none of them may fault
  // (design D14), but on a kernel mapping that the kernel had no memory for or that is being
  // remade.
  for (;;) {
    L4_ThreadId_t from;
    L4_MsgTag_t tag =
        L4_Ipc(L4_nilthread, L4_anylocalthread, L4_Timeouts(L4_Never, L4_Never), &from);
    if (L4_IpcFailed(tag) || L4_IpcPropagated(tag)) continue;
    if (!AnswerServerFault(tag, from)) UNREACHABLE("a server thread faulted");
  }
}

bool Server::AnswerServerFault(L4_MsgTag_t tag, L4_ThreadId_t from) {
  L4_Word_t address;
  L4_StoreMR(1, &address);
  const base::Vaddr va = base::Vaddr(address).Trunc();
  const base::Range area = pmap_.VirtualSpace();
  if (!L4_IsPageFault(tag) || va < area.start || va >= area.end) return false;
  const bool writes = (L4_PageFaultAccess(tag) & L4_Writable) != 0;
  return pmap_.Refill(pmap_.Kernel(), va, writes ? base::Access::kWrite : base::Access::kRead,
                      {from, L4_Myself()}) == pmap_sim::RefillResult::kSent;
}

void Server::ThreadMain() {
  ServerThread* self = threads_.Current();
  if (self->role == ServerThread::Role::kMirror) pmap_sim::L4Pmap::MirrorLoop();
  L4_Accept(L4_UntypedWordsAcceptor);
  if (self->role == ServerThread::Role::kPager) PagerLoop(self);
  if (self->role == ServerThread::Role::kPageDaemon) uvm_->pagedaemon().Run();
  if (self->role == ServerThread::Role::kBlockProxy) block_proxy_.Run(block_driver_);
  WorkerLoop(self);
}

// Takes a message off the registers and says what the pager does next. A fault of a task whose
// worker is idle is served here and now, if nothing has to be waited for.
Server::Next Server::TakeMessage(ServerThread* self, L4_MsgTag_t tag, L4_ThreadId_t* from,
                                 ServerThread** worker) {
  if (L4_IpcFailed(tag)) return Next::kWait;
  const auto request = static_cast<uint32_t>(L4_Label(tag));
  Task* task = __atomic_load_n(&self->task, __ATOMIC_ACQUIRE);
  if (L4_IpcPropagated(tag)) *from = L4_ActualSender();
  // Second: a thread that has the pager by now is none that this message is from.
  const L4_ThreadId_t client = self->Client();
  const bool stranger = task == nullptr || L4_IpcPropagated(tag) || *from != client;
  const bool fault = L4_IsPageFault(tag) && L4_UntypedWords(tag) == 2;
  const bool well_formed =
      L4_TypedWords(tag) == 0 &&
      (fault || static_cast<int>(L4_UntypedWords(tag)) == RequestWords(request));
  if (stranger || !well_formed) {
    ++counters_.rejected;
    // A stranger's page fault has no answer that says no: the thread chose the wrong pager and
    // waits.
    if (fault) return Next::kWait;
    LoadAnswer(request, RefusalCode(request, stranger));
    return Next::kAnswer;
  }
  Message message;
  message.task = task;
  message.client = client;
  message.tag = tag;
  bool mine = false, wake = false;
  if (fault) {
    // One by one: a load of both waits until the kernel's two stores have left the processor,
    // behind all that the client stored before.
    L4_StoreMR(1, &message.words[0]);
    L4_StoreMR(2, &message.words[1]);
    mine = self->partner->TakeDuty();
    *worker = self->partner;
    if (mine && ServesFault(self, message)) {
      return self->partner->LeaveDuty() ? Next::kWake : Next::kWait;
    }
  } else {
    L4_StoreMRs(1, static_cast<int>(L4_UntypedWords(tag)), message.words);
  }
  if (!self->partner->Push(message, &wake)) {
    CHECK(!mine);  // the ring of an idle worker is empty
    ++counters_.rejected;
    if (fault) return Next::kWait;
    LoadAnswer(request,
               static_cast<int32_t>(
                   IsErrno(request) ? static_cast<int32_t>(base::Errno::kEagain)
                                    : static_cast<int32_t>(base::KernReturn::kResourceShortage)));
    return Next::kAnswer;
  }
  *worker = self->partner;
  return mine || wake ? Next::kWake : Next::kWait;
}

void Server::PagerLoop(ServerThread* self) {
  const L4_Word_t never = L4_Timeouts(L4_Never, L4_Never);
  L4_ThreadId_t from = L4_nilthread;
  L4_MsgTag_t tag = L4_Wait(&from);
  for (;;) {
    ServerThread* worker = nullptr;
    switch (TakeMessage(self, tag, &from, &worker)) {
      case Next::kWait:
        tag = L4_Wait(&from);
        break;
      case Next::kWake:
        L4_Set_MsgTag(L4_Niltag);
        tag = L4_Ipc(worker->thread, L4_anythread, never, &from);
        break;
      case Next::kAnswer:
        tag = L4_ReplyWait(from, &from);
        break;
    }
  }
}

void Server::WorkerLoop(ServerThread* self) {
  Message message;
  for (;;) {
    // Errands first: no client can hold them up by keeping its worker busy.
    if (__atomic_load_n(&self->called, __ATOMIC_SEQ_CST) != 0) RunErrands(self);
    if (self->Pop(&message)) {
      Handle(self, message);
    } else if (self->GoIdle()) {
      threads_.Park();
    }
  }
}

void Server::Handle(ServerThread* self, const Message& message) {
  if (IsVoid(*self->partner, message)) return;
  if (L4_IsPageFault(message.tag)) {
    HandleFault(self->partner, message, Patience::kWaits);
    return;
  }
  ++counters_.calls;
  Answer answer = Dispatch(self, message.task, message);
  if (!answer.silent)
    Send(self, static_cast<uint32_t>(L4_Label(message.tag)), message.client, answer);
}

// On the main worker; another has it do the call.
Answer Server::Dispatch(ServerThread* self, Task* task, const Message& message) {
  if (self != task->worker) return CallOn(self, task, task->id, message);
  const auto request = static_cast<uint32_t>(L4_Label(message.tag));
  if (request == kSpaceCreate) return SpaceCreate(task, message);
  if (request == kMemoryControl) return ControlMemory(task, message);
  if (IsBsd(request) && !NamesATask(request)) return DispatchBsd(task, message);
  const L4_Word_t target = message.words[0];
  if (target == 0 || target == task->id) return DispatchOn(task, task, message);
  return CallOn(self, task, static_cast<uint32_t>(target), message);
}

Answer Server::DispatchOn(Task* caller, Task* target, const Message& message) {
  const auto request = static_cast<uint32_t>(L4_Label(message.tag));
  if (!IsBsd(request)) return DispatchMach(caller, target, message);
  return MoveOfTask(caller, target, message,
                    request == kBsdPeek ? base::Access::kRead : base::Access::kWrite);
}

Answer Server::DispatchBsd(Task* task, const Message& message) {
  switch (L4_Label(message.tag)) {
    case kBsdMmap:
      return Mmap(task, message);
    case kBsdMunmap:
      return Munmap(task, message);
    case kBsdMprotect:
      return Mprotect(task, message);
    case kBsdMinherit:
      return Minherit(task, message);
    case kBsdMadvise:
      return Madvise(task, message);
    case kBsdMremap:
      return Mremap(task, message);
    case kBsdBrk:
      return Brk(task, message);
    case kBsdFork:
      return Fork(task);
    case kBsdExec:
      return Exec(task, message);
    case kBsdExit:
      return Exit(task, message);
    case kBsdExecBrk:
      return ExecBrk(task, message);
    case kBsdLinuxDontneed:
      return LinuxDontneed(task, message);
    case kBsdMlock:
      return Mlock(task, message);
    case kBsdMunlock:
      return Munlock(task, message);
    case kBsdMlockall:
      return Mlockall(task, message);
    case kBsdMunlockall:
      return Munlockall(task);
    case kBsdMincore:
      return Mincore(task, message);
    case kBsdMsync:
      return Msync(task, message);
    case kBsdPread:
      return MoveOfFile(task, message, base::Access::kRead);
    case kBsdPwrite:
      return MoveOfFile(task, message, base::Access::kWrite);
    case kBsdFtruncate:
      return Ftruncate(message);
    case kBsdSend:
      return SendMessage(task, message);
    case kBsdSendFile:
      return SendFile(task, message);
    case kBsdReceive:
      return ReceiveMessage(task, message);
    case kBsdSwapOn:
    case kBsdSwapOff:
    case kBsdSwapCtl:
    case kBsdSwapStats:
      return SwapCall(task, message);
    case kBsdThreadCreate:
      return ThreadCreate(task);
    case kBsdThreadEnd:
      return ThreadEnd(task, message);
    default:
      return SharedCall(task, message);
  }
}

Answer Server::DispatchMach(Task* caller, Task* task, const Message& message) {
  switch (L4_Label(message.tag)) {
    case kMachTaskCreate:
      return TaskCreate(caller, task, message);
    case kMachTaskTerminate:
      return TaskTerminate(caller, task, message);
    case kMachVmAllocate:
      return VmAllocate(task, message);
    case kMachVmDeallocate:
      return VmDeallocate(task, message);
    case kMachVmProtect:
      return VmProtect(task, message);
    case kMachVmInherit:
      return VmInherit(task, message);
    case kMachVmRead:
      return VmRead(caller, task, message);
    case kMachVmWrite:
      return VmWrite(caller, task, message);
    case kMachVmCopy:
      return VmCopy(task, message);
    case kMachVmRegion:
      return VmRegion(task, message);
    case kMachVmMap:
      return VmMap(task, message);
    case kMachVmMsync:
      return VmMsync(task, message);
    case kMachVmWire:
      return VmWire(caller, task, message);
    case kMachVmWireAll:
      return VmWireAll(caller, task, message);
    default:
      UNREACHABLE("the pager passed an unknown Mach call");
  }
}

// In the pager's name, with send timeout zero: a caller is already waiting, anyone else has lost
// interest.
void Server::Send(const ServerThread* self, uint32_t request, L4_ThreadId_t client,
                  const Answer& answer) {
  LoadAnswer(request, answer.code);
  L4_LoadMRs(2, static_cast<int>(answer.count), answer.words);
  L4_MsgTag_t tag = L4_MakeMsgTag(request + kReplyOffset, 1 + answer.count, 0);
  L4_Set_Propagation(&tag);
  L4_Set_VirtualSender(self->partner->thread);
  L4_Set_MsgTag(tag);
  L4_Reply(client);
}

const Task* Server::DebugFindTask(uint32_t id) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (const Task* task = tasks_.front(); task != nullptr; task = tasks_.Next(task)) {
    if (task->id == id) return task;
  }
  return nullptr;
}

}  // namespace vmserver
