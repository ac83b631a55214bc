#include "base/errors.h"

namespace base {

const char* MapErrorName(MapError error) {
  switch (error) {
    case MapError::kInvalidArgument: return "invalid_argument";
    case MapError::kOutOfRange: return "out_of_range";
    case MapError::kNoSpace: return "no_space";
    case MapError::kNoMemory: return "no_memory";
    case MapError::kProtection: return "protection";
    case MapError::kHole: return "hole";
    case MapError::kBusy: return "busy";
    case MapError::kTooBig: return "too_big";
    case MapError::kTryAgain: return "try_again";
    case MapError::kNotFound: return "not_found";
    case MapError::kIo: return "io";
  }
  return "?";
}

const char* FaultErrorName(FaultError error) {
  switch (error) {
    case FaultError::kNoEntry: return "no_entry";
    case FaultError::kProtection: return "protection";
    case FaultError::kLayerless: return "layerless";
    case FaultError::kNoMemory: return "no_memory";
    case FaultError::kIo: return "io";
    case FaultError::kPastEnd: return "past_end";
  }
  return "?";
}

const char* KernReturnName(KernReturn code) {
  switch (code) {
    case KernReturn::kSuccess: return "KERN_SUCCESS";
    case KernReturn::kInvalidAddress: return "KERN_INVALID_ADDRESS";
    case KernReturn::kProtectionFailure: return "KERN_PROTECTION_FAILURE";
    case KernReturn::kNoSpace: return "KERN_NO_SPACE";
    case KernReturn::kInvalidArgument: return "KERN_INVALID_ARGUMENT";
    case KernReturn::kFailure: return "KERN_FAILURE";
    case KernReturn::kResourceShortage: return "KERN_RESOURCE_SHORTAGE";
    case KernReturn::kNoAccess: return "KERN_NO_ACCESS";
    case KernReturn::kMemoryFailure: return "KERN_MEMORY_FAILURE";
    case KernReturn::kMemoryError: return "KERN_MEMORY_ERROR";
    case KernReturn::kInvalidTask: return "KERN_INVALID_TASK";
    case KernReturn::kInvalidHost: return "KERN_INVALID_HOST";
    case KernReturn::kSendInvalidDest: return "MACH_SEND_INVALID_DEST";
    case KernReturn::kSendInvalidMemory: return "MACH_SEND_INVALID_MEMORY";
  }
  return "?";
}

const char* ErrnoName(Errno code) {
  switch (code) {
    case Errno::kOk: return "ok";
    case Errno::kEperm: return "EPERM";
    case Errno::kEnoent: return "ENOENT";
    case Errno::kEsrch: return "ESRCH";
    case Errno::kEio: return "EIO";
    case Errno::kEnxio: return "ENXIO";
    case Errno::kE2big: return "E2BIG";
    case Errno::kEbadf: return "EBADF";
    case Errno::kEnomem: return "ENOMEM";
    case Errno::kEacces: return "EACCES";
    case Errno::kEfault: return "EFAULT";
    case Errno::kEbusy: return "EBUSY";
    case Errno::kEexist: return "EEXIST";
    case Errno::kEnodev: return "ENODEV";
    case Errno::kEinval: return "EINVAL";
    case Errno::kEfbig: return "EFBIG";
    case Errno::kEagain: return "EAGAIN";
    case Errno::kEmsgsize: return "EMSGSIZE";
    case Errno::kEoverflow: return "EOVERFLOW";
  }
  return "?";
}

const char* FaultCodeName(FaultCode code) {
  switch (code) {
    case FaultCode::kNone: return "ok";
    case FaultCode::kSegvMapErr: return "SEGV_MAPERR";
    case FaultCode::kSegvAccErr: return "SEGV_ACCERR";
    case FaultCode::kBus: return "SIGBUS";
    case FaultCode::kKill: return "SIGKILL";
    case FaultCode::kMachInvalidAddress: return "EXC_BAD_ACCESS_INVALID_ADDRESS";
    case FaultCode::kMachProtection: return "EXC_BAD_ACCESS_PROTECTION_FAILURE";
    case FaultCode::kMachMemoryError: return "EXC_BAD_ACCESS_MEMORY_ERROR";
    case FaultCode::kMachShortage: return "EXC_BAD_ACCESS_RESOURCE_SHORTAGE";
  }
  return "?";
}

}  // namespace base
