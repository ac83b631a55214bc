// vmserver/client.h: the calls of protocol.h as a client program makes them.
//
// WHAT     One inline function a call. Each sends to the calling thread's pager and waits for the
//          answer. Also works in a program for a real X.2 kernel: nothing but <l4/ipc.h> is used.
// SEE      protocol.h for operands, ranges and codes.

#ifndef VMSERVER_CLIENT_H_
#define VMSERVER_CLIENT_H_

#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/thread.h>

#include <cstdint>

#include "vmserver/protocol.h"

namespace vmserver::client {

struct Reply {
  bool delivered = false;  // false: the IPC itself failed
  int32_t code = 0;
  L4_Word_t words[kMaxReplyWords - 1] = {};  // results after the code
};

// Sends `request` with these words to the caller's pager.
template <typename... Words>
inline Reply Call(Request request, Words... words) {
  const L4_Word_t operands[sizeof...(words) + 1] = {static_cast<L4_Word_t>(words)..., 0};
  L4_LoadMRs(1, sizeof...(words), operands);
  L4_Set_MsgTag(L4_MakeMsgTag(request, sizeof...(words), 0));
  L4_MsgTag_t tag = L4_Call(L4_Pager());
  Reply reply;
  L4_Word_t count = L4_UntypedWords(tag);
  if (L4_IpcFailed(tag) || L4_Label(tag) != request + kReplyOffset || count == 0) return reply;
  if (count > kMaxReplyWords) count = kMaxReplyWords;
  L4_Word_t code;
  L4_StoreMR(1, &code);
  L4_StoreMRs(2, static_cast<int>(count - 1), reply.words);
  reply.delivered = true;
  reply.code = static_cast<int32_t>(code);
  return reply;
}

inline L4_Word_t Low(uint64_t value) { return static_cast<L4_Word_t>(value & 0xffffffff); }
inline L4_Word_t High(uint64_t value) { return static_cast<L4_Word_t>(value >> 32); }

inline Reply SpaceCreate(Personality personality, L4_Word_t max,
                         AddressWidth width = AddressWidth::kNative) {
  return Call(kSpaceCreate, static_cast<L4_Word_t>(personality), max,
              static_cast<L4_Word_t>(width));
}

inline Reply ControlMemory(MemoryControl what, L4_Word_t first, L4_Word_t second = 0) {
  return Call(kMemoryControl, static_cast<L4_Word_t>(what), first, second);
}

struct MmapArguments {
  L4_Word_t at = 0;
  L4_Word_t size = 0;
  uint8_t prot = 0;
  uint32_t flags = 0;
  uint64_t file_key = 0;  // 0: anonymous
  uint64_t offset = 0;
};
inline Reply Mmap(const MmapArguments& a) {
  return Call(kBsdMmap, a.at, a.size, a.prot, a.flags, Low(a.file_key), High(a.file_key),
              Low(a.offset), High(a.offset));
}
inline Reply Munmap(L4_Word_t at, L4_Word_t size) { return Call(kBsdMunmap, at, size); }
inline Reply Mprotect(L4_Word_t at, L4_Word_t size, uint8_t prot) {
  return Call(kBsdMprotect, at, size, prot);
}
inline Reply Minherit(L4_Word_t at, L4_Word_t size, uint8_t inherit) {
  return Call(kBsdMinherit, at, size, inherit);
}
inline Reply Madvise(L4_Word_t at, L4_Word_t size, uint8_t advice) {
  return Call(kBsdMadvise, at, size, advice);
}
struct MremapArguments {
  L4_Word_t at = 0;
  L4_Word_t size = 0;
  L4_Word_t to = 0;
  L4_Word_t new_size = 0;
  uint32_t flags = 0;
};
inline Reply Mremap(const MremapArguments& a) {
  return Call(kBsdMremap, a.at, a.size, a.to, a.new_size, a.flags);
}
inline Reply Brk(L4_Word_t at) { return Call(kBsdBrk, at); }
inline Reply Fork() { return Call(kBsdFork); }
inline Reply Exec() { return Call(kBsdExec); }
inline Reply ExecBrk(L4_Word_t at) { return Call(kBsdExecBrk, at); }
inline Reply Exit() { return Call(kBsdExit); }
inline Reply ThreadCreate() { return Call(kBsdThreadCreate); }
inline Reply ThreadEnd(uint32_t number) { return Call(kBsdThreadEnd, number); }
inline Reply LinuxDontneed(L4_Word_t at, L4_Word_t size) {
  return Call(kBsdLinuxDontneed, at, size);
}
inline Reply Mlock(L4_Word_t at, L4_Word_t size) { return Call(kBsdMlock, at, size); }
inline Reply Munlock(L4_Word_t at, L4_Word_t size) { return Call(kBsdMunlock, at, size); }
inline Reply Mlockall(uint32_t flags) { return Call(kBsdMlockall, flags); }
inline Reply Munlockall() { return Call(kBsdMunlockall); }
inline Reply Mincore(L4_Word_t at, L4_Word_t size) { return Call(kBsdMincore, at, size); }
inline Reply Msync(L4_Word_t at, L4_Word_t size, uint32_t flags) {
  return Call(kBsdMsync, at, size, flags);
}
enum class Sealing { kForbidden, kAllowed };
inline Reply Memfd(uint64_t key, uint64_t size, Sealing sealing) {
  return Call(kBsdMemfd, Low(key), High(key), Low(size), High(size),
              sealing == Sealing::kAllowed ? 1 : 0);
}
inline Reply MemfdTruncate(uint64_t key, uint64_t size) {
  return Call(kBsdMemfdTruncate, Low(key), High(key), Low(size), High(size));
}
inline Reply MemfdSeal(uint64_t key, uint32_t seals) {
  return Call(kBsdMemfdSeal, Low(key), High(key), seals);
}
inline Reply MemfdClose(uint64_t key) { return Call(kBsdMemfdClose, Low(key), High(key)); }
// `request`: kBsdMemfdMmap or kBsdDeviceMmap.
inline Reply MmapShared(Request request, const MmapArguments& a) {
  return Call(request, a.at, a.size, a.prot, a.flags, Low(a.file_key), High(a.file_key),
              Low(a.offset), High(a.offset));
}
inline Reply Shmget(uint64_t key, uint64_t size) {
  return Call(kBsdShmget, Low(key), High(key), Low(size), High(size));
}
inline Reply Shmat(uint64_t key, L4_Word_t at, uint32_t flags) {
  return Call(kBsdShmat, Low(key), High(key), at, flags);
}
inline Reply Shmdt(L4_Word_t at) { return Call(kBsdShmdt, at); }
// `request`: kBsdShmRemove, kBsdShmLock or kBsdShmUnlock.
inline Reply ShmControl(Request request, uint64_t key) {
  return Call(request, Low(key), High(key));
}

inline Reply Pread(L4_Word_t at, L4_Word_t size, uint64_t file_key, uint64_t offset,
                   Transfer how = Transfer::kCached) {
  return Call(kBsdPread, at, size, Low(file_key), High(file_key), Low(offset), High(offset),
              static_cast<L4_Word_t>(how));
}
inline Reply Pwrite(L4_Word_t at, L4_Word_t size, uint64_t file_key, uint64_t offset,
                    Transfer how = Transfer::kCached) {
  return Call(kBsdPwrite, at, size, Low(file_key), High(file_key), Low(offset), High(offset),
              static_cast<L4_Word_t>(how));
}
inline Reply Ftruncate(uint64_t file_key, uint64_t size) {
  return Call(kBsdFtruncate, Low(file_key), High(file_key), Low(size), High(size));
}
// `task` as for Mach calls.
inline Reply Peek(L4_Word_t task, L4_Word_t at, L4_Word_t size, L4_Word_t to) {
  return Call(kBsdPeek, task, at, size, to);
}
inline Reply Poke(L4_Word_t task, L4_Word_t at, L4_Word_t size, L4_Word_t from) {
  return Call(kBsdPoke, task, at, size, from);
}
inline Reply Send(L4_Word_t at, L4_Word_t size) { return Call(kBsdSend, at, size); }
inline Reply SendFile(L4_Word_t size, uint64_t file_key, uint64_t offset) {
  return Call(kBsdSendFile, size, Low(file_key), High(file_key), Low(offset), High(offset));
}
inline Reply Receive(L4_Word_t at, L4_Word_t size) { return Call(kBsdReceive, at, size); }

inline Reply SwapOn(uint32_t device, uint32_t priority) {
  return Call(kBsdSwapOn, device, priority);
}
inline Reply SwapOff(uint32_t device) { return Call(kBsdSwapOff, device); }
inline Reply SwapCtl(uint32_t device, uint32_t priority) {
  return Call(kBsdSwapCtl, device, priority);
}
inline Reply SwapStats(uint32_t n) { return Call(kBsdSwapStats, n); }

// Mach. `task` is the target: 0, or a task that this one brought into being.
inline constexpr L4_Word_t kSelf = 0;
enum class Memory { kEmpty, kInherited };
inline Reply TaskCreate(L4_Word_t task, Memory memory) {
  return Call(kMachTaskCreate, task, memory == Memory::kInherited ? 1 : 0);
}
inline Reply TaskTerminate(L4_Word_t task) { return Call(kMachTaskTerminate, task); }
enum class Placement { kFixed, kAnywhere };
inline Reply VmAllocate(L4_Word_t task, L4_Word_t at, L4_Word_t size, Placement placement) {
  return Call(kMachVmAllocate, task, at, size, placement == Placement::kAnywhere ? 1 : 0);
}
struct VmMapArguments {
  L4_Word_t at = 0;
  L4_Word_t size = 0;
  L4_Word_t mask = 0;
  Placement placement = Placement::kFixed;
  L4_Word_t object = 0;
  uint64_t offset = 0;
  bool copy = false;
  L4_Word_t prot = 0;
  L4_Word_t max_prot = 0;
  L4_Word_t inherit = 0;
};
inline Reply VmMap(L4_Word_t task, const VmMapArguments& a) {
  return Call(kMachVmMap, task, a.at, a.size, a.mask, a.placement == Placement::kAnywhere ? 1 : 0,
              a.object, Low(a.offset), High(a.offset), a.copy ? 1 : 0, a.prot, a.max_prot,
              a.inherit);
}
inline Reply VmDeallocate(L4_Word_t task, L4_Word_t at, L4_Word_t size) {
  return Call(kMachVmDeallocate, task, at, size);
}
enum class Which { kCurrent, kMaximum };
inline Reply VmProtect(L4_Word_t task, L4_Word_t at, L4_Word_t size, Which which, L4_Word_t prot) {
  return Call(kMachVmProtect, task, at, size, which == Which::kMaximum ? 1 : 0, prot);
}
inline Reply VmInherit(L4_Word_t task, L4_Word_t at, L4_Word_t size, L4_Word_t inherit) {
  return Call(kMachVmInherit, task, at, size, inherit);
}
inline Reply VmRead(L4_Word_t task, L4_Word_t at, L4_Word_t size) {
  return Call(kMachVmRead, task, at, size);
}
inline Reply VmWrite(L4_Word_t task, L4_Word_t at, L4_Word_t data, L4_Word_t size) {
  return Call(kMachVmWrite, task, at, data, size);
}
inline Reply VmCopy(L4_Word_t task, L4_Word_t from, L4_Word_t size, L4_Word_t to) {
  return Call(kMachVmCopy, task, from, size, to);
}
inline Reply VmRegion(L4_Word_t task, L4_Word_t at) { return Call(kMachVmRegion, task, at); }
// `host`: kHostName or kHostPrivName; `access` 0 unwires.
inline Reply VmWire(L4_Word_t task, L4_Word_t host, L4_Word_t at, L4_Word_t size,
                    L4_Word_t access) {
  return Call(kMachVmWire, task, host, at, size, access);
}
inline Reply VmWireAll(L4_Word_t task, L4_Word_t host, L4_Word_t flags) {
  return Call(kMachVmWireAll, task, host, flags);
}
inline Reply VmMsync(L4_Word_t task, L4_Word_t at, L4_Word_t size, L4_Word_t flags) {
  return Call(kMachVmMsync, task, at, size, flags);
}

}  // namespace vmserver::client

#endif  // VMSERVER_CLIENT_H_
