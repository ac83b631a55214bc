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

bool Server::AttachmentsAreCounted(base::TextSink* text) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  auto each = [this](const auto& visit) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (const Task* task = tasks_.front(); task != nullptr; task = tasks_.Next(task)) {
      for (const uvm::ShmAttachment* at = task->process.attachments; at != nullptr;
           at = at->older) {
        visit(at->segment);
      }
    }
  };
  const uvm::ShmSegment* wrong = nullptr;
  auto check = [&](const uvm::ShmSegment* segment) {
    if (segment->debug_found != segment->attachments) wrong = segment;
  };
  shared_->DebugForEachNamed([](uvm::ShmSegment* segment) { segment->debug_found = 0; });
  each([](uvm::ShmSegment* segment) { segment->debug_found = 0; });
  each([](uvm::ShmSegment* segment) { ++segment->debug_found; });
  shared_->DebugForEachNamed(check);
  each(check);
  if (wrong == nullptr) return true;
  *text << "segment of object#" << wrong->object->id << " attachments=" << wrong->attachments
        << ", records found=" << wrong->debug_found;
  return false;
}

}  // namespace vmserver
