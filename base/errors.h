// base/errors.h: every error the system and its model can return, each family closed.
//
// WHAT     MapError and FaultError are what uvm and the model return inside. KernReturn (Mach) and
//          Errno (BSD) are what clients see; each personality's mapping from inside to edge is
//          stated twice, in vmserver and in the model, on purpose (design D11). Fault delivery at
//          the edge is a FaultCode.
// SEE      facts/mach.md section 1; facts/uvm.md 2.8 (errors to signals) and 2.14.

#ifndef BASE_ERRORS_H_
#define BASE_ERRORS_H_

#include <cstdint>

namespace base {

// Operations on an address map.
enum class MapError : uint8_t {
  kInvalidArgument,  // bad flags, misaligned where alignment is demanded, submap
  kOutOfRange,       // outside the map's bounds, or start + size wraps
  kNoSpace,          // no hole large enough, or the fixed range is taken
  kNoMemory,         // entries, amaps, anons or pages ran out
  kProtection,       // exceeds the maximum protection
  kHole,             // part of the range is not mapped
  kBusy,             // wired, or locked and told not to wait
  kTooBig,           // object offset would wrap
  kTryAgain,         // told not to wait for a lock
  kNotFound,         // mremap growth: no entry ends there
  kIo,               // the backing store failed
};

// A page fault.
enum class FaultError : uint8_t {
  kNoEntry,     // nothing mapped there
  kProtection,  // mapped, but not for this access
  kLayerless,   // entry with neither amap nor object nor the promise of one
  kNoMemory,    // no frame, and none can be reclaimed
  kIo,          // the backing store failed for this page
  kPastEnd,     // beyond the end of the object
};

// kern_return_t values and mach_msg_return_t values (facts/mach.md section 1). Only those that a
// call here can return.
enum class KernReturn : int32_t {
  kSuccess = 0,
  kInvalidAddress = 1,
  kProtectionFailure = 2,
  kNoSpace = 3,
  kInvalidArgument = 4,
  kFailure = 5,
  kResourceShortage = 6,
  kNoAccess = 8,
  kMemoryFailure = 9,
  kMemoryError = 10,
  kInvalidTask = 16,
  kInvalidHost = 22,
  // Of the message, before any call: no such task, data that the caller cannot read.
  kSendInvalidDest = 0x10000003,
  kSendInvalidMemory = 0x1000000c,
};

// errno values with NetBSD's numbers.
enum class Errno : int32_t {
  kOk = 0,
  kEperm = 1,
  kEnoent = 2,
  kEsrch = 3,
  kEio = 5,
  kEnxio = 6,
  kE2big = 7,
  kEbadf = 9,
  kEnomem = 12,
  kEacces = 13,
  kEfault = 14,
  kEbusy = 16,
  kEexist = 17,
  kEnodev = 19,
  kEinval = 22,
  kEfbig = 27,
  kEagain = 35,
  kEmsgsize = 40,
  kEoverflow = 84,
};

// How a failed access reaches the client that made it. A BSD client sees a signal, a Mach client an
// exception whose code is a kern_return_t; the two columns of the table are vmserver's and the
// model's business.
enum class FaultCode : uint8_t {
  kNone = 0,
  kSegvMapErr,          // BSD: SIGSEGV, nothing mapped
  kSegvAccErr,          // BSD: SIGSEGV, not permitted
  kBus,                 // BSD: SIGBUS, beyond the object or backing store failed
  kKill,                // BSD: SIGKILL, out of memory
  kMachInvalidAddress,  // Mach: EXC_BAD_ACCESS, code 1
  kMachProtection,      // Mach: EXC_BAD_ACCESS, code 2
  kMachMemoryError,     // Mach: EXC_BAD_ACCESS, code 10
  kMachShortage,        // Mach: EXC_BAD_ACCESS, code 6
};

// Names as they stand in traces and reports: MapError "no_space", KernReturn "KERN_NO_SPACE", Errno
// "ENOMEM", FaultCode "SEGV_MAPERR". Never null; "?" for a value outside the enum.
const char* MapErrorName(MapError error);
const char* FaultErrorName(FaultError error);
const char* KernReturnName(KernReturn code);
const char* ErrnoName(Errno code);
const char* FaultCodeName(FaultCode code);

}  // namespace base

#endif  // BASE_ERRORS_H_
