// The calls for memory that has a name: memory files, System V segments, the frame buffer. They
// unpack their operands and leave the rest to SharedMemory.

#include "vmserver/bsd_words.h"
#include "vmserver/server.h"

namespace vmserver {

using base::Errno;

Answer Server::SharedCall(Task* task, const Message& m) {
  SharedMemory& shared = *shared_;
  uvm::Process* process = &task->process;
  const uint64_t key = Wide(m.words[0], m.words[1]);
  switch (L4_Label(m.tag)) {
    case kBsdMemfd: {
      if (m.words[4] > 1) return Errno::kEinval;
      const auto sealing =
          m.words[4] == 1 ? uvm::Memfd::Sealing::kAllowed : uvm::Memfd::Sealing::kForbidden;
      return shared.CreateMemfd(key, Wide(m.words[2], m.words[3]), sealing);
    }
    case kBsdMemfdTruncate:
      return shared.TruncateMemfd(key, Wide(m.words[2], m.words[3]));
    case kBsdMemfdSeal:
      return shared.SealMemfd(key, static_cast<uint32_t>(m.words[2]));
    case kBsdMemfdClose:
      return shared.CloseMemfd(key);
    case kBsdMemfdMmap:
      return AnswerOf(shared.MmapMemfd(process, MmapKey(m), MmapOperands(m)));
    case kBsdDeviceMmap:
      return AnswerOf(shared.MmapDevice(process, MmapKey(m), MmapOperands(m)));
    case kBsdShmget:
      return shared.GetSegment(key, Wide(m.words[2], m.words[3]));
    case kBsdShmat:
      return AnswerOf(shared.Attach(process, key, m.words[2], static_cast<uint32_t>(m.words[3])));
    case kBsdShmdt:
      return shared.Detach(process, m.words[0]);
    case kBsdShmRemove:
      return shared.RemoveSegment(key);
    case kBsdShmLock:
      return shared.LockSegment(key);
    case kBsdShmUnlock:
      return shared.UnlockSegment(key);
    default:
      UNREACHABLE("the pager passed an unknown BSD call");
  }
}

}  // namespace vmserver
