// vmserver/mach_words.h: what the files of the Mach personality share.
//
// WHAT     Operands as the task says them: a 32-bit task's words have 32 bits, and its ranges wrap
//          there. Errors of the map as kern_return_t.
// SEE      protocol.h (AddressWidth).

#ifndef VMSERVER_MACH_WORDS_H_
#define VMSERVER_MACH_WORDS_H_

#include <cstdint>

#include "base/check.h"
#include "vmserver/server.h"

namespace vmserver {

inline uint64_t MaskOf(const Task* task) {
  return task->width == AddressWidth::k32 ? 0xffffffff : ~uint64_t{0};
}

inline base::KernReturn KernOf(base::MapError error) {
  switch (error) {
    case base::MapError::kInvalidArgument:
      return base::KernReturn::kInvalidArgument;
    case base::MapError::kOutOfRange:
      return base::KernReturn::kInvalidAddress;
    case base::MapError::kNoSpace:
      return base::KernReturn::kNoSpace;
    case base::MapError::kNoMemory:
      return base::KernReturn::kResourceShortage;
    case base::MapError::kProtection:
      return base::KernReturn::kProtectionFailure;
    case base::MapError::kHole:
      return base::KernReturn::kInvalidAddress;
    case base::MapError::kBusy:
      return base::KernReturn::kFailure;
    case base::MapError::kIo:
      return base::KernReturn::kMemoryError;
    case base::MapError::kTryAgain:
    case base::MapError::kNotFound:
      return base::KernReturn::kFailure;
    case base::MapError::kTooBig:
      return base::KernReturn::kInvalidArgument;
  }
  UNREACHABLE("no such map error");
}

inline base::KernReturn KernOf(base::Result<void, base::MapError> result) {
  return result.ok() ? base::KernReturn::kSuccess : KernOf(result.error());
}

// [at, at + size) rounded outwards and cut down to the map: a wrapped or outlying range is empty.
inline base::Range ClampedRange(Task* task, uint64_t at, uint64_t size) {
  const uvm::Map& map = task->space->map();
  const uint64_t mask = MaskOf(task);
  base::Vaddr start(base::TruncPage(at & mask));
  base::Vaddr end(base::RoundPage((at + size) & mask) & mask);
  if (start < map.min()) start = map.min();
  if (end > map.max()) end = map.max();
  if (start > end) start = end;
  return {start, end};
}

}  // namespace vmserver

#endif  // VMSERVER_MACH_WORDS_H_
