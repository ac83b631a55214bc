#include "machine/client_program.h"

#include <l4/thread.h>

#include "base/addr.h"
#include "base/errors.h"
#include "base/pattern.h"
#include "fake_l4/kernel.h"
#include "vmserver/client.h"

namespace machine {
namespace {

using traces::OpKind;
using traces::Outcome;
using traces::ResolvedOp;
namespace client = vmserver::client;

Outcome FaultOutcome(base::FaultCode code, uint64_t va) {
  Outcome outcome;
  outcome.family = Outcome::Family::kFault;
  outcome.code = static_cast<int32_t>(code);
  outcome.value = va;
  return outcome;
}

// Of an access at `va` that did not end well: the server left its reason in the user-defined
// handle.
Outcome Faulted(uint64_t va) {
  return FaultOutcome(static_cast<base::FaultCode>(L4_UserDefinedHandle()), va);
}

// What no map of any task contains is unmapped by definition, and no server hears of it: the KIP
// and the UTCB, where a load works, lie below and above; beyond them the processor raises an
// exception.
bool IsMappable(uint64_t va, bool narrow) {
  if (narrow) return va < uint64_t{1} << 32;
  return va >= traces::kMapMin && va < traces::kDefaultMapMax;
}
Outcome NotMappable(uint64_t va, vmserver::Personality personality) {
  return FaultOutcome(personality == vmserver::Personality::kBsd
                          ? base::FaultCode::kSegvMapErr
                          : base::FaultCode::kMachInvalidAddress,
                      va);
}

// Calls touch(va, done, count) page by page: `count` bytes at `va`, after `done` earlier ones. A
// range that wraps ends with the last address, beyond which nothing can be mapped.
template <typename Touch>
Outcome Access(Command* command, vmserver::Personality personality, Touch touch) {
  const ResolvedOp& op = command->op;
  for (uint64_t done = 0; done < op.size;) {
    uint64_t va = op.at + done;
    uint64_t count = base::kPageSize - (va & base::kPageMask);
    if (count > op.size - done) count = op.size - done;
    if (va < op.at || !IsMappable(va, command->narrow)) return NotMappable(va, personality);
    fake_l4::AccessStatus status = touch(base::Vaddr(va), done, count);
    if (status != fake_l4::AccessStatus::kOk) return Faulted(va);
    done += count;
    command->bytes_done = done;
  }
  Outcome outcome;
  outcome.family = Outcome::Family::kFault;
  return outcome;
}

Outcome Read(Command* command, vmserver::Personality personality,
             std::vector<unsigned char>* read) {
  fake_l4::Cpu cpu = fake_l4::Kernel::Current()->cpu();
  Outcome outcome =
      Access(command, personality, [&](base::Vaddr va, uint64_t done, uint64_t count) {
        read->resize(done + count);
        fake_l4::AccessStatus status = cpu.Load(va, read->data() + done, count);
        if (status != fake_l4::AccessStatus::kOk) read->resize(done);
        return status;
      });
  if (outcome.ok()) outcome.value = traces::ReadValue(read->data(), read->size());
  return outcome;
}

Outcome Write(Command* command, vmserver::Personality personality) {
  const ResolvedOp& op = command->op;
  fake_l4::Cpu cpu = fake_l4::Kernel::Current()->cpu();
  return Access(command, personality, [&](base::Vaddr va, uint64_t, uint64_t count) {
    unsigned char page[base::kPageSize];
    base::FillStored(op.value, va.value(), page, count);
    return cpu.Store(va, page, count);
  });
}

Outcome Fetch(const Command& command, vmserver::Personality personality) {
  const ResolvedOp& op = command.op;
  if (!IsMappable(op.at, command.narrow)) return NotMappable(op.at, personality);
  fake_l4::AccessStatus status = fake_l4::Kernel::Current()->cpu().Fetch(base::Vaddr(op.at));
  if (status != fake_l4::AccessStatus::kOk) return Faulted(op.at);
  Outcome outcome;
  outcome.family = Outcome::Family::kFault;
  return outcome;
}

client::Reply Mmap(const ResolvedOp& op, uint32_t flags) {
  if (op.file_key == 0) flags |= vmserver::kMmapAnonymous;
  const client::MmapArguments arguments = {.at = op.at,
                                           .size = op.size,
                                           .prot = op.prot.bits(),
                                           .flags = flags,
                                           .file_key = op.file_key,
                                           .offset = op.offset};
  switch (op.backing) {
    case traces::Backing::kFile:
      break;
    case traces::Backing::kMemfd:
      return client::MmapShared(vmserver::kBsdMemfdMmap, arguments);
    case traces::Backing::kDevice:
      return client::MmapShared(vmserver::kBsdDeviceMmap, arguments);
  }
  return client::Mmap(arguments);
}

uint32_t AlignmentFlags(const ResolvedOp& op) {
  return traces::AlignmentOf(op.flags) << vmserver::kMmapAlignShift;
}

client::Reply MmapWithFlags(const ResolvedOp& op) {
  uint32_t flags = AlignmentFlags(op);
  if ((op.flags & traces::kFlagPrivate) != 0) flags |= vmserver::kMmapPrivate;
  if ((op.flags & traces::kFlagShared) != 0) flags |= vmserver::kMmapShared;
  if ((op.flags & traces::kFlagFixed) != 0) flags |= vmserver::kMmapFixed;
  if ((op.flags & traces::kFlagTryFixed) != 0) flags |= vmserver::kMmapTryFixed;
  if ((op.flags & traces::kFlagWired) != 0) flags |= vmserver::kMmapWired;
  return Mmap(op, flags);
}

uint32_t MremapFlags(const ResolvedOp& op) {
  uint32_t flags = AlignmentFlags(op);
  if ((op.flags & traces::kFlagFixed) != 0) flags |= vmserver::kMmapFixed;
  if ((op.flags & traces::kFlagDuplicate) != 0) flags |= vmserver::kMmapDuplicate;
  return flags;
}

uint32_t MlockallFlags(const ResolvedOp& op) {
  uint32_t flags = 0;
  if ((op.flags & traces::kFlagCurrent) != 0) flags |= vmserver::kMlockallCurrent;
  if ((op.flags & traces::kFlagFuture) != 0) flags |= vmserver::kMlockallFuture;
  return flags;
}

uint32_t MsyncFlags(const ResolvedOp& op) {
  uint32_t flags = 0;
  if ((op.flags & traces::kFlagAsync) != 0) flags |= vmserver::kMsyncAsync;
  if ((op.flags & traces::kFlagSync) != 0) flags |= vmserver::kMsyncSync;
  if ((op.flags & traces::kFlagInvalidate) != 0) flags |= vmserver::kMsyncInvalidate;
  return flags;
}

uint32_t ShmatFlags(const ResolvedOp& op) {
  uint32_t flags = 0;
  if ((op.flags & traces::kFlagReadOnly) != 0) flags |= vmserver::kShmReadOnly;
  if ((op.flags & traces::kFlagRound) != 0) flags |= vmserver::kShmRound;
  return flags;
}

// Calls about no memory at all.
client::Reply OtherCall(const ResolvedOp& op) {
  switch (op.kind) {
    case OpKind::kSwapOn:
      return client::SwapOn(op.device, op.priority);
    case OpKind::kSwapOff:
      return client::SwapOff(op.device);
    case OpKind::kSwapCtl:
      return client::SwapCtl(op.device, op.priority);
    case OpKind::kSwapStats:
      return client::SwapStats(0);
    case OpKind::kThreadCreate:
      return client::ThreadCreate();
    case OpKind::kThreadEnd:
      return client::ThreadEnd(static_cast<uint32_t>(op.value));
    default:
      return {};  // none of them
  }
}

// Calls for memory that has a name.
client::Reply SharedCall(const ResolvedOp& op) {
  switch (op.kind) {
    case OpKind::kMemfd:
      return client::Memfd(op.file_key, op.size,
                           (op.flags & traces::kFlagSealable) != 0 ? client::Sealing::kAllowed
                                                                   : client::Sealing::kForbidden);
    case OpKind::kMemfdTruncate:
      return client::MemfdTruncate(op.file_key, op.size);
    case OpKind::kMemfdSeal:
      return client::MemfdSeal(op.file_key, static_cast<uint32_t>(op.mask));
    case OpKind::kMemfdClose:
      return client::MemfdClose(op.file_key);
    case OpKind::kShmget:
      return client::Shmget(op.file_key, op.size);
    case OpKind::kShmat:
      return client::Shmat(op.file_key, op.at, ShmatFlags(op));
    case OpKind::kShmdt:
      return client::Shmdt(op.at);
    case OpKind::kShmRemove:
      return client::ShmControl(vmserver::kBsdShmRemove, op.file_key);
    case OpKind::kShmLock:
      return client::ShmControl(vmserver::kBsdShmLock, op.file_key);
    case OpKind::kShmUnlock:
      return client::ShmControl(vmserver::kBsdShmUnlock, op.file_key);
    default:
      return OtherCall(op);
  }
}

vmserver::Transfer TransferOf(const ResolvedOp& op) {
  return (op.flags & traces::kFlagDirect) != 0 ? vmserver::Transfer::kDirect
                                               : vmserver::Transfer::kCached;
}

client::Placement PlacementOf(const ResolvedOp& op) {
  return (op.flags & traces::kFlagAnywhere) != 0 ? client::Placement::kAnywhere
                                                 : client::Placement::kFixed;
}

// Calls on the task that the server calls `target`.
client::Reply MachCall(const ResolvedOp& op, uint32_t target) {
  switch (op.kind) {
    case OpKind::kTaskCreate:
      return client::TaskCreate(target, (op.flags & traces::kFlagInherit) != 0
                                            ? client::Memory::kInherited
                                            : client::Memory::kEmpty);
    case OpKind::kTaskTerminate:
      return client::TaskTerminate(target);
    case OpKind::kVmAllocate:
      return client::VmAllocate(target, op.at, op.size, PlacementOf(op));
    case OpKind::kVmDeallocate:
      return client::VmDeallocate(target, op.at, op.size);
    case OpKind::kVmProtect:
      return client::VmProtect(
          target, op.at, op.size,
          (op.flags & traces::kFlagSetMax) != 0 ? client::Which::kMaximum : client::Which::kCurrent,
          op.prot.bits());
    case OpKind::kVmInherit:
      return client::VmInherit(target, op.at, op.size, static_cast<L4_Word_t>(op.inherit));
    case OpKind::kVmRegion:
      return client::VmRegion(target, op.at);
    case OpKind::kVmMap:
      return client::VmMap(target, {.at = op.at,
                                    .size = op.size,
                                    .mask = op.mask,
                                    .placement = PlacementOf(op),
                                    .prot = op.prot.bits(),
                                    .max_prot = op.max_prot.bits(),
                                    .inherit = static_cast<L4_Word_t>(op.inherit)});
    case OpKind::kVmCopy:
      return client::VmCopy(target, op.at, op.size, op.to);
    case OpKind::kVmRead:
      return client::VmRead(target, op.at, op.size);
    case OpKind::kVmWrite:
      return client::VmWrite(target, op.at, op.to, op.size);
    case OpKind::kVmWire:
      return client::VmWire(
          target,
          (op.flags & traces::kFlagPrivileged) != 0 ? vmserver::kHostPrivName : vmserver::kHostName,
          op.at, op.size, op.prot.bits());
    default:
      return {};  // no Mach call
  }
}

// Calls that move bytes, and the rest of the BSD calls.
client::Reply MoveCall(const ResolvedOp& op, uint32_t target) {
  switch (op.kind) {
    case OpKind::kPread:
      return client::Pread(op.at, op.size, op.file_key, op.offset, TransferOf(op));
    case OpKind::kPwrite:
      return client::Pwrite(op.at, op.size, op.file_key, op.offset, TransferOf(op));
    case OpKind::kSendFile:
      return client::SendFile(op.size, op.file_key, op.offset);
    case OpKind::kFtruncate:
      return client::Ftruncate(op.file_key, op.offset);
    case OpKind::kPeek:
      return client::Peek(target, op.at, op.size, op.to);
    case OpKind::kPoke:
      return client::Poke(target, op.at, op.size, op.to);
    case OpKind::kSend:
      return client::Send(op.at, op.size);
    case OpKind::kReceive:
      return client::Receive(op.at, op.size);
    default:
      return SharedCall(op);
  }
}

client::Reply Call(const ResolvedOp& op, uint32_t target) {
  switch (op.kind) {
    case OpKind::kSpace:
      return client::SpaceCreate(vmserver::Personality::kBsd, op.size);
    case OpKind::kTask:
      return client::SpaceCreate(vmserver::Personality::kMach, op.size);
    case OpKind::kTask32:
      return client::SpaceCreate(vmserver::Personality::kMach, op.size,
                                 vmserver::AddressWidth::k32);
    case OpKind::kFork:
      return client::Fork();
    case OpKind::kExec:
      return client::Exec();
    case OpKind::kExit:
      return client::Exit();
    case OpKind::kExecMap:
      return Mmap(op, vmserver::kMmapPrivate | vmserver::kMmapFixed);
    case OpKind::kExecBrk:
      return client::ExecBrk(op.at);
    case OpKind::kMmap:
      return MmapWithFlags(op);
    case OpKind::kMunmap:
      return client::Munmap(op.at, op.size);
    case OpKind::kMprotect:
      return client::Mprotect(op.at, op.size, op.prot.bits());
    case OpKind::kMinherit:
      return client::Minherit(op.at, op.size, static_cast<uint8_t>(op.inherit));
    case OpKind::kMadvise:
      return client::Madvise(op.at, op.size, static_cast<uint8_t>(op.advice));
    case OpKind::kMremap:
      return client::Mremap({.at = op.at,
                             .size = op.size,
                             .to = (op.flags & traces::kFlagFixed) != 0 ? op.to : 0,
                             .new_size = op.new_size,
                             .flags = MremapFlags(op)});
    case OpKind::kBrk:
      return client::Brk(op.at);
    case OpKind::kLinuxDontneed:
      return client::LinuxDontneed(op.at, op.size);
    case OpKind::kMlock:
      return client::Mlock(op.at, op.size);
    case OpKind::kMunlock:
      return client::Munlock(op.at, op.size);
    case OpKind::kMlockall:
      return client::Mlockall(MlockallFlags(op));
    case OpKind::kMunlockall:
      return client::Munlockall();
    case OpKind::kMincore:
      return client::Mincore(op.at, op.size);
    case OpKind::kMsync:
      return client::Msync(op.at, op.size, MsyncFlags(op));
    default:
      break;
  }
  if (traces::FamilyOf(op.kind) == Outcome::Family::kKern) return MachCall(op, target);
  return MoveCall(op, target);
}

// A program takes a call that failed for one that may have been done or not. Who looks on knows
// more: an answer that was cut on its way (overflow while receiving) is still in the message
// registers.
client::Reply CutAnswer() {
  client::Reply reply;
  constexpr L4_Word_t kCut = L4_Word_t{L4_IPC_OVERFLOW} << 1 | 1;
  if (L4_ErrorCode() != kCut) return reply;
  L4_Word_t code;
  L4_StoreMR(1, &code);
  L4_StoreMRs(2, vmserver::kMaxReplyWords - 1, reply.words);
  reply.delivered = true;
  reply.code = static_cast<int32_t>(code);
  return reply;
}

Outcome OutcomeOf(const ResolvedOp& op, const client::Reply& reply) {
  Outcome outcome;
  if (!reply.delivered) return outcome;
  outcome.family = traces::FamilyOf(op.kind);
  outcome.code = reply.code;
  if (reply.code != 0) return outcome;
  switch (op.kind) {
    case OpKind::kMmap:
    case OpKind::kExecMap:
    case OpKind::kMremap:
    case OpKind::kMincore:
    case OpKind::kShmat:
    case OpKind::kVmAllocate:
    case OpKind::kVmMap:
    case OpKind::kVmRead:
    case OpKind::kPread:
    case OpKind::kPwrite:
    case OpKind::kPeek:
    case OpKind::kPoke:
    case OpKind::kSend:
    case OpKind::kReceive:
    case OpKind::kSendFile:
    case OpKind::kSwapStats:
    case OpKind::kThreadCreate:
      outcome.value = reply.words[0];
      break;
    case OpKind::kVmRegion:
      outcome.value = reply.words[0];
      outcome.size = reply.words[1];
      outcome.region = {base::Prot(static_cast<uint8_t>(reply.words[2])),
                        base::Prot(static_cast<uint8_t>(reply.words[3])),
                        static_cast<base::Inherit>(reply.words[4]), reply.words[5] != 0};
      break;
    default:
      break;
  }
  return outcome;
}

}  // namespace

void Execute(Command* command, vmserver::Personality personality,
             std::vector<unsigned char>* read) {
  const ResolvedOp& op = command->op;
  if (command->program != nullptr) {
    command->program(command->argument);
    command->done = true;
    return;
  }
  switch (op.kind) {
    case OpKind::kRead:
      command->outcome = Read(command, personality, read);
      break;
    case OpKind::kWrite:
      command->outcome = Write(command, personality);
      break;
    case OpKind::kFetch:
      command->outcome = Fetch(*command, personality);
      break;
    default: {
      client::Reply reply = Call(op, command->target_task);
      if (!reply.delivered) reply = CutAnswer();
      command->outcome = OutcomeOf(op, reply);
      command->child_task = static_cast<uint32_t>(reply.words[0]);
      command->child_thread = L4_ThreadIdOfRaw(reply.words[1]);
      break;
    }
  }
  command->done = true;
}

}  // namespace machine
