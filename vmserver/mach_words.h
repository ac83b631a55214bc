// vmserver/mach_words.h: operands of Mach calls as the task says them.
//
// WHAT     A 32-bit task's words have 32 bits, and its ranges wrap there.
// SEE      protocol.h (AddressWidth).

#ifndef VMSERVER_MACH_WORDS_H_
#define VMSERVER_MACH_WORDS_H_

#include <cstdint>

#include "vmserver/server.h"

namespace vmserver {

inline uint64_t MaskOf(const Task* task) {
  return task->width == AddressWidth::k32 ? 0xffffffff : ~uint64_t{0};
}

}  // namespace vmserver

#endif  // VMSERVER_MACH_WORDS_H_
