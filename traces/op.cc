#include "traces/op.h"

#include <cstring>

#include "base/hash.h"

namespace traces {

uint64_t KeyOfName(const char* name) { return base::HashText(name) | 1; }

uint64_t ReadValue(const unsigned char* bytes, uint64_t size) {
  if (size == 0) return 0;
  // Each byte equals the one before.
  if (std::memcmp(bytes, bytes + 1, size - 1) == 0) return bytes[0];
  return base::HashBytes(bytes, size) | uint64_t{1} << 63;
}

bool NamesMemory(OpKind kind) {
  switch (kind) {
    case OpKind::kMemfd:
    case OpKind::kMemfdTruncate:
    case OpKind::kFtruncate:
    case OpKind::kSendFile:
    case OpKind::kMemfdSeal:
    case OpKind::kMemfdClose:
    case OpKind::kShmget:
    case OpKind::kShmRemove:
    case OpKind::kShmLock:
    case OpKind::kShmUnlock:
      return true;
    default:
      return false;
  }
}

bool IsSwapCall(OpKind kind) {
  return kind == OpKind::kSwapOn || kind == OpKind::kSwapOff || kind == OpKind::kSwapCtl ||
         kind == OpKind::kSwapStats;
}

bool IsThreadCall(OpKind kind) {
  return kind == OpKind::kThreadCreate || kind == OpKind::kThreadEnd;
}

bool TakesPlace(OpKind kind) {
  switch (kind) {
    case OpKind::kSpace:
    case OpKind::kTask:
    case OpKind::kTask32:
    case OpKind::kFork:
    case OpKind::kTaskCreate:
    case OpKind::kExec:
    case OpKind::kExit:
    case OpKind::kTaskTerminate:
    case OpKind::kInject:
      return false;
    default:
      return !NamesMemory(kind) && !IsSwapCall(kind) && !IsThreadCall(kind);
  }
}

bool HasTarget(OpKind kind) {
  if (kind == OpKind::kPeek || kind == OpKind::kPoke) return true;
  const bool birth = kind == OpKind::kTask || kind == OpKind::kTask32;
  return !birth && FamilyOf(kind) == Outcome::Family::kKern;
}

Outcome::Family FamilyOf(OpKind kind) {
  switch (kind) {
    case OpKind::kTask:
    case OpKind::kTask32:
    case OpKind::kTaskCreate:
    case OpKind::kTaskTerminate:
    case OpKind::kVmAllocate:
    case OpKind::kVmDeallocate:
    case OpKind::kVmProtect:
    case OpKind::kVmInherit:
    case OpKind::kVmRegion:
    case OpKind::kVmMap:
    case OpKind::kVmCopy:
    case OpKind::kVmRead:
    case OpKind::kVmWrite:
    case OpKind::kVmWire:
      return Outcome::Family::kKern;
    case OpKind::kRead:
    case OpKind::kWrite:
    case OpKind::kFetch:
      return Outcome::Family::kFault;
    case OpKind::kSpace:
    case OpKind::kFork:
    case OpKind::kExec:
    case OpKind::kExit:
    case OpKind::kExecMap:
    case OpKind::kExecBrk:
    case OpKind::kMmap:
    case OpKind::kMunmap:
    case OpKind::kMprotect:
    case OpKind::kMinherit:
    case OpKind::kMadvise:
    case OpKind::kMremap:
    case OpKind::kBrk:
    case OpKind::kLinuxDontneed:
    case OpKind::kMlock:
    case OpKind::kMunlock:
    case OpKind::kMlockall:
    case OpKind::kMunlockall:
    case OpKind::kMincore:
    case OpKind::kMsync:
    case OpKind::kPread:
    case OpKind::kPwrite:
    case OpKind::kFtruncate:
    case OpKind::kPeek:
    case OpKind::kPoke:
    case OpKind::kSend:
    case OpKind::kReceive:
    case OpKind::kSendFile:
    case OpKind::kMemfd:
    case OpKind::kMemfdTruncate:
    case OpKind::kMemfdSeal:
    case OpKind::kMemfdClose:
    case OpKind::kShmget:
    case OpKind::kShmat:
    case OpKind::kShmdt:
    case OpKind::kShmRemove:
    case OpKind::kShmLock:
    case OpKind::kShmUnlock:
    case OpKind::kSwapOn:
    case OpKind::kSwapOff:
    case OpKind::kSwapCtl:
    case OpKind::kSwapStats:
    case OpKind::kThreadCreate:
    case OpKind::kThreadEnd:
    case OpKind::kInject:
      return Outcome::Family::kErrno;
  }
  return Outcome::Family::kNone;
}

}  // namespace traces
